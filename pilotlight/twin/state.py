"""`twin.json`: what a twin remembers of itself, so that it is found again and comes back under the same addresses."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import platformdirs
import psutil

FILE = "twin.json"
HOME_VARIABLE = "PILOTLIGHT_HOME"
CACHE_VARIABLE = "PILOTLIGHT_CACHE"


class TwinError(Exception):
    """The twin can't be started, found or reached; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class State:
    """`pid` and `started` (of the process, seconds since the epoch) are None while the twin is down; the rest stays.

    `providers`: program folder -> package -> port.
    """

    token: str
    secret: str
    port: int | None = None
    pid: int | None = None
    started: float | None = None
    providers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def front_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process that wrote it still runs: a pid alone may have gone to another program."""
        if self.pid is None or self.started is None:
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1.0
        except psutil.Error:
            return False

    def owned_by(self, pid: int) -> State:
        return replace(self, pid=pid, started=psutil.Process(pid).create_time())

    def down(self) -> State:
        return replace(self, pid=None, started=None)


def home_folder(home: Path | None = None) -> Path:
    """The twin's home: as given, else `PILOTLIGHT_HOME`, else the user's data folder."""
    if home is not None:
        return home.absolute()
    moved = os.environ.get(HOME_VARIABLE)
    return Path(moved).absolute() if moved else platformdirs.user_data_path("pilotlight")


def cache_folder() -> Path:
    """The cache of images, environments and artifacts: `PILOTLIGHT_CACHE`, else the user's."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(moved).absolute() if moved else platformdirs.user_cache_path("pilotlight")


def new() -> State:
    """The state of a twin that never ran: its secrets are made here, once."""
    return State(token=secrets.token_urlsafe(32), secret=secrets.token_urlsafe(30))


def load(home: Path) -> State | None:
    """What is remembered in a home, or None. TwinError where the file is damaged."""
    path = home / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return State(**content)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise TwinError(f"{path} is damaged ({error}). Stop the twin if it runs and delete the file.") from None


def save(home: Path, state: State) -> None:
    """Write it whole or not at all, readable by the user alone."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{FILE}.{os.getpid()}.new"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    path.replace(home / FILE)

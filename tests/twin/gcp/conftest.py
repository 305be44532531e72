"""A whole twin and the real engine, with Google Cloud's provider."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pilotlight import toolchain
from pilotlight.twin import client
from pilotlight.twin.gcp.variables import VARIABLES
from tests.twin.engine.project import Project, engines, sweep

PROJECT = "tried-project"
REGION = "europe-west1"
CONFIG = {"gcp:project": PROJECT, "gcp:region": REGION}


@dataclass
class Twin:
    """The daemon of a home of its own."""

    home: Path
    program: Path
    uses: tuple[str, ...] = ("gcp", "docker-build")

    def ports(self) -> dict[str, int]:
        return client.providers(self.program, self.home, uses=self.uses)

    def restart(self) -> None:
        assert client.stop(self.home)

    def held(self) -> list[tuple[str, str]]:
        """Type and id of what the account holds."""
        with closing(sqlite3.connect(f"file:{self.home / 'world.sqlite3'}?mode=ro", uri=True)) as world:
            return [(str(token), str(id_)) for token, id_ in world.execute("SELECT token, id FROM resources ORDER BY token, id")]


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The engine, which is in the user's cache."""
    found = toolchain.find()
    if found is None:
        pytest.skip("The Pulumi command line is not here: run `make setup`.")
    return found.pulumi


@pytest.fixture
def twin(pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    for name in (name for names in VARIABLES.values() for name in names if name in os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "program").mkdir()
    yield Twin(tmp_path / "home", tmp_path / "program")
    client.stop(tmp_path / "home")


@pytest.fixture
def project(twin: Twin, pulumi: Path, tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Projects of the twin's account: (stack, configuration) -> project."""
    with projects(twin, pulumi, tmp_path, CONFIG) as make:
        yield make


@contextmanager
def projects(twin: Twin, pulumi: Path, folder: Path, usual: Mapping[str, str]) -> Iterator[Callable[..., Project]]:
    """What makes projects below a folder, configured as usual where nothing else is said; no engine is left at the end."""
    # The Automation API asks for the current loop from the main thread.
    asyncio.set_event_loop(asyncio.new_event_loop())

    def make(stack: str = "test", config: Mapping[str, str] = usual) -> Project:
        return Project(folder=folder / f"pulumi-{stack}", ports=twin.ports(), pulumi=pulumi, stack_name=stack, config=dict(config))

    yield make
    sweep()
    assert not engines()

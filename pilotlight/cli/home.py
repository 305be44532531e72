"""Where the command keeps things: folders below the twin's home, and which stack was last brought up where."""

import errno
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from pilotlight.cli.exits import CommandError, Exit

Where = Literal["local", "cloud"]


@dataclass(frozen=True)
class Home:
    """The twin's home of this user (`PILOTLIGHT_HOME` moves it). Nothing is made before it is needed."""

    path: Path

    @classmethod
    def of_user(cls) -> "Home":
        moved = os.environ.get("PILOTLIGHT_HOME")
        return cls(Path(moved).expanduser().resolve() if moved else platformdirs.user_data_path("pilotlight"))

    @property
    def backend(self) -> Path:
        """The folder of the engine's state."""
        return self.path / "pulumi" / "state"

    @property
    def backend_url(self) -> str:
        """The state as a `file://` backend.

        Without metadata: the engine replaces a state in one step, but writes the file with its content type beside it in two,
        and an engine killed in between leaves an empty one and a stack that no command can read ("failed to load checkpoint: EOF").
        """
        return f"file://{self.backend}?metadata=skip"

    @property
    def pulumi_home(self) -> Path:
        return self.path / "pulumi" / "home"

    @property
    def shims(self) -> Path:
        """Leads PATH in `pilotlight env --local`; its name is how it is recognised (environment.without_shims)."""
        return self.path / "pulumi" / "plain-pulumi"

    @property
    def runs(self) -> Path:
        """Event logs and outputs of engine runs while they last."""
        return self.path / "pulumi" / "runs"

    def stack_copy(self, root: Path, stack: str) -> Path:
        """The copy of a checkout's stack file that the engine may write its secrets provider into."""
        key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
        return self.path / "pulumi" / "config" / key / f"Pulumi.{stack}.yaml"

    def passphrase(self) -> Path:
        """A file with the passphrase of this home's stacks, made at the first call; only its owner may read it."""
        file = self.path / "pulumi" / "passphrase"
        with self._alone():
            if not file.exists():
                part = file.with_suffix(".part")
                part.unlink(missing_ok=True)
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w") as stream:
                    stream.write(secrets.token_urlsafe(24))
                part.replace(file)
        return file

    def prepare(self) -> None:
        """Make the folders that the engine expects."""
        for folder in (self.backend, self.pulumi_home, self.shims, self.runs):
            _make(folder)

    def last_up(self, project: str, stack: str) -> Where | None:
        """Where a stack was last brought up from this machine; None when it never was, or was destroyed there."""
        where = self._remembered().get(f"{project}/{stack}")
        return where if where in ("local", "cloud") else None  # type: ignore[return-value]  # narrowed by the test

    def remember(self, project: str, stack: str, where: Where | None) -> None:
        """Note where a stack is up; None forgets it."""
        with self._alone():
            remembered = self._remembered()
            if where is None:
                remembered.pop(f"{project}/{stack}", None)
            else:
                remembered[f"{project}/{stack}"] = where
            part = self._last_up.with_suffix(".part")
            part.write_text(json.dumps(remembered, indent=1, sort_keys=True) + "\n")
            part.replace(self._last_up)

    @property
    def _last_up(self) -> Path:
        return self.path / "pulumi" / "last-up.json"

    def _remembered(self) -> dict[str, str]:
        try:
            found = json.loads(self._last_up.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _alone(self) -> filelock.BaseFileLock:
        _make(self.path / "pulumi")
        return filelock.FileLock(self.path / "pulumi" / "lock")


def _make(folder: Path) -> None:
    """Make a private folder that may be there; raises CommandError when it can't be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise CommandError(
            f"{folder} can't be written to ({error.strerror}): name another home in PILOTLIGHT_HOME.", Exit.FAILED
        ) from error

"""Python environments from hashed lock files, made once per lock and interpreter and shared by everything that runs from them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import uv
from filelock import FileLock

from pilotlight.twin.sandbox import interpreter, platform_key


class EnvironmentRefused(RuntimeError):
    """An environment that cannot be made from its lock; the message carries what uv said."""


def environment_key(lock: bytes) -> str:
    """Hash of what the environment's content depends on: the lock, the interpreter, the platform."""
    return hashlib.sha256(lock + b"\0" + platform_key().encode()).hexdigest()[:20]


class Environments:
    """Virtual environments below `<cache>/envs`."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "envs"

    def path(self, key: str) -> Path:
        return self.folder / key

    def ensure(self, lock: Path) -> str:
        """The key of the environment that holds exactly the locked packages; made if it is not there. EnvironmentRefused if uv fails."""
        content = lock.read_bytes()
        key = environment_key(content)
        place = self.path(key)
        if place.is_dir():
            return key
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        with FileLock(self.folder / f"{key}.lock"):
            if not place.is_dir():
                self._make(lock, place, empty=not re.search(rb"^[A-Za-z0-9]", content, re.MULTILINE))
        return key

    def _make(self, lock: Path, place: Path, *, empty: bool) -> None:
        """In a folder beside it, renamed when complete: an interrupted run leaves nothing that counts."""
        draft = place.with_name(place.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            self._uv("venv", "--quiet", "--relocatable", "--no-project", "--python", interpreter(), str(draft), about=lock)
            if not empty:
                python = str(draft / "bin" / "python")
                self._uv("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, str(lock), about=lock)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.rename(place)

    def _uv(self, *arguments: str, about: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
        done = subprocess.run(
            [uv.find_uv_bin(), *arguments], env=environment, capture_output=True, text=True, umask=0o022, cwd=about.parent, check=False
        )
        if done.returncode != 0:
            said = done.stderr.strip().removeprefix("error: ")
            raise EnvironmentRefused(f"{about.name}: no environment could be made from this lock for {platform_key()}: {said}")

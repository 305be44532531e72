"""Bytecode for the packages that the command, a stack's program and the twin import: python -m pilotlight.compiled

The installer leaves compiling to the first import, and where PYTHONDONTWRITEBYTECODE is set, as in many containers, no import keeps
it: every command would compile the SDK anew, which takes longer than all else that a program does. The whole of the SDK would take
minutes and its parts are seldom used, so this compiles what is imported. Bytecode of a file that was edited since is not used.
"""

import contextlib
import importlib
import pkgutil
import py_compile
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import components
import pilotlight
import stacks
from components.platforms import CLOUDS, SDKS

ROOT = Path(__file__).resolve().parent.parent
# What is imported late, by programs of the twin's.
LATE = ("ministack.app", "ministack.services.dynamodb", "ministack.services.s3", "uvicorn.protocols.http.httptools_impl")
# Pulumi's component host brings a copy of the message `google.rpc.Status` that can't be in one process with that of Google's clients.
ALONE = ("stacks.remote_provider",)
# How a component names a part of the SDK, which is loaded when it is named for the first time.
_PART = r"\b{}\.([a-z0-9_]+)\."


def main() -> int:
    """Exit status 0: what can't be compiled fails with its reason where it is needed."""
    for name in (*_own(), *_parts(), *LATE):
        # A cloud or a group may not be installed.
        with contextlib.suppress(ImportError):
            # Parts of an SDK are loaded when something in them is asked for, and not before.
            hasattr(importlib.import_module(name), "__all__")
    for path in _sources():
        py_compile.compile(str(path), quiet=2)
    return 0


def _own() -> Iterator[str]:
    for package in (components, pilotlight, stacks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and module.name not in ALONE:
                yield module.name


def _parts() -> Iterator[str]:
    for cloud in CLOUDS:
        for path in sorted((Path(components.__path__[0]) / cloud).glob("*.py")):
            yield from (f"{SDKS[cloud][0]}.{name}" for name in sorted(set(re.findall(_PART.format(cloud), path.read_text()))))


def _sources() -> list[Path]:
    """The imported files of this environment and of the checkout."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    found = {Path(file) for file in files if file and file.endswith(".py")}
    return sorted(path for path in found if path.is_relative_to(sys.prefix) or path.is_relative_to(ROOT))


if __name__ == "__main__":
    raise SystemExit(main())

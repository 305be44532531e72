"""Where a program finds its files: at the image's own paths where this user may mount, else mapped to this machine's paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.twin import sandbox

# Variables whose value is a list of paths.
PATH_LISTS = frozenset({"PATH", "LD_LIBRARY_PATH", "PYTHONPATH"})
# Docker's own default size of /dev/shm.
SHARED_MEMORY_MB = 64


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start, in the image's words.

    root        folder with the image's files, or None
    places      image path -> folder of this machine, shown read-only there
    user        (uid, gid) to become where the twin is root
    scratch     a writable folder of this machine, TMPDIR where /tmp cannot be private; `scratch_mb` the size where it can
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str
    scratch: Path
    root: Path | None = None
    places: Mapping[str, Path] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    scratch_mb: int = 512


def place(program: Program, mountpoint: Path) -> tuple[sandbox.LaunchSpec, dict[str, str]]:
    """The launch and its variables. `mountpoint` is an empty folder that any number of processes can share."""
    return _inside(program, mountpoint) if sandbox.available() else _outside(program)


def _inside(program: Program, mountpoint: Path) -> tuple[sandbox.LaunchSpec, dict[str, str]]:
    mountpoint.mkdir(parents=True, exist_ok=True)
    image: list[sandbox.Mount] = []
    if program.root is not None:
        for path in program.places:  # a mount needs something to lie on, and inside the process the image is read-only
            (program.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        image = sandbox.image_mounts(program.root)
    split = {mount.target.split("/")[1] for mount in image if mount.target.count("/") > 1}
    host = [mount for mount in sandbox.host_mounts() if mount.target.lstrip("/") not in split]
    over = [sandbox.readonly(folder, path) for path, folder in sorted(program.places.items(), key=lambda item: len(item[0]))]
    scratch = [sandbox.tmpfs("/tmp", program.scratch_mb), sandbox.tmpfs("/dev/shm", SHARED_MEMORY_MB)]  # noqa: S108
    uid, gid = program.user or (None, None)
    spec = sandbox.LaunchSpec(
        argv=program.argv,
        cwd=program.workdir,
        parent=os.getpid(),
        root=str(mountpoint),
        mounts=(*host, *scratch, *image, *over),
        uid=uid,
        gid=gid,
        locale="LC_CTYPE" in program.env,
    )
    return spec, dict(program.env)


def _outside(program: Program) -> tuple[sandbox.LaunchSpec, dict[str, str]]:
    program.scratch.mkdir(parents=True, exist_ok=True)
    tops = {f"/{entry.name}": str(entry) for entry in program.root.iterdir()} if program.root else {}
    everything = {**tops, **{path: str(folder) for path, folder in program.places.items()}}

    def moved(value: str) -> str:
        here = sandbox.mapped(value, everything)
        return here if os.path.exists(here) or not os.path.exists(value) else value

    env = {name: ":".join(map(moved, value.split(":"))) if name in PATH_LISTS else moved(value) for name, value in program.env.items()}
    env["TMPDIR"] = str(program.scratch)
    spec = sandbox.LaunchSpec(
        argv=tuple(map(moved, program.argv)), cwd=moved(program.workdir), parent=os.getpid(), locale="LC_CTYPE" in program.env
    )
    return spec, env

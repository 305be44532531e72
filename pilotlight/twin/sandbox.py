"""What a started process may see of this machine: the plan that `launcher.py` carries out."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

LAUNCHER = Path(__file__).with_name("launcher.py")
# Folders that hold the C library and the system's certificates; everything else of the host stays out of sight.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/mime.types",
)
STREAMS = ((0, "stdin"), (1, "stdout"), (2, "stderr"))
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One entry of a process's file system: `source` on this machine (or a link's text), `target` as the process sees it."""

    kind: Literal["readonly", "bind", "tmpfs", "symlink"]
    target: str
    source: str = ""
    options: str = ""


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """All that the launcher needs. `root` is an empty folder to build the file system on; None leaves the host's."""

    argv: tuple[str, ...]
    cwd: str
    parent: int
    root: str | None = None
    mounts: tuple[Mount, ...] = ()
    uid: int | None = None
    gid: int | None = None
    locale: bool = False

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(asdict(self))]


def readonly(source: Path | str, target: str) -> Mount:
    return Mount(kind="readonly", source=str(source), target=target)


def tmpfs(target: str, megabytes: int) -> Mount:
    return Mount(kind="tmpfs", target=target, options=f"mode=1777,size={megabytes}m")


@functools.cache
def host_mounts() -> tuple[Mount, ...]:
    """The C library, certificates, name lookup, devices and the interpreter that the virtual environments link to."""
    mounts: list[Mount] = []
    for folder in SYSTEM:
        if os.path.islink(folder):
            mounts.append(Mount(kind="symlink", source=os.readlink(folder), target=folder))
        elif os.path.isdir(folder):
            mounts.append(readonly(folder, folder))
    mounts += [readonly(os.path.realpath(path), path) for path in SETTINGS if os.path.exists(path)]
    mounts += [Mount(kind="bind", source=path, target=path) for path in DEVICES if os.path.exists(path)]
    mounts += [Mount(kind="symlink", source=f"/proc/self/fd/{number}", target=f"/dev/{name}") for number, name in STREAMS]
    mounts += [Mount(kind="symlink", source="/proc/self/fd", target="/dev/fd"), Mount(kind="bind", source="/proc", target="/proc")]
    mounts += [readonly(path, path) for path in ("/sys",) if os.path.isdir(path)]
    prefix = sys.base_prefix
    if not any(prefix == folder or prefix.startswith(folder + "/") for folder in SYSTEM):
        mounts.append(readonly(prefix, prefix))
    return tuple(mounts)


def image_mounts(root: Path) -> list[Mount]:
    """The image's folders over the host's: where both have one (`/usr`), their entries side by side, the image's first."""
    return [mount for entry in sorted(root.iterdir()) for mount in _merged(entry, f"/{entry.name}")]


def _merged(image: Path, target: str) -> list[Mount]:
    host = Path(target)
    shared = target == "/etc" or target in SYSTEM or target.startswith("/usr/")
    if not (shared and image.is_dir() and host.is_dir() and not host.is_symlink()):
        return [readonly(image, target)]
    mounts = [mount for entry in sorted(image.iterdir()) for mount in _merged(entry, f"{target}/{entry.name}")]
    if target == "/etc":
        return mounts
    for entry in sorted(host.iterdir()):
        if not (image / entry.name).exists():
            link = entry.is_symlink()
            source = os.readlink(entry) if link else str(entry)
            mounts.append(Mount(kind="symlink" if link else "readonly", source=source, target=str(entry)))
    return mounts


@functools.cache
def available() -> bool:
    """Whether this user may give processes a file system of their own: root on Linux with the right to mount. Tried, not guessed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as folder:
        spec = LaunchSpec(
            argv=(interpreter(), "-I", "-S", "-c", "pass"),
            cwd="/",
            parent=os.getpid(),
            root=folder,
            mounts=host_mounts(),
            uid=65534,
            gid=65534,
        )
        tried = subprocess.run(spec.command(), capture_output=True, timeout=30, check=False)
    return tried.returncode == 0


def interpreter() -> str:
    """The interpreter that virtual environments link to, by its real path."""
    return os.path.realpath(sys.executable)


def mapped(value: str, places: Mapping[str, str]) -> str:
    """A path of the image as a path of this machine, where its longest prefix in `places` lies; other values unchanged."""
    for prefix in sorted(places, key=len, reverse=True):
        if value == prefix or value.startswith(prefix.rstrip("/") + "/"):
            return places[prefix] + value[len(prefix.rstrip("/")) :]
    return value


def platform_key() -> str:
    """What compiled packages depend on: interpreter version and platform."""
    return f"{sys.version_info.major}.{sys.version_info.minor}-{sysconfig.get_platform()}"

"""What the tests ask of whatever builds and runs an image, and which one this machine has."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

# A container that the kernel kills for its memory ends as one killed by SIGKILL: 128 + 9.
OUT_OF_MEMORY = 137
NEEDED = ("buildah", "runc", "mmdebstrap")


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """What an image says about its process."""

    user: str
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    workdir: str
    labels: Mapping[str, str]

    @classmethod
    def of(cls, config: Mapping[str, object]) -> "ImageConfig":
        """From the `config` object of an OCI image."""
        raw = json.loads(json.dumps(config))
        return cls(
            user=raw.get("User", ""),
            env=dict(pair.split("=", 1) for pair in raw.get("Env", [])),
            entrypoint=tuple(raw.get("Entrypoint") or ()),
            workdir=raw.get("WorkingDir", "/"),
            labels=raw.get("Labels") or {},
        )


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One run of an image: with the host's network, a root that is read-only and a writable /tmp. Memory in MB."""

    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    args: Sequence[str] = ()
    memory_mb: int | None = None


class Running(Protocol):
    """A started container or process. `started` is the monotonic clock's value just before."""

    started: float

    def alive(self) -> bool: ...

    def terminate(self) -> None:
        """Send SIGTERM to process 1."""

    def wait(self, timeout: float) -> int:
        """Exit status of process 1; raises subprocess.TimeoutExpired."""

    def logs(self) -> str:
        """Everything written to standard output and standard error so far."""


class Container(Running, Protocol):
    """A started container."""

    def execute(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a further process in the container, as its user."""


class Engine(Protocol):
    """Builds and runs images. Everything it makes is gone after `close`."""

    def build(self, context: Path, *, dockerfile: Path, target: str | None = None, fresh: bool = False) -> str:
        """Name of the built image; `fresh` uses no cached layer. Raises BuildFailed."""

    def digest(self, image: str) -> str: ...

    def config(self, image: str) -> ImageConfig: ...

    def diff_ids(self, image: str) -> list[str]:
        """Digests of the image's layers as plain tar files, the lowest first."""

    def pushed_bytes(self, image: str) -> list[int]:
        """Bytes of the same layers, each compressed with gzip, as a registry gets them."""

    def run(self, image: str, launch: Launch) -> AbstractContextManager[Container]:
        """The container is removed, whatever it does, when the context ends."""

    def close(self) -> None: ...


class BuildFailed(RuntimeError):
    """The last lines of a build that failed."""


def has_docker() -> bool:
    """Whether a Docker daemon on this machine answers; the tests share the host's network, which needs Linux."""
    if platform.system() != "Linux" or not shutil.which("docker"):
        return False
    probe = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=20, check=False)
    return probe.returncode == 0


def bare_obstacle() -> str | None:
    """Why images can't be built here without Docker, or None."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    if os.geteuid() != 0:
        return "not root"
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm":
        return "not Debian 12, whose Python is the image's"
    if missing:
        return f"{', '.join(missing)} not installed (tests/images/install.sh installs them)"
    return None


def pip_settings() -> dict[str, str]:
    """Where this machine's pip finds packages (index, trusted hosts, certificates): a build has none of the host's variables."""
    python = getattr(sys, "_base_executable", sys.executable)
    listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    pairs = dict(line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    found = {name.rpartition(".")[2]: value.strip("'\"") for name, value in pairs.items()}
    return {name: found[name] for name in ("index-url", "extra-index-url", "trusted-host", "cert") if name in found}


def build_secrets(folder: Path) -> dict[str, Path]:
    """The secrets `pip` and `ca` that the Dockerfile takes, written to `folder`; empty where pip has no settings of its own."""
    settings = pip_settings()
    authorities = settings.pop("cert", None) or os.environ.get("SSL_CERT_FILE")
    secrets = {}
    if authorities:
        secrets["ca"] = Path(authorities)
        settings["cert"] = "/run/secrets/ca"
    if settings:
        secrets["pip"] = folder / "pip.conf"
        secrets["pip"].write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        secrets["pip"].chmod(0o600)
    return secrets

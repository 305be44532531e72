"""A stand-in for the pinned base image where no registry can be reached: Debian 12 with its own Python 3.11."""

import hashlib
import os
import subprocess
from pathlib import Path

from filelock import FileLock

# Not the pinned name, whose digest it does not have.
NAME = "localhost/pilotlight-base"
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# Without it the host's name, resolver and package sources would be in the image.
FORGET = 'rm -rf "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/sources.list.d/* "$1"/var/log/apt "$1"/var/log/*.log'
COMMAND = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--mode=root",
    "--include=python3,python3-venv,ca-certificates",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "locale", "doc")),
    f"--customize-hook={FORGET}",
    "bookworm",
)
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


def base_tar(cache: Path) -> Path:
    """The base's root as a tar file, 177 MB, made once per user (about 25 s). Raises RuntimeError with mmdebstrap's message."""
    tar = cache / f"python-bookworm-{hashlib.sha256(repr(COMMAND).encode()).hexdigest()[:12]}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "base.lock"):
        if not tar.exists():
            _make(tar)
    return tar


def _make(tar: Path) -> None:
    sources = next((path for path in SOURCES if Path(path).is_file()), None)
    if sources is None:
        raise RuntimeError(f"No package sources for the base image: none of {', '.join(SOURCES)} is there.")
    partial = tar.with_name(f".{tar.name}")
    try:
        made = subprocess.run(
            [*COMMAND, str(partial), sources], env=os.environ | {"SOURCE_DATE_EPOCH": "0"}, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise RuntimeError(f"mmdebstrap failed ({made.returncode}) with {sources}:\n{made.stderr[-2000:]}")
        partial.rename(tar)
    finally:
        partial.unlink(missing_ok=True)

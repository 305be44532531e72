"""uv, as a library: one call, its message on failure."""

import subprocess
import sys
from collections.abc import Sequence

from pilotlight.packaging.errors import PackagingError

TIMEOUT_S = 3600


def run_uv(arguments: Sequence[str], *, purpose: str) -> None:
    """Run uv with this interpreter's copy. Raises PackagingError with uv's own words and the purpose ("Installing …") on failure."""
    try:
        done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackagingError(f"{purpose} took longer than {TIMEOUT_S // 60} minutes and was stopped: check the package index.") from error
    if done.returncode:
        raise PackagingError(f"{purpose} failed:\n{done.stderr.strip()}")

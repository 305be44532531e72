"""Makes the environment of the linters: zizmor and hadolint as packages, actionlint from its Go module, whose lock is beside it."""

import hashlib
import subprocess
from pathlib import Path

from pilotlight import toolchain

HERE = Path(__file__).parent
MODULE = HERE / "actionlint"


def build_actionlint(bin_folder: Path) -> None:
    """`actionlint` in the folder, built again when its lock changes."""
    marker = bin_folder / ".actionlint-lock"
    wanted = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()
    if (bin_folder / "actionlint").is_file() and marker.is_file() and marker.read_text() == wanted:
        return
    print("Building actionlint from its Go module, once; about 15 seconds.", flush=True)
    go = toolchain._go(print)
    command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", str(bin_folder / "actionlint")]
    subprocess.run([*command, "github.com/rhysd/actionlint/cmd/actionlint"], cwd=MODULE, check=True)
    marker.write_text(wanted)

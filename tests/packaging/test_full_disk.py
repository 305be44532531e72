"""A cache on a disk that fills up in the middle of the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.packaging.tiny_models import bert_folder

ROOT = Path(__file__).resolve().parents[2]
# The disk is smaller than what it says is free when the work begins: `shutil.disk_usage` answers for another one.
PROGRAM = """
import shutil, sys
from pathlib import Path
from pilotlight.packaging import PackagingError, is_packaged, package_model
shutil.disk_usage = lambda path: type("Usage", (), {"free": 10**12})()
cache = Path(sys.argv[2])
try:
    package_model(sys.argv[1], "feature-extraction", "onnx", cache, progress=print)
except PackagingError as error:
    print("refused:", error)
left = [path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
print("left:", left, is_packaged(sys.argv[1], "feature-extraction", "onnx", cache))
"""


@pytest.mark.parametrize("size", ["200k", "500k"])
def test_a_disk_that_fills_up_is_told_and_nothing_is_left(tmp_path, size):
    source = bert_folder(tmp_path / "model")
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own: the small disk is seen by this one process and goes with it.
    script = f'mount -t tmpfs -o size={size} none "$1" && shift && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", disk, sys.executable, "-c", PROGRAM, source, disk / "cache"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no unshare (Linux, util-linux) to make a small disk with")
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("mounting a small disk needs root or user namespaces")
    assert "refused: No space left while writing under" in done.stdout, done.stdout + done.stderr
    assert "nothing was kept" in done.stdout
    assert "left: [] False" in done.stdout

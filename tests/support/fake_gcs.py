"""fake-gcs-server, the Cloud Storage of the tests: built once a user from its Go module, run in this machine's memory."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import filelock
import httpx

from pilotlight import toolchain
from pilotlight.twin.ports import port_for_later

VERSION = "1.54.0"
MODULE = "github.com/fsouza/fake-gcs-server"
PATIENCE_S = 30


def binary() -> Path:
    """The executable. Building it takes three minutes on two cores, once."""
    folder = toolchain.cache_folder() / "tools" / f"fake-gcs-server-{VERSION}"
    built = folder / "fake-gcs-server"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        if not built.is_file():
            command = [toolchain._go(print), "install", "-ldflags", "-s -w", f"{MODULE}@v{VERSION}"]
            subprocess.run(command, env=os.environ | {"GOBIN": str(folder)}, check=True)
    return built


@contextmanager
def running() -> Iterator[str]:
    """The address of a server that is empty, and gone after the block."""
    with TemporaryDirectory(prefix="fake-gcs-") as folder:
        port = port_for_later()
        options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-filesystem-root", folder, "-log-level", "error"]
        process = subprocess.Popen([binary(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{port}"
            _until_ready(address, process)
            yield address
        finally:
            process.kill()
            process.wait()


def _until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(f"{address}/_internal/healthcheck").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"fake-gcs-server does not answer at {address}, exit status {process.poll()}.")

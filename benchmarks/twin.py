"""A twin of its own for one benchmark, driven by the very commands that people type."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import BenchmarkError

ROOT = Path(__file__).resolve().parents[1]
STACK = "aws-sagemaker-api"
_COMMAND = Path(sys.executable).with_name("pilotlight")
_PATIENCE_S = 600


class Twin:
    """Runs `pilotlight` against one home."""

    def __init__(self, home: str) -> None:
        self._env = os.environ | {"PILOTLIGHT_HOME": home}

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[float, str]:
        """(wall seconds of the whole command, its standard output). BenchmarkError with what it said where it fails."""
        started = time.monotonic()
        done = subprocess.run(
            [_COMMAND, *arguments], cwd=ROOT, env=self._env | (env or {}), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
        seconds = time.monotonic() - started
        if done.returncode != 0:
            raise BenchmarkError(f"pilotlight {' '.join(arguments)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
        return seconds, done.stdout

    def deploy(self, operation: str, stack: str = STACK, *arguments: str) -> tuple[float, dict[str, Any]]:
        """`pilotlight OPERATION STACK --local`: wall seconds, and its JSON report."""
        seconds, output = self.run(operation, stack, "--local", "--json", *arguments)
        return seconds, json.loads(output)

    def api_key(self, stack: str = STACK) -> str:
        """A stack's key, by plain `pulumi` with the environment that the command prints."""
        plain = json.loads(self.run("env", "--local", "--json")[1])
        command = ["pulumi", "stack", "output", "apiKey", "--show-secrets", "--stack", stack]
        env = self._env | plain
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def own_twin(*stacks: str) -> Iterator[Twin]:
    """A twin with nothing in it, stopped and forgotten afterwards; the models of the stacks (of STACK, where none is named) are
    packaged, so that they are in no figure."""
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as home:
        twin = Twin(home)
        try:
            for stack in stacks or (STACK,):
                twin.run("package", stack)
            yield twin
        finally:
            twin.run("down")

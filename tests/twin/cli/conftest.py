"""A checkout with a small program, a mini provider in place of the twin, and `pilotlight` as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.mini_provider import MiniProvider, mini_provider

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
PROGRAM = """
import pulumi


class Thing(pulumi.CustomResource):
    def __init__(self, name, props, protect):
        super().__init__("mini:index:Thing", name, props, pulumi.ResourceOptions(protect=protect))


for name, props in pulumi.Config().require_object("things").items():
    Thing(name, props, props.pop("protect", False))
pulumi.export("url", "http://127.0.0.1/predict")
pulumi.export("apiKey", pulumi.Output.secret("hunter2"))
"""


@dataclass
class Checkout:
    """A git checkout with the stacks `demo` and `other`."""

    root: Path
    home: Path
    provider: MiniProvider
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def things(self, **things: dict[str, Any]) -> None:
        """Commit a stack file with these resources."""
        (self.root / "stacks" / "Pulumi.demo.yaml").write_text(f"config:\n  pilotlight:things: {json.dumps(things)}\n")
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message", "things")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        return subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True).stdout

    def dirty(self) -> str:
        """What git sees as changed or new."""
        return self.git("status", "--porcelain")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`pilotlight` in the program's folder."""
        command = [sys.executable, "-P", "-m", "tests.support.mini_cli", str(self.provider.port), *arguments]
        process = subprocess.Popen(
            command, cwd=self.root / "stacks", env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.started.append(process)
        return process

    def pilotlight(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))}
        return kept | {"PILOTLIGHT_HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"gave up waiting: {what}"
            time.sleep(0.05)

    def processes(self) -> list[str]:
        """Command lines of processes that belong to this home."""
        found = []
        for process in psutil.process_iter(["pid"]):
            try:
                if process.environ().get("PULUMI_HOME", "").startswith(str(self.home)):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    root = tmp_path / "checkout"
    (root / "stacks").mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: pilotlight\nruntime: python\nmain: stacks\nstackConfigDir: stacks\n")
    (root / "stacks" / "__main__.py").write_text(PROGRAM)
    (root / ".gitignore").write_text("__pycache__/\n")
    for stack in ("demo", "other"):
        (root / "stacks" / f"Pulumi.{stack}.yaml").write_text("config:\n  pilotlight:things: {}\n")
    with mini_provider() as provider:
        made = Checkout(root=root, home=tmp_path / "home", provider=provider)
        made.git("init", "--quiet")
        made.git("add", ".")
        made.git("commit", "--quiet", "--message", "start")
        yield made
        for process in made.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        made.wait_for(lambda: not made.processes(), "the engine and its host end with the command")

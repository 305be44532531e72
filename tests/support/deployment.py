"""A checkout and a twin of a test's own, driven by the command that users type."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from pilotlight.cli.addresses import reachable
from pilotlight.twin import client as twin_client

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.prefix) / "bin" / "pilotlight"
PATIENCE_S = 240
# Days of schedules on a machine that is busy with other tests.
FORWARD_S = 900
UPSTREAM = "pilotlight"
# Made once: it takes 20 ms of a processor, and each call would make its own.
TRUSTED = ssl.create_default_context()


def copy_checkout(target: Path) -> Path:
    """The files of this checkout (tracked, or new and not ignored), so that a test may edit them; the project has upstream's name, which
    tests know it by, also where the checkout is a fork's."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    named_upstream(target)
    return target


def cloned(target: Path) -> Path:
    """A clone of this checkout's commit, with what is changed in it since: a file that git does not know is not there."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    changes = subprocess.run(["git", "diff", "HEAD", "--binary"], cwd=ROOT, capture_output=True, check=True).stdout
    if changes:
        subprocess.run(["git", "apply"], cwd=target, input=changes, check=True)
    named_upstream(target)
    return target


def named_upstream(checkout: Path) -> None:
    """Give the project of a copy upstream's name."""
    file = checkout / "Pulumi.yaml"
    file.write_text(re.sub(r"^name: .+$", f"name: {UPSTREAM}", file.read_text(), count=1, flags=re.MULTILINE))


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One twin (its home) and one checkout; every command of it is the real one."""

    checkout: Path
    home: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PILOTLIGHT_HOME": str(self.home),
            "PYTHONPATH": str(self.checkout),
            "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
            **self.extra,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in a process group of its own, so that a test can interrupt it as a terminal would."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `code` is the exit status that it must have (None: any)."""
        result = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
        if code is not None:
            assert result.returncode == code, f"pilotlight {' '.join(arguments)}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def report(self, operation: str, stack: str, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        """`--json` of an operation."""
        found: dict[str, Any] = json.loads(self.run(operation, stack, *arguments, "--json", code=code).stdout)
        return found

    def up(self, stack: str) -> dict[str, Any]:
        return self.report("up", stack, "--local")

    def variables(self) -> dict[str, str]:
        """What `pilotlight env --local` gives a shell."""
        found: dict[str, str] = json.loads(self.run("env", "--local", "--json").stdout)
        return found

    def pulumi(self, *arguments: str, code: int = 0) -> str:
        """A plain `pulumi` command in the environment that `pilotlight env --local` prints."""
        result = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.checkout,
            env=self.environment | self.variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert result.returncode == code, f"pulumi {' '.join(arguments)}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def twin(self, name: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request of the twin's control API (`pilotlight/twin/control.py`): its clock, its faults, its processes."""
        return twin_client.call(twin_client.ensure_running(self.home), name, body, timeout_s=FORWARD_S)

    def outputs(self, stack: str) -> dict[str, Any]:
        """What the engine tells, with addresses that answer on this machine."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets", "-s", stack))
        if "url" in found:
            found["url"] = reachable(found["url"], twin_client.ensure_running(self.home).front_url)
        return found

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Change a file of the checkout by a regular expression that must match."""
        path = self.checkout / name
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert count, f"{pattern!r} does not occur in {name}"
        path.write_text(text)

    def configure(self, stack: str, changes: Mapping[str, Any]) -> None:
        """Change settings of a stack: a mapping is merged into the one that is there, None takes a setting out."""
        path = self.checkout / "stacks" / f"Pulumi.{stack}.yaml"
        config = yaml.safe_load(path.read_text())
        _merge(config["config"]["pilotlight:service"], changes)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def down(self) -> None:
        self.run("down", code=None)

    def processes(self) -> list[psutil.Process]:
        """Whatever runs for this twin: it carries the home in its arguments or its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                carries = any(str(self.home) in part for part in process.cmdline())
                if carries or str(self.home) in process.environ().get("PILOTLIGHT_HOME", ""):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return [process for process in found if process.pid != os.getpid()]


def _merge(held: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            held.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(held.get(name), dict):
            _merge(held[name], value)
        else:
            held[name] = value


def post(outputs: Mapping[str, Any], body: Any, *, timeout: float = 60, key: str | None = None) -> httpx.Response:
    """A call of the deployed API with its key; `body` is sent as it is when it is bytes."""
    headers = {"x-api-key": key if key is not None else outputs["apiKey"], "content-type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(outputs["url"], content=content, headers=headers, timeout=timeout, verify=TRUSTED)


def followed(outputs: Mapping[str, Any], answer: httpx.Response, *, patience_s: float = 120) -> httpx.Response:
    """The answer itself; of one that comes later (202), what its address has in the end, asked with the same key."""
    deadline = time.monotonic() + patience_s
    while answer.status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.5)
        answer = httpx.get(address_of(answer), headers={"x-api-key": outputs["apiKey"]}, timeout=60, verify=TRUSTED)
    return answer


def address_of(answer: httpx.Response) -> str:
    """Where the answer will be that comes later than this one; on this machine, where only its cloud reaches the gateway."""
    return reachable(str(answer.url.join(answer.headers["location"])), f"{answer.url.scheme}://{answer.url.netloc.decode()}")


def interrupt(process: subprocess.Popen[str], *, times: int = 1, signal_: int = signal.SIGINT) -> None:
    """What Ctrl-C does: the signal goes to the foreground process group."""
    for _ in range(times):
        os.killpg(process.pid, signal_)

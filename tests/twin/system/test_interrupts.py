"""Ctrl-C once, twice, or a kill in the middle of `up`: the next `up` completes it, with one copy of everything."""

import collections
import sqlite3
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest

from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import use_of
from tests.support.deployment import Deployment, interrupt
from tests.support.size import only_all

WAYS = ("one Ctrl-C", "two Ctrl-C", "the command killed", "the engine killed")
# Large runs, since each way has a small program of its own in every run (tests/twin/cli).
RUNS = [pytest.param(ready, how, id=f"{ready.name}-{how}", marks=only_all) for ready in STACKS for how in WAYS]


def wait_for_creations(deployment: Deployment, count: int) -> None:
    """Until the twin holds some resources of the stack: the engine is in the middle of it."""
    deadline = time.monotonic() + 120
    while len(held(deployment)) < count:
        assert time.monotonic() < deadline, f"only {len(held(deployment))} resources after two minutes"
        time.sleep(0.05)


def held(deployment: Deployment) -> list[str]:
    """URNs of what the twin's account holds, read from its own store (its internal records have none)."""
    with sqlite3.connect(f"file:{deployment.home / 'world.sqlite3'}?mode=ro", uri=True) as store:
        return [urn for (urn,) in store.execute("SELECT urn FROM resources WHERE urn != ''")]


def kill_command(deployment: Deployment, pid: int) -> None:
    psutil.Process(pid).kill()


def kill_engine(deployment: Deployment, pid: int) -> None:
    engines = [process for process in psutil.Process(pid).children(recursive=True) if process.name() == "pulumi"]
    assert engines, "no engine runs"
    for engine in engines:
        engine.kill()


@pytest.mark.parametrize(("ready", "how"), RUNS)
def test_the_next_up_completes_an_interrupted_one(deployment: Deployment, ready: ReadyStack, how: str) -> None:
    deployment.twin("faults", {"create_delay": {"min": 0.5, "max": 1.5, "seed": 7}})
    before = collections.Counter(held(deployment))  # the account's log role stays when a stack goes, as declared
    process = deployment.start("up", ready.name, "--local")
    try:
        interrupt_it(deployment, process, how, before.total() + 12)
    finally:
        process.kill()
    deployment.twin("faults", {"create_delay": None})
    report = deployment.up(ready.name)
    assert report["result"] == "succeeded", report["diagnostics"]
    copies = {urn: count for urn, count in (collections.Counter(held(deployment)) - before).items() if count > 1}
    assert copies == {}
    assert use_of(ready.pattern, deployment, deployment.outputs(ready.name)).answer("whole again")
    state = deployment.home / "pulumi" / "state" / ".pulumi"
    assert list((state / "locks").rglob("*.json")) == []
    assert list(state.rglob("*.attrs")) == []  # written in two steps: the engine killed between them could read no state again
    assert deployment.report("destroy", ready.name)["result"] == "succeeded"
    engines = [process for process in deployment.processes() if process.name() in ("pulumi", "pulumi-language-python")]
    assert engines == []


def interrupt_it(deployment: Deployment, process: subprocess.Popen[str], how: str, resources: int) -> None:
    """Interrupt the running `up` once the account holds so many resources; it must end by itself then, and say that it failed."""
    wait_for_creations(deployment, resources)
    acts: dict[str, Callable[[], None]] = {
        "one Ctrl-C": lambda: interrupt(process),
        "two Ctrl-C": lambda: (interrupt(process), time.sleep(0.3), interrupt(process))[0],
        "the command killed": lambda: kill_command(deployment, process.pid),
        "the engine killed": lambda: kill_engine(deployment, process.pid),
    }
    acts[how]()
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output

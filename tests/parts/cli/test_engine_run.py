"""Starting, following, interrupting and outliving an engine; the engine is a small script that behaves as told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from pilotlight.cli.engine_run import EngineRun, scratch_folder
from tests.support.ending import ended

PATIENCE_S = 15.0

# Writes one event a step; `patient` ends on the first SIGINT, `stubborn` on the second, `hung` never.
ENGINE = """
import json, os, signal, subprocess, sys, time
kind, log = sys.argv[1], sys.argv[sys.argv.index("--event-log") + 1]
seen = 0
def interrupted(number, frame):
    global seen
    seen += 1
signal.signal(signal.SIGINT, interrupted)
if kind == "hung":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
with open(log, "w") as stream:
    def say(**event):
        stream.write(json.dumps(event) + "\\n"); stream.flush()
    say(started=os.getpid(), child=child.pid if kind == "hung" else None)
    stream.write('{"diagnosticEvent": {"severity":"debug"}}\\nnot json\\n')
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and kind != "quick":
        if seen >= {"patient": 1, "stubborn": 2, "hung": 99}[kind]:
            say(interrupted=seen); sys.exit(1)
        time.sleep(0.02)
    say(finished=True)
print("a last word")
sys.exit(3)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], EngineRun]:
    script = tmp_path / "engine.py"
    script.write_text(ENGINE)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def start(kind: str) -> EngineRun:
        command = [sys.executable, str(script), kind]
        return EngineRun(command, folder=tmp_path, environment=dict(os.environ), scratch=scratch, say=lambda text: None)

    return start


def followed(run: EngineRun, *signals: float) -> list[Mapping[str, Any]]:
    """Follow a run, sending this process SIGINT that long after the engine's first event."""
    events: list[Mapping[str, Any]] = []

    def on_event(event: Mapping[str, Any]) -> None:
        events.append(event)
        if "started" in event:
            for delay in signals:
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()

    run.follow(on_event)
    return events


def test_events_come_in_order_without_debug_lines_and_half_lines(engine: Callable[[str], EngineRun]) -> None:
    run = engine("quick")
    events = followed(run)
    assert [next(iter(event)) for event in events] == ["started", "finished"]
    assert run.status == 3
    assert run.output() == "a last word\n"


def test_one_interrupt_is_passed_on_once(engine: Callable[[str], EngineRun]) -> None:
    run = engine("patient")
    events = followed(run, 0.05)
    assert events[-1] == {"interrupted": 1}
    assert (run.interrupts, run.status) == (1, 1)


def test_a_second_interrupt_is_passed_on_too(engine: Callable[[str], EngineRun]) -> None:
    run = engine("stubborn")
    events = followed(run, 0.05, 0.3)
    assert events[-1] == {"interrupted": 2}
    assert run.interrupts == 2


def test_a_third_interrupt_kills_the_engine_and_what_it_started(engine: Callable[[str], EngineRun]) -> None:
    run = engine("hung")
    events = followed(run, 0.05, 0.2, 0.4)
    assert run.status != 0
    for pid in (events[0]["started"], events[0]["child"]):
        assert ended(pid)


def test_an_engine_that_hangs_after_two_interrupts_is_killed(engine: Callable[[str], EngineRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotlight.cli.engine_run.KILL_AFTER_S", 0.3)
    run = engine("hung")
    events = followed(run, 0.05, 0.2)
    assert run.interrupts == 2
    assert ended(events[0]["started"])


def test_the_commands_own_handlers_are_back_afterwards(engine: Callable[[str], EngineRun]) -> None:
    before = signal.getsignal(signal.SIGINT)
    followed(engine("quick"))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("kind", "rest"), [("patient", [])])
def test_the_engine_of_a_killed_command_is_interrupted_and_leaves_nothing(tmp_path: Path, kind: str, rest: list[str]) -> None:
    script, scratch = tmp_path / "engine.py", tmp_path / "scratch"
    script.write_text(ENGINE)
    scratch.mkdir()
    command = (
        "import os, sys; from pathlib import Path; from pilotlight.cli.engine_run import EngineRun\n"
        "run = EngineRun(sys.argv[1:4], folder=Path('.'), environment=os.environ, scratch=Path(sys.argv[4]), say=print)\n"
        "run.follow(lambda event: print(event['started'], flush=True))\n"
    )
    arguments = [sys.executable, "-c", command, sys.executable, str(script), kind, str(scratch)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert psutil.pid_exists(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    assert ended(pid)
    deadline = time.monotonic() + PATIENCE_S
    while scratch.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not scratch.exists()


def test_a_scratch_folder_is_private_and_removed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "runs") as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "events.json").write_text(json.dumps({}))
    assert list((tmp_path / "runs").iterdir()) == []

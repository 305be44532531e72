"""Locks of dead runs, copies of stack files."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session
from pilotlight.cli.stacks import LocalStack, alive, command_is_gone


@pytest.fixture
def stack(session_in: Callable[[str], Session]) -> LocalStack:
    return LocalStack(session_in("local"), "demo")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def locked(stack: LocalStack, content: str) -> Path:
    folder = stack.session.home.backend / ".pulumi" / "locks" / "organization" / "pilotlight" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "0b0e.json"
    file.write_text(content)
    file.with_name("0b0e.json.attrs").write_text("{}")
    return file


def lock_of(pid: int, *, since: datetime | None = None, host: str | None = None) -> str:
    at = (since or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
    return json.dumps({"pid": pid, "username": "me", "hostname": host or socket.gethostname(), "timestamp": at})


def silent(text: str) -> None:
    raise AssertionError(f"nothing to wait for, but: {text}")


def test_the_lock_of_a_dead_process_is_removed(stack: LocalStack, sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    file = locked(stack, lock_of(sleeper.pid))
    stack.clear_dead_locks(silent)
    assert list(file.parent.iterdir()) == []


def test_the_lock_of_a_running_process_is_respected(stack: LocalStack, sleeper: subprocess.Popen[bytes]) -> None:
    file = locked(stack, lock_of(sleeper.pid))
    with pytest.raises(CommandError, match=f"being changed by process {sleeper.pid}") as caught:
        stack.clear_dead_locks(silent)
    assert caught.value.code is Exit.FAILED
    assert file.exists()


def test_a_reused_process_id_does_not_hold_a_lock(stack: LocalStack, sleeper: subprocess.Popen[bytes]) -> None:
    file = locked(stack, lock_of(sleeper.pid, since=datetime.now(UTC) - timedelta(hours=1)))
    stack.clear_dead_locks(silent)
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "null"])
def test_a_half_written_lock_is_removed(stack: LocalStack, text: str) -> None:
    file = locked(stack, text)
    stack.clear_dead_locks(silent)
    assert not file.exists()


def test_a_lock_of_another_machine_is_left_and_named(stack: LocalStack) -> None:
    file = locked(stack, lock_of(1, host="elsewhere"))
    with pytest.raises(CommandError, match="locked from the machine elsewhere"):
        stack.clear_dead_locks(silent)
    assert file.exists()


def test_without_locks_there_is_nothing_to_do(stack: LocalStack) -> None:
    stack.clear_dead_locks(silent)


def test_an_engine_without_a_guard_is_nobodys(sleeper: subprocess.Popen[bytes]) -> None:
    assert not command_is_gone(sleeper.pid)
    assert not command_is_gone(0x7FFFFFF0)


def test_this_process_never_waits_for_itself() -> None:
    assert not alive(os.getpid(), "2020-01-01T00:00:00Z")


def test_a_time_that_cannot_be_read_counts_as_held(sleeper: subprocess.Popen[bytes]) -> None:
    assert alive(sleeper.pid, "yesterday")


def test_the_engine_gets_a_fresh_copy_of_the_committed_file(stack: LocalStack) -> None:
    committed = stack.session.project.stack_file("demo")
    copy = stack.config_file()
    copy.write_text("encryptionsalt: of-the-engine\n")
    assert stack.config_file().read_bytes() == committed.read_bytes()
    assert committed.parent != copy.parent

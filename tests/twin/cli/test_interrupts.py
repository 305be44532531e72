"""Ctrl-C once, twice, and kills in the middle of `up`: the next `up` completes the stack, without a second copy or a stale lock."""

import contextlib
import re
import signal
from pathlib import Path

import psutil
import pytest

from pilotlight.cli.exits import Exit
from tests.support.size import only_all
from tests.twin.cli.conftest import Checkout

LOCKS = "pulumi/state/.pulumi/locks"


def creating(checkout: Checkout) -> bool:
    """Whether the provider is in the middle of a creation."""
    return checkout.provider.creating > 0


def kill_all(pid: int) -> None:
    """Kill a command and all that it started, the command first so that it can't react."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for member in family:
        # The children of one that was killed may have ended by themselves.
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()


def locks(home: Path) -> list[Path]:
    return list((home / LOCKS).rglob("*.json"))


def completed(checkout: Checkout, copies: int) -> None:
    """The next `up` brings the stack to what it should be."""
    checkout.things(a={"value": "1"}, slow={"value": "2"})
    again = checkout.pilotlight("up", "demo", "--local")
    assert again.returncode == Exit.OK, again.stderr
    assert len(checkout.provider.things) == copies
    assert locks(checkout.home) == []
    assert checkout.pilotlight("up", "demo", "--local").stdout.splitlines()[-1] == "3 unchanged"
    assert checkout.dirty() == ""


def test_one_interrupt_finishes_what_is_in_flight(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, slow={"value": "2", "delay": 2})
    process = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert "Ctrl-C again stops at once" in err
    assert {"value": "2", "delay": 2.0} in checkout.provider.things.values()
    assert locks(checkout.home) == []
    completed(checkout, copies=2)


def test_two_interrupts_stop_at_once(checkout: Checkout) -> None:
    checkout.things(slow={"value": "2", "delay": 20})
    process = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "again stops at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == Exit.INTERRUPTED
    checkout.provider.release()
    # The mini provider keeps what the engine gave up on, the twin removes it when it is created again.
    completed(checkout, copies=3)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=only_all)])
def test_the_next_up_waits_for_the_engine_of_a_killed_command(checkout: Checkout, number: signal.Signals) -> None:
    checkout.things(a={"value": "1"}, slow={"value": "2", "delay": 2})
    process = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    process.send_signal(number)
    process.communicate(timeout=10)
    completed(checkout, copies=2)


def test_a_killed_engine_leaves_no_lock_and_no_pending_creation(checkout: Checkout) -> None:
    checkout.things(slow={"value": "2", "delay": 20})
    process = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    kill_all(process.pid)
    process.communicate(timeout=10)
    assert len(locks(checkout.home)) == 1
    checkout.provider.release()
    completed(checkout, copies=3)


def test_a_destroy_tells_of_creations_that_nobody_noted(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, slow={"value": "2", "delay": 20})
    process = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    kill_all(process.pid)
    process.communicate(timeout=10)
    checkout.provider.release()
    destroyed = checkout.pilotlight("destroy", "demo", "--local")
    assert destroyed.returncode == Exit.OK, destroyed.stderr
    # The other one may not have been noted by then either.
    assert re.search(r"Interrupted before they were noted: (a, )?slow(, a)?\.", destroyed.stderr)


def test_a_second_run_of_the_same_stack_is_refused_while_the_first_lives(checkout: Checkout) -> None:
    checkout.things(slow={"value": "2", "delay": 6})
    first = checkout.start("up", "demo", "--local")
    checkout.wait_for(lambda: creating(checkout), "the creation starts")
    second = checkout.pilotlight("up", "demo", "--local")
    assert second.returncode == Exit.FAILED
    assert "is being changed by process" in second.stderr
    first.communicate(timeout=60)
    assert first.returncode == Exit.OK

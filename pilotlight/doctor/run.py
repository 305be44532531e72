"""All checks at once: each in a thread of its own, none waited for longer than five seconds; who it is that asks, for thirty."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

from pilotlight.doctor.findings import Finding, unseen, warn
from pilotlight.doctor.subject import Identity, Subject

TIMEOUT_S = 5.0
# A command that gives credentials (`az`, a single sign-on) may take long to start, and nothing is known before it has.
WHO_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question. `needs_account`: only asked with good credentials, readable settings and a region."""

    id: str
    look: Callable[[Subject], Iterable[Finding]]
    needs_account: bool = True


class Task:
    """A call in a thread that dies with the process: a check that hangs must not hold the command."""

    def __init__(self, work: Callable[[], Any], seconds: float | None = None) -> None:
        self._work, self._done = work, threading.Event()
        self._ends = time.monotonic() + (TIMEOUT_S if seconds is None else seconds)
        self._result: Any = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 (raised again where it is waited for)
            self._error = error
        self._done.set()

    def wait(self) -> Any:
        """What the call returned; raises what it raised, or TimeoutError."""
        if not self._done.wait(max(0.0, self._ends - time.monotonic())):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result


def examine(subject: Subject, who: Callable[[Subject], tuple[Finding, Identity | None]], checks: Sequence[Check]) -> list[Finding]:
    """Every finding, in the order of the checks; `who` answers first, and without an identity nobody else is asked in the account."""
    first = Task(partial(who, subject), WHO_S)
    tasks = {check.id: Task(partial(_asked, check, subject)) for check in checks if not check.needs_account}
    try:
        credentials, identity = first.wait()
    except Exception as error:  # noqa: BLE001 (told as a finding)
        credentials, identity = _told("credentials", error, subject), None
    known = replace(subject, identity=identity)
    if identity is not None and subject.settings is not None and subject.region:
        tasks |= {check.id: Task(partial(_asked, check, known)) for check in checks if check.needs_account}
    return [credentials, *(finding for check in checks if check.id in tasks for finding in _findings(check.id, tasks[check.id], known))]


def _asked(check: Check, subject: Subject) -> list[Finding]:
    return list(check.look(subject))


def _findings(id: str, task: Task, subject: Subject) -> list[Finding]:
    try:
        return list(task.wait())
    except Exception as error:  # noqa: BLE001 (told as a finding: the other checks count)
        return [_told(id, error, subject)]


def to_look(subject: Subject, id: str, error: Exception) -> str:
    """The command that lets a check look, in the words of the subject's cloud; empty where nobody is known to be granted anything."""
    if subject.identity is None:
        return ""
    return str(import_module(f"pilotlight.doctor.{subject.cloud}.grants").to_look(subject, id, error))


def _told(id: str, error: Exception, subject: Subject) -> Finding:
    if isinstance(error, TimeoutError):
        return warn(id, f"no answer within {TIMEOUT_S:g} s", mend="look at your connection, then try again")
    return unseen(id, error, to_look(subject, id, error))

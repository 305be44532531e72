"""What takes messages from a queue, has them worked on, several at a time, and lets come again what is not done.

A queue knows no dead letters of its own: after the last attempt, or at once where no attempt can help, a message goes to another queue,
and is removed only then. So it is there twice where the process ends between the two.

A message can end its process, and cost all others there an attempt. So one that was cut off once is worked on alone from then on: each
such message takes others along at its first attempt and never again, and those that wait meanwhile lose none.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from handlers.functions import logs, spans
from handlers.functions.attempts import drawn_s, longest_pause_s
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.held import Held
from handlers.functions.azure.messages import Note
from handlers.functions.azure.queues import MOST_MESSAGES, Message, Queue
from handlers.functions.outcomes import NotAllowed, Unavailable
from handlers.functions.rest import ApiError

# Between questions to a queue that has nothing: the service has no long polling. Twice as long each time, up to where an idle replica
# receives less than the 1,000 bytes a second above which it costs more ("Billing in Azure Container Apps", idle usage).
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
# How long one waits for half of its room before it asks for less: each question costs as much whatever it brings.
_GATHER_S = 0.03
# After questions that failed.
_TROUBLE_PAUSE_S = 30.0
# For so long a right that is missing costs no attempt: it is known in minutes. What is never mended has to become a dead letter some day.
GRANTS_S = 3600
LETTERS_KEPT_S = 14 * 24 * 3600
# What work may take beyond its time before its message is left to others.
_STUCK_S = 60.0
# For the last question to the queue, and to give messages back before the process ends.
_LAST_S = 2.0
# How old what is taken is, is told so often, since each line costs.
_AGE_TOLD_S = 60.0
_RELEASE_S = 3.0
CUT_OFF = "Every attempt was cut off."


@dataclass(frozen=True, slots=True)
class Task:
    """A message's body, for the `attempt`th time of those that it has; `over` where each of them was used up before, and `last` is why.
    `spares` is whether a right that is missing leaves it unused."""

    id: str
    body: bytes
    attempt: int
    over: bool
    last: str
    spares: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How the work on a message ended: `done`, or the `reason` why not, which no further attempt can mend (`permanent`), or which uses
    no attempt up (not `spent`). It has `least_attempts`, however few others have."""

    done: bool
    reason: str = ""
    permanent: bool = False
    spent: bool = True
    least_attempts: int = 0


# Within the seconds that its second argument tells. What it raises counts as not done; Unavailable for a task that is `over` keeps it.
Work = Callable[[Task, Callable[[], float]], Ended]


class Consumer:
    """The messages of `queue` for `work`; what gets nowhere goes to `dead`."""

    def __init__(self, queue: Queue, dead: Queue, work: Work, settings: ConsumerSettings, now: Callable[[], float] = time.time) -> None:
        self._queue, self._dead, self._work, self._settings, self._now = queue, dead, work, settings, now
        self._changed = threading.Condition()
        self._held: set[Held] = set()
        self._fault: Exception | None = None
        self._oldest_s, self._age_told = -1.0, float("-inf")

    def run(self, leaving: threading.Event) -> None:
        """Work until `leaving`, then finish what is under way as far as the time allows; the rest is for others at once.

        What ends one of its own threads sets `leaving`, and is raised in the end.
        """
        # Not joined at the end: what outlives its time must not keep the process.
        threads = ThreadPoolExecutor(max_workers=self._settings.concurrency, thread_name_prefix="message")
        over = threading.Event()
        self._start("renewal", leaving, lambda: self._renew(over))
        taking = self._start("taking", leaving, lambda: self._take(leaving, threads))
        leaving.wait()
        # What its last question brings is given back; a service that does not answer it is not waited for.
        taking.join(_LAST_S)
        self._leave()
        over.set()
        threads.shutdown(wait=False, cancel_futures=True)
        if self._fault is not None:
            raise self._fault

    def _start(self, name: str, leaving: threading.Event, work: Callable[[], None]) -> threading.Thread:
        """A thread without which the process is of no use."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  (nobody else would ever know)
                self._fault = error
                leaving.set()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _take(self, leaving: threading.Event, threads: ThreadPoolExecutor) -> None:
        pause_s = SHORTEST_PAUSE_S
        while not leaving.is_set():
            if not (free := self._free()):
                continue
            try:
                found = self._queue.get(min(free, MOST_MESSAGES), unseen_s=self._settings.attempts.unseen_s)
            except Exception as error:  # noqa: BLE001  (whatever it is: a process that takes nothing any more is of no use)
                logs.write("poll_failed", level="WARNING", error=type(error).__name__, message=str(error))
                pause_s = min(pause_s * 2, _TROUBLE_PAUSE_S)
                leaving.wait(pause_s)
                continue
            taken = [Held(self._queue, message, self._settings.attempts.unseen_s) for message in found]
            with self._changed:
                self._held.update(taken)
            alone = [held for held in taken if held.was_cut_off]
            for held in alone:
                held.wait(self._spared(held))
            for held in taken:
                if not held.waits:
                    threads.submit(self._handle, held, leaving)
            self._one_by_one(alone, leaving, threads)
            self._tell_age(found)
            if found:
                pause_s = SHORTEST_PAUSE_S
            else:
                leaving.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _one_by_one(self, alone: Sequence[Held], leaving: threading.Event, threads: ThreadPoolExecutor) -> None:
        """Have each of these worked on while nothing else is; at the order to leave they are given back."""
        for held in alone:
            self._until_idle(leaving)
            if leaving.is_set() or held.start():
                threads.submit(self._handle, held, leaving)
            else:
                self._let_go(held)
        if alone:
            self._until_idle(leaving)

    def _until_idle(self, leaving: threading.Event) -> None:
        """Wait until nothing is worked on here but what is stuck."""
        with self._changed:
            while not leaving.is_set() and not all(held.waits or held.stuck for held in self._held):
                self._changed.wait(0.5)

    def _free(self) -> int:
        """How many more messages can be worked on; after a wait where there is no room, and a short one where there is little."""
        most = self._settings.concurrency
        enough = min((most + 1) // 2, MOST_MESSAGES)
        with self._changed:
            if self._changed.wait_for(lambda: len(self._held) < most, timeout=0.5):
                self._changed.wait_for(lambda: most - len(self._held) >= enough, timeout=_GATHER_S)
            return most - len(self._held)

    def _leave(self) -> None:
        """What is still under way at the end of its time is given back: it was cut off by us, and that is none of its attempts."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._held, timeout=self._settings.drain_s)
            left = list(self._held)
        logs.write("leaving", level="INFO" if done else "WARNING", given_back=len(left))
        if left:
            pool = ThreadPoolExecutor(max_workers=len(left), thread_name_prefix="leaving")
            wait([pool.submit(self._give_back, held) for held in left], timeout=_RELEASE_S)
            pool.shutdown(wait=False, cancel_futures=True)

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(min(1.0, self._settings.attempts.unseen_s / 12)):
            with self._changed:
                held = [one for one in self._held if not one.stuck]
            for one in held:
                if not one.waits and time.monotonic() - one.began > self._settings.timeout_s + _STUCK_S:
                    one.stuck = True
                    logs.write("message_stuck", level="ERROR", message_id=one.id, message="Its work does not end; others may take it.")
                elif one.due():
                    one.renew()

    def _handle(self, held: Held, leaving: threading.Event) -> None:
        try:
            if leaving.is_set():
                # Taken in the very moment of the order to leave.
                self._give_back(held)
            else:
                self._settle(held, self._ended(held))
        except ApiError as error:
            # It is seen again when its time is over, and what was done for it is known by then.
            logs.write("message_kept", level="WARNING", message_id=held.id, message=str(error))
        except Exception as error:  # noqa: BLE001  (one message must not take its thread's others down)
            logs.write_fault("consumer_fault", error, message_id=held.id)
        finally:
            self._let_go(held)

    def _let_go(self, held: Held) -> None:
        with self._changed:
            self._held.discard(held)
            self._changed.notify_all()

    def _tell_age(self, taken: Sequence[Message]) -> None:
        """How long the oldest message had been in the queue when it was taken, which no metric tells: an alert reads the line."""
        self._oldest_s = max((self._oldest_s, *(self._now() - each.inserted for each in taken)))
        if self._oldest_s >= 0 and time.monotonic() - self._age_told >= _AGE_TOLD_S:
            logs.write("queue_age", seconds=round(self._oldest_s, 1))
            self._oldest_s, self._age_told = -1.0, time.monotonic()

    def _ended(self, held: Held) -> Ended | None:
        """How the work ended; None where nobody can say yet whether it is done."""
        note, most = held.noted.note, self._settings.attempts.most
        spent = held.taken - note.spared
        if note.permanent:
            return Ended(done=False, reason=note.last, permanent=True)
        ends = held.began + self._settings.timeout_s
        task = Task(held.id, held.noted.body, max(1, spent), spent > most, note.last or CUT_OFF, self._spares(note))
        try:
            with spans.serving("message", {}, request_id=held.noted.request_id) as span:
                ended = self._work(task, lambda: ends - time.monotonic())
                span.success = ended.done
            return ended
        except Unavailable as error:
            logs.write("work_failed", level="WARNING", message_id=held.id, reason=str(error))
            return None if task.over else Ended(done=False, reason=str(error), spent=not isinstance(error, NotAllowed))
        except Exception as error:  # noqa: BLE001  (the last place where its message is still known)
            logs.write_fault("function_fault", error, message_id=held.id)
            return Ended(done=False, reason=f"{type(error).__name__}: {error}")

    def _settle(self, held: Held, ended: Ended | None) -> None:
        """Raises ApiError."""
        if held.ended:
            # Lost, or given back: how the work ended is for others to find out.
            return
        note = held.noted.note
        if ended is None:
            held.put_off(drawn_s(longest_pause_s(held.taken)), self._after(note))
            return
        if ended.done:
            held.delete()
            return
        last = held.taken - note.spared >= self._settings.attempts.most
        spared = (not ended.spent and self._spares(note)) or (last and held.taken < ended.least_attempts)
        after = replace(self._after(note), spared=note.spared + spared, last=ended.reason, permanent=ended.permanent)
        if (ended.permanent or last) and not spared and self._bury(held, ended):
            held.delete()
            return
        held.put_off(drawn_s(longest_pause_s(held.taken)), after)

    def _bury(self, held: Held, ended: Ended) -> bool:
        """Whether the dead letter was sent."""
        told: dict[str, Any] = {"attempts": held.taken, "permanent": ended.permanent}
        try:
            self._dead.put(held.noted.letter(ended.reason, message_id=held.id, **told), keep_s=LETTERS_KEPT_S)
        except ApiError as error:
            logs.write("dead_letter_failed", level="ERROR", message_id=held.id, message=str(error))
            return False
        logs.write("dead_letter", level="ERROR", request_id=held.noted.request_id, message_id=held.id, reason=ended.reason, **told)
        return True

    def _give_back(self, held: Held) -> None:
        try:
            held.put_off(0, self._spared(held))
        except ApiError as error:
            logs.write("message_kept", level="WARNING", message_id=held.id, message=str(error))

    def _spares(self, note: Note) -> bool:
        """Whether a right that is missing uses no attempt up yet."""
        return self._now() < (note.since or self._now()) + GRANTS_S

    def _spared(self, held: Held) -> Note:
        """The note of an attempt that is none."""
        return replace(self._after(held.noted.note), spared=held.noted.note.spared + 1)

    def _after(self, note: Note) -> Note:
        """The note of an attempt that left a word."""
        return replace(note, since=note.since or self._now(), words=note.words + 1)

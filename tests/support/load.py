"""A client that acts at a steady rate, to see whether anything fails while the stack under it changes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.deployment import followed, post

# The most that a client at a steady rate has under way at once.
PARALLEL = 16


@dataclass
class Acts:
    """What the acts returned, and what those that failed raised."""

    results: list[Any] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


@dataclass
class Calls:
    """What the calls were answered: status -> how often; the first body of each bad status."""

    statuses: dict[int, int] = field(default_factory=dict)
    bodies: dict[int, str] = field(default_factory=dict)

    @property
    def failed(self) -> dict[int, str]:
        return {status: self.bodies[status] for status in self.statuses if status != 200}


@contextmanager
def at_a_steady_rate(act: Callable[[], Any], *, per_second: float) -> Iterator[Acts]:
    """Act at a fixed rate, whether or not earlier acts are done, until the block ends; then the last ones are waited for.

    What a busy machine made it miss is not made up for, nor are more than `PARALLEL` acts under way: one that went on regardless would
    bring a machine that does nine a second ever further behind its ten, until deadlines pass that no change of the stack broke.
    """
    acts, stop, lock, free = Acts(), threading.Event(), threading.Lock(), threading.Semaphore(PARALLEL)

    def one() -> None:
        try:
            result = act()
        except Exception as error:  # noqa: BLE001 (any failure counts as a failed act, with its reason)
            with lock:
                acts.errors.append(error)
        else:
            with lock:
                acts.results.append(result)
        finally:
            free.release()

    def run() -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            due = time.monotonic()
            while not stop.is_set():
                free.acquire()
                pool.submit(one)
                due = max(due, time.monotonic() - 1 / per_second) + 1 / per_second
                stop.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield acts
    finally:
        stop.set()
        thread.join()


@contextmanager
def over_and_over(act: Callable[[], Any], *, threads: int = 1) -> Iterator[Acts]:
    """Act again as soon as the last act is done, in that many threads, until the block ends, however it does."""
    acts, stop = Acts(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                acts.results.append(act())
            except Exception as error:  # noqa: BLE001 (any failure counts as a failed act, with its reason)
                acts.errors.append(error)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(run)
        try:
            yield acts
        finally:
            stop.set()


@contextmanager
def calling(outputs: Mapping[str, Any], *, per_second: float = 10) -> Iterator[Calls]:
    """Call the API at a fixed rate until the block ends; the calls are complete after it, those answered later included."""
    calls = Calls()

    def call() -> tuple[int, str]:
        answer = followed(outputs, post(outputs, {"inputs": "a steady caller"}))
        return answer.status_code, answer.text[:500]

    with at_a_steady_rate(call, per_second=per_second) as acts:
        yield calls
    for status, body in [*acts.results, *((0, repr(error)) for error in acts.errors)]:
        calls.statuses[status] = calls.statuses.get(status, 0) + 1
        calls.bodies.setdefault(status, body)

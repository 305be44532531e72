"""A client that calls at a steady rate, to see whether anything fails while the stack under it changes."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.twin.system.deployment import post


@dataclass
class Calls:
    """What the calls were answered: status -> how often; the first body of each bad status."""

    statuses: dict[int, int] = field(default_factory=dict)
    bodies: dict[int, str] = field(default_factory=dict)

    @property
    def failed(self) -> dict[int, str]:
        return {status: self.bodies[status] for status in self.statuses if status != 200}


@contextmanager
def calling(outputs: Mapping[str, Any], *, per_second: float = 10) -> Iterator[Calls]:
    """Call the API at a fixed rate, whether or not earlier calls are answered, until the block ends."""
    calls, stop, lock = Calls(), threading.Event(), threading.Lock()

    def one() -> None:
        try:
            answer = post(outputs, {"inputs": "a steady caller"})
            status, body = answer.status_code, answer.text[:500]
        except Exception as error:  # noqa: BLE001 (any failure of a call counts as a failed call, with its reason)
            status, body = 0, repr(error)
        with lock:
            calls.statuses[status] = calls.statuses.get(status, 0) + 1
            calls.bodies.setdefault(status, body)

    def run() -> None:
        with ThreadPoolExecutor(32) as pool:
            futures: list[Future[None]] = []
            due = time.monotonic()
            while not stop.is_set():
                futures.append(pool.submit(one))
                due += 1 / per_second
                stop.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield calls
    finally:
        stop.set()
        thread.join()

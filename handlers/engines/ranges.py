"""One object as a stream whose parts are fetched side by side: a store gives one connection a share of what it gives several.

A part that nobody waits for any more may hang as long as its connection does. Its thread holds up no exit of the process.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait

# What a store advises for ranges (S3 user guide, "Performance guidelines": 8–16 MB), and few enough to be held in memory.
PART, AT_ONCE = 8 << 20, 4
# A part that takes longer than this, and so many times the ones before it, is asked for once more: of two, one is not slow.
_LEAST_PATIENCE_S, _TIMES = 2.0, 4


class Ranges:
    """Reads `size` bytes in their order, of which `fetch(start, end)` gives any part; several threads call it."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, *, part: int = PART, at_once: int = AT_ONCE) -> None:
        self._fetch, self._size, self._part = fetch, size, part
        self._starts = iter(range(0, size, part))
        self._coming: deque[tuple[int, Future[bytes]]] = deque()
        self._chunk, self._place = b"", 0
        self._lock, self._took = threading.Lock(), [0.0, 0.0]
        for _ in range(at_once):
            self._ask()

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end alone. Raises what `fetch` raised for these."""
        if self._place == len(self._chunk):
            if not self._coming:
                return b""
            self._chunk, self._place = self._awaited(*self._coming.popleft()), 0
            self._ask()
        piece = self._chunk[self._place : self._place + size]
        self._place += len(piece)
        return piece

    def _ask(self) -> None:
        """For the next part that nobody was asked for."""
        if (start := next(self._starts, None)) is not None:
            self._coming.append((start, self._begun(start)))

    def _begun(self, start: int) -> Future[bytes]:
        # Not of a pool: Python waits for a pool's threads before it exits, and one that hangs would take the place of another.
        future = Future[bytes]()
        threading.Thread(target=self._fetched, args=(start, future), name="model-parts", daemon=True).start()
        return future

    def _fetched(self, start: int, future: Future[bytes]) -> None:
        began = time.monotonic()
        try:
            content = self._fetch(start, min(start + self._part, self._size))
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is the reader's)
            future.set_exception(error)
            return
        with self._lock:
            self._took = [self._took[0] + 1, self._took[1] + time.monotonic() - began]
        future.set_result(content)

    def _awaited(self, start: int, first: Future[bytes]) -> bytes:
        asked, twice = {first}, False
        while True:
            done, asked = wait(asked, None if twice else self._patience_s(), FIRST_COMPLETED)
            for future in done:
                if future.exception() is None:
                    return future.result()
            if done and not asked:
                return done.pop().result()
            if not done:
                asked.add(self._begun(start))
                twice = True

    def _patience_s(self) -> float:
        with self._lock:
            parts, seconds = self._took
        return max(_LEAST_PATIENCE_S, _TIMES * seconds / parts) if parts else 2 * _LEAST_PATIENCE_S

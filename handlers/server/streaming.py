"""An answer that goes out while it is computed: from the model's thread to the client, piece by piece."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from handlers.functions.problems import DeadlineExceeded, Overloaded, RequestProblem
from handlers.server.forms import Encoded
from handlers.server.waiting import Job
from handlers.web.bodies import ClientGone

EVENTS = "text/event-stream"


class Stream:
    """The pieces of one answer, in order. What goes wrong before the first is raised by `first`; later it is the last piece, since the
    status is told already."""

    def __init__(
        self,
        until: float,
        broken: Callable[[RequestProblem], bytes],
        unexpected: Callable[[Exception], RequestProblem],
        done: Callable[[float], None],
    ) -> None:
        """`until` (monotonic clock) its time is over; `broken` tells a problem in its format, `unexpected` makes one of an error that
        nobody expected; `done` is told how long the whole took."""
        self._until = until
        self._broken = broken
        self._unexpected = unexpected
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._job: Job[Any, Encoded] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._first: bytes | None = None
        self._gone = False

    def tell(self, piece: bytes) -> None:
        """In the model's thread."""
        self._soon(self._pieces.put_nowait, piece)

    def of(self, job: "Job[Any, Encoded]") -> None:
        """The job whose pieces these are: it leaves the model when its time is over, whether its client reads them or not."""
        self._job = job
        self._timer = self._loop.call_later(max(self._until - time.monotonic(), 0), job.cancellation.cancel)
        job.future.add_done_callback(lambda _: self._soon(self._over))

    async def first(self) -> None:
        """Wait for the first piece. Raises RequestProblem."""
        try:
            self._first = await self._next()
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Nobody waits any more: the job leaves the model before its next step."""
        self._gone = True
        if self._job is not None:
            self._job.cancellation.cancel()
        self._pieces.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises ClientGone after `give_up`."""
        piece = self._first
        try:
            while piece is not None:
                yield piece
                piece = await self._next()
            yield self._last()
        except RequestProblem as problem:
            yield self._broken(problem)
        except asyncio.CancelledError:
            yield self._broken(Overloaded("The server is shutting down.", retry_after_s=1))
            raise
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  (its status is told already: the last place where it can still become an answer)
            yield self._broken(self._unexpected(error))
        finally:
            if self._job is not None:
                self._job.cancellation.cancel()

    async def _next(self) -> bytes | None:
        """The next piece, None behind the last one. Raises RequestProblem, ClientGone."""
        try:
            async with asyncio.timeout(max(self._until - time.monotonic(), 0)):
                piece = await self._pieces.get()
        except TimeoutError as error:
            raise self._late() from error
        if self._gone:
            raise ClientGone
        if piece is None:
            assert self._job is not None  # it ended
            if self._job.future.cancelled():
                raise self._late()
            if (failure := self._job.future.exception()) is not None:
                raise failure
        return piece

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded("The answer took longer than it may take.")

    def _last(self) -> bytes:
        assert self._job is not None  # it ended
        encoded, seconds = self._job.future.result()
        self._done(seconds)
        return encoded.body

    def _over(self) -> None:
        """The job has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._pieces.put_nowait(None)

    def _soon(self, tell: Callable[..., object], *told: object) -> None:
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell, *told)


async def send_stream(
    send: Callable[[Any], Awaitable[None]],
    stream: Stream,
    left: Callable[[], Coroutine[Any, Any, None]],
    headers: list[tuple[bytes, bytes]],
) -> int:
    """Send an answer piece by piece; how many bytes that were. `left` returns when the client leaves, then ClientGone is raised."""
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    watching = asyncio.ensure_future(left())
    watching.add_done_callback(lambda task: None if task.cancelled() else stream.give_up())
    sent = 0
    try:
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += len(piece)
    except asyncio.CancelledError:
        await send({"type": "http.response.body", "body": b""})
        raise
    finally:
        watching.cancel()
    await send({"type": "http.response.body", "body": b""})
    return sent

"""Streaming pull: what one stream has out, and how much more it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

from google.pubsub_v1.types import pubsub as types

from pilotlight.twin.gcp.grpc_front import invalid
from pilotlight.twin.gcp.pubsub_store import Delivery

# What one answer holds at most, so that streams share what is there.
CHUNK = 100
ReceivedMessage: Any = types.ReceivedMessage.pb()
_Answer: Any = types.StreamingPullResponse.pb()


class Stream:
    """Flow control as the first request asked for: 0 is no limit. `changed` is set when there may be something to send.

    `now` gives seconds since the epoch, by the twin's clock.
    """

    def __init__(self, first: Any, now: Callable[[], float]) -> None:
        self.lease_s = _lease_s(first)
        self.changed = asyncio.Event()
        self.ended = False
        self._now = now
        self._most = first.max_outstanding_messages
        self._most_bytes = first.max_outstanding_bytes
        # What is out: its bytes, and when its lease is over.
        self._out: dict[str, tuple[int, float]] = {}

    def room(self) -> int:
        """How many messages it takes now. What was not settled in time does not count any more: it comes again."""
        now = self._now()
        self._out = {ack_id: held for ack_id, held in self._out.items() if held[1] > now}
        if self._most_bytes > 0 and sum(size for size, _ in self._out.values()) >= self._most_bytes:
            return 0
        return min(CHUNK, max(0, self._most - len(self._out))) if self._most > 0 else CHUNK

    def give(self, deliveries: list[Delivery]) -> None:
        ends = self._now() + self.lease_s
        self._out |= {one.ack_id: (one.message.ByteSize(), ends) for one in deliveries}

    def extend(self, ack_id: str, seconds: float) -> None:
        if ack_id in self._out:
            self._out[ack_id] = (self._out[ack_id][0], self._now() + seconds)

    def release(self, ack_id: str) -> None:
        """The message is settled."""
        if self._out.pop(ack_id, None) is not None:
            self.changed.set()


class Source(Protocol):
    """What a stream reads from and settles with."""

    def take_for(self, name: str, stream: Stream) -> list[Any]: ...

    def acknowledge(self, name: str, ack_ids: list[str]) -> None: ...

    def lease(self, name: str, ack_ids: list[str], seconds: float) -> None: ...


async def answers(name: str, stream: Stream, source: Source) -> AsyncGenerator[Any, None]:
    """Responses, until the client has closed its side."""
    while not stream.ended:
        stream.changed.clear()
        received = source.take_for(name, stream)
        if received:
            yield _Answer(received_messages=received)
        else:
            await stream.changed.wait()


async def read(name: str, stream: Stream, source: Source, requests: AsyncIterator[Any]) -> None:
    """What the client sends after its first request: acknowledgements and leases, until it closes its side."""
    try:
        async for request in requests:
            settle(name, source, request)
            if request.stream_ack_deadline_seconds:
                stream.lease_s = _lease_s(request)
    finally:
        stream.ended = True
        stream.changed.set()


def settle(name: str, source: Source, request: Any) -> None:
    if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
        raise invalid("modifyDeadlineAckIds and modifyDeadlineSeconds: give as many of one as of the other.")
    if request.ack_ids:
        source.acknowledge(name, list(request.ack_ids))
    for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
        source.lease(name, [ack_id], seconds)


def _lease_s(request: Any) -> float:
    seconds = request.stream_ack_deadline_seconds
    if not 10 <= seconds <= 600:
        raise invalid(f"streamAckDeadlineSeconds: {seconds} is out of range: use 10 to 600.")
    return float(seconds)


def received(delivery: Delivery, counted: bool) -> Any:
    """As pulls give a message; the number of the attempt only where there is a dead-letter policy."""
    return ReceivedMessage(ack_id=delivery.ack_id, message=delivery.message, delivery_attempt=delivery.attempt if counted else 0)

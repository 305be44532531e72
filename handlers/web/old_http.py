"""Answers to clients of HTTP/1.0."""

from typing import Any

from handlers.web.bare_uvicorn import RequestResponseCycle


def of_old(cycle: RequestResponseCycle) -> None:
    """Have a request of HTTP/1.0, which nobody has begun to answer, answered as its client can read it."""
    # RFC 9110, section 10.1.1: it can't have meant that.
    cycle.waiting_for_100_continue = False
    # uvicorn makes them of one class and takes no other.
    cycle.__class__ = _OldCycle


class _OldCycle(RequestResponseCycle):
    """Sends no chunks (RFC 9112, section 6.1): an answer whose length is not told is over where its connection is, which uvicorn keeps for
    nobody of HTTP/1.0."""

    _told = True

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
                self.chunked_encoding = False
                self._told = False
        elif not self._told:
            # What uvicorn holds the answer to: all that has come of it.
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

"""Queues in memory, on the real clock: "Put Message", "Get Messages", "Peek Messages", "Update Message", "Delete Message"."""

import itertools
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from tests.parts.handlers.azure.storage_answers import Answer, error

_numbers = itertools.count(1)
# Nobody here reads when something will be.
_WHEN = "Fri, 09 Oct 2026 21:04:30 GMT"


@dataclass
class Stored:
    """`seen_at` is when it can be taken, `receipt` what the last one to take it was given."""

    text: str
    seen_at: float
    ends: float
    id: str = field(default_factory=lambda: f"message-{next(_numbers)}")
    taken: int = 0
    receipt: str = ""
    inserted: float = field(default_factory=time.time)


@dataclass
class QueueService:
    """Messages by their queues' names."""

    queues: dict[str, list[Stored]] = field(default_factory=dict)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        address = urlsplit(path)
        queue, _, rest = address.path.partition("/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if queue not in self.queues:
            return error(404, "QueueNotFound")
        self.queues[queue] = messages = [each for each in self.queues[queue] if each.ends > time.time()]
        if rest == "messages":
            return self._put(messages, query, body) if method == "POST" else self._get(messages, query)
        return self._one(messages, method, rest.removeprefix("messages/"), query, body)

    def _put(self, messages: list[Stored], query: Mapping[str, str], body: bytes) -> Answer:
        text = ElementTree.fromstring(body).findtext("MessageText")
        if text is None or len(text.encode()) > 65_536:
            return error(413, "RequestBodyTooLarge")
        now, kept = time.time(), int(query.get("messagettl", 604_800))
        unseen = int(query.get("visibilitytimeout", 0))
        messages.append(Stored(text, now + unseen, now + (kept if kept > 0 else 10**9)))
        return 201, self._listed(messages[-1:], receipts=True), {"Content-Type": "application/xml"}

    def _get(self, messages: list[Stored], query: Mapping[str, str]) -> Answer:
        most, looks = int(query.get("numofmessages", 1)), query.get("peekonly") == "true"
        if not 1 <= most <= 32:
            return error(400, "OutOfRangeQueryParameterValue")
        found = [each for each in messages if each.seen_at <= time.time()][:most]
        for each in [] if looks else found:
            self._take(each, int(query.get("visibilitytimeout", 30)))
            each.taken += 1
        return 200, self._listed(found, receipts=not looks), {"Content-Type": "application/xml"}

    def _one(self, messages: list[Stored], method: str, id_: str, query: Mapping[str, str], body: bytes) -> Answer:
        found = next((each for each in messages if each.id == id_), None)
        if found is None:
            return error(404, "MessageNotFound")
        if query["popreceipt"] != found.receipt:
            return error(400, "PopReceiptMismatch")
        if method == "DELETE":
            messages.remove(found)
            return 204, b"", {}
        self._take(found, int(query["visibilitytimeout"]))
        if body:
            found.text = ElementTree.fromstring(body).findtext("MessageText") or ""
        return 204, b"", {"x-ms-popreceipt": found.receipt, "x-ms-time-next-visible": _WHEN}

    @staticmethod
    def _take(message: Stored, unseen_s: int) -> None:
        message.seen_at, message.receipt = time.time() + unseen_s, f"receipt+/{next(_numbers)}="

    @staticmethod
    def _listed(messages: list[Stored], *, receipts: bool) -> bytes:
        parts = []
        for each in messages:
            own = f"<PopReceipt>{escape(each.receipt)}</PopReceipt><TimeNextVisible>{_WHEN}</TimeNextVisible>" if receipts else ""
            inserted = formatdate(each.inserted, usegmt=True)
            told = f"<MessageId>{each.id}</MessageId><InsertionTime>{inserted}</InsertionTime><ExpirationTime>{_WHEN}</ExpirationTime>{own}"
            told += f"<DequeueCount>{each.taken}</DequeueCount><MessageText>{escape(each.text)}</MessageText>"
            parts.append(f"<QueueMessage>{told}</QueueMessage>")
        return f'<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>{"".join(parts)}</QueueMessagesList>'.encode()

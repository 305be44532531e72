"""Queues over Azure Storage's REST API.

Source of routes, parameters and limits: "Put Message", "Get Messages", "Peek Messages", "Update Message", "Delete Message".
"""

import base64
import binascii
import email.utils
import html
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote, urlencode

from handlers.functions.azure.storage_api import TIMEOUT_S, StorageApi, did_nothing
from handlers.functions.rest import ApiError, patiently

MOST_BYTES = 65_536
MOST_MESSAGES = 32
# Who holds an older receipt, or one of a message that is gone.
_NOT_OURS = ("MessageNotFound", "PopReceiptMismatch")
_HEADERS = {"Content-Type": "application/xml"}
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message that is ours until `receipt` counts for nothing; there is none of one that was only looked at. `attempt` is how often it
    was taken by now, `inserted` when it was put in (seconds since 1970)."""

    id: str
    body: bytes
    attempt: int
    receipt: str = ""
    inserted: float = 0.0


class Queue:
    """The queue `name` of an account by its URL; threads share it.

    With `encoded` bodies travel in base64, as Event Grid sends its events, and may be any bytes; a message that somebody put in as plain
    text is read all the same. Without it a body is text that XML may hold.
    """

    def __init__(self, url: str, name: str, *, encoded: bool = True, timeout_s: float = TIMEOUT_S) -> None:
        self._api = StorageApi(url, timeout_s=timeout_s)
        self._path = f"/{quote(name)}"
        self._encoded = encoded

    def put(self, body: bytes, *, unseen_s: int = 0, keep_s: int = -1) -> None:
        """Put a message in that nobody sees for `unseen_s` seconds and that is kept for `keep_s`, for ever with -1.

        Raises ApiError; after one that tells no status, or 500 and above but 503, the message may be there: it is not put in twice.
        """
        query = {"visibilitytimeout": unseen_s, "messagettl": keep_s}
        path, content = f"{self._path}/messages?{urlencode(query)}", self._content(body)
        patiently(lambda: self._done("POST", path, content), again=did_nothing)

    def get(self, most: int = MOST_MESSAGES, *, unseen_s: int) -> list[Message]:
        """Up to `most` messages that nobody else sees for `unseen_s` seconds. Raises ApiError."""
        query = {"numofmessages": most, "visibilitytimeout": unseen_s}
        return patiently(lambda: self._messages(f"{self._path}/messages?{urlencode(query)}"))

    def peek(self, most: int = 1) -> list[Message]:
        """Up to `most` messages that anybody could take now, as they are. Raises ApiError."""
        query = {"peekonly": "true", "numofmessages": most}
        return patiently(lambda: self._messages(f"{self._path}/messages?{urlencode(query)}"))

    def put_off(self, message: Message, *, unseen_s: int, body: bytes | None = None) -> Message | None:
        """Let nobody see a message for `unseen_s` seconds from now: it, with its new receipt, or None where it is not ours any more.

        With a `body` that is what it holds from then on. Raises ApiError; what put_off may have done is not tried again, since the receipt
        would be another by then.
        """
        query = {"popreceipt": message.receipt, "visibilitytimeout": unseen_s}
        path = f"{self._path}/messages/{quote(message.id)}?{urlencode(query)}"
        content = None if body is None else self._content(body)

        def put_off() -> Message:
            with self._api.asked("PUT", path, _HEADERS if content else {}, content) as answer:
                answer.read()
            held = message.body if body is None else body
            return replace(message, body=held, receipt=answer.headers.get("x-ms-popreceipt", ""))

        return _if_ours(lambda: patiently(put_off, again=did_nothing))

    def delete(self, message: Message) -> bool:
        """Remove a message; False where it is not ours any more, or gone. Raises ApiError."""
        query = {"popreceipt": message.receipt}
        path = f"{self._path}/messages/{quote(message.id)}?{urlencode(query)}"
        return _if_ours(lambda: patiently(lambda: self._done("DELETE", path))) or False

    def _done(self, method: str, path: str, content: bytes | None = None) -> bool:
        with self._api.asked(method, path, _HEADERS if content else {}, content) as answer:
            answer.read()
        return True

    def _messages(self, path: str) -> list[Message]:
        with self._api.asked("GET", path, {}) as answer:
            listed = ElementTree.fromstring(answer.read())  # noqa: S314 (what the account's own service says, over TLS)
        return [self._message({part.tag: part.text or "" for part in found}) for found in listed]

    def _message(self, told: dict[str, str]) -> Message:
        body = _decoded(told["MessageText"]) if self._encoded else told["MessageText"].encode()
        inserted = email.utils.parsedate_to_datetime(told["InsertionTime"]).timestamp()
        receipt = told.get("PopReceipt", "")
        return Message(id=told["MessageId"], body=body, attempt=int(told["DequeueCount"]), receipt=receipt, inserted=inserted)

    def _content(self, body: bytes) -> bytes:
        text = base64.b64encode(body).decode() if self._encoded else body.decode()
        if len(text.encode()) > MOST_BYTES:
            told = f"The message has {len(text.encode())} bytes{' in base64' if self._encoded else ''}: {MOST_BYTES} are allowed."
            raise ApiError(told, 413, "RequestBodyTooLarge")
        return f"<QueueMessage><MessageText>{html.escape(text, quote=False)}</MessageText></QueueMessage>".encode()


def _if_ours(call: Callable[[], _T]) -> _T | None:
    try:
        return call()
    except ApiError as error:
        if error.code in _NOT_OURS:
            return None
        raise


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()

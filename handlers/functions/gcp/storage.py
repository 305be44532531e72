"""Cloud Storage over its JSON API: objects read as they arrive, and written.

STORAGE_EMULATOR_HOST (an address, with a path or none) moves the service, as it does for Google's own clients. Source of routes,
parameters and headers: Cloud Storage, JSON API, "Objects: get" and "Objects: insert"; of what is tried again: "Retry strategy".
"""

import json
import os
import random
import time
import uuid
from contextlib import AbstractContextManager, ExitStack
from http.client import HTTPResponse
from types import TracebackType
from urllib.parse import quote, urlencode

from handlers.functions.gcp import metadata
from handlers.functions.gcp.connections import TRANSPORT_ERRORS
from handlers.functions.gcp.google_api import Api, ApiError

EMULATOR = "STORAGE_EMULATOR_HOST"
_ADDRESS = "https://storage.googleapis.com"
TIMEOUT_S = 20.0
# In a row, without a byte between them.
ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2
_PASSING = (408, 429, 500, 502, 503, 504)


class Storage:
    """The service as this process's account may use it; threads share it."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """No wait for a part of an answer may be longer than `timeout_s`."""
        emulator = os.environ.get(EMULATOR)
        # An emulator that is to know who asks is run with a metadata server beside it.
        with_token = emulator is None or bool(os.environ.get(metadata.HOST))
        self.api = Api(emulator or _ADDRESS, timeout_s=timeout_s, with_token=with_token)

    def open(self, bucket: str, key: str, *, generation: str | None = None) -> "Download":
        """The object, of this or its newest generation. Raises ApiError. It is to be closed (`with`)."""
        return Download(self.api, bucket, key, generation)

    def write(self, bucket: str, key: str, body: bytes, *, content_type: str, only_new: bool = False) -> bool:
        """Store an object; False where `only_new` is asked for and there is one. Raises ApiError."""
        # Media with its description in one request, of which emulators know the conditions as well.
        query = {"uploadType": "multipart"} | ({"ifGenerationMatch": "0"} if only_new else {})
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}"
        boundary = uuid.uuid4().hex
        content = _multipart(boundary, {"name": key, "contentType": content_type}, body)
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        for attempt in range(ATTEMPTS):
            _pause(attempt)
            try:
                with self.api.asked("POST", path, headers, content) as answer:
                    answer.read()
                return True
            except ApiError as error:
                # To write where an object is takes the right to delete it ("IAM permissions for JSON methods", objects.insert), which
                # may be judged before the condition.
                if only_new and (error.status == 412 or (error.status == 403 and self._is_there(bucket, key))):
                    return False
                if attempt == ATTEMPTS - 1 or not _passes(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _is_there(self, bucket: str, key: str) -> bool:
        """Whether the object may be looked at, and is there."""
        try:
            with self.api.asked("GET", f"{_object(bucket, key)}?fields=generation", {}) as answer:
                answer.read()
        except ApiError:
            return False
        return True


class Download:
    """One generation of an object as a stream: where the connection breaks, the next one goes on at the same byte.

    `size` is in bytes, as stored; `md5` is in base64, None for an object that was composed.
    """

    def __init__(self, api: Api, bucket: str, key: str, generation: str | None) -> None:
        self._api = api
        self._path = _object(bucket, key)
        self._generation = generation
        self._open = ExitStack()
        self._place = 0
        answer = self._answer = self._retried()
        self.generation = self._generation = answer.headers.get("x-goog-generation") or generation
        if answer.length is None:
            raise ApiError("The answer tells no length.")
        self.size = answer.length
        self.content_type: str | None = answer.headers.get("content-type")
        hashes = (part.strip() for value in answer.headers.get_all("x-goog-hash") or () for part in value.split(","))
        self.md5 = next((part.removeprefix("md5=") for part in hashes if part.startswith("md5=")), None)

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end alone. Raises ApiError."""
        for attempt in range(ATTEMPTS):
            if self._place == self.size:
                return b""
            if attempt:
                _pause(attempt)
                self._answer = self._retried()
            try:
                chunk = self._answer.read(min(size, self.size - self._place))
            except TRANSPORT_ERRORS:
                chunk = b""
            if chunk:
                self._place += len(chunk)
                return chunk
        raise ApiError(f"{ATTEMPTS} answers brought no part of the object from byte {self._place} on.")

    def whole(self) -> bytes:
        """All of it. Raises ApiError."""
        body = bytearray()
        while chunk := self.read(self.size):
            body += chunk
        return bytes(body)

    def _retried(self) -> HTTPResponse:
        for attempt in range(ATTEMPTS):
            _pause(attempt)
            try:
                return self._again()
            except ApiError as error:
                if attempt == ATTEMPTS - 1 or not _passes(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _again(self) -> HTTPResponse:
        """A new answer from the place that is reached."""
        self._open.close()
        query = {"alt": "media"} | ({"generation": self._generation} if self._generation else {})
        # What is stored compressed comes as it is stored, with its length and its hashes.
        headers = {"Accept-Encoding": "gzip"} | ({"Range": f"bytes={self._place}-"} if self._place else {})
        asking: AbstractContextManager[HTTPResponse] = self._api.asked("GET", f"{self._path}?{urlencode(query)}", headers)
        answer = self._open.enter_context(asking)
        if self._place and answer.status != 206:
            raise ApiError(f"A part was asked for and {answer.status} {answer.reason} came.")
        return answer


def _object(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def _multipart(boundary: str, description: dict[str, str], body: bytes) -> bytes:
    """Both parts as "Objects: insert" wants them (multipart/related, RFC 2387)."""
    first = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(description)}\r\n"
    second = f"--{boundary}\r\nContent-Type: {description['contentType']}\r\n\r\n"
    return first.encode() + second.encode() + body + f"\r\n--{boundary}--\r\n".encode()


def _passes(error: ApiError) -> bool:
    return error.status is None or error.status in _PASSING


def _pause(attempt: int) -> None:
    if attempt:
        time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt))  # noqa: S311 (spread, no secret)

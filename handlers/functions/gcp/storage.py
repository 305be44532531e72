"""Cloud Storage over its JSON API: objects read as they arrive, and written.

STORAGE_EMULATOR_HOST (an address, with a path or none) moves the service, as it does for Google's own clients. Source of routes,
parameters and headers: Cloud Storage, JSON API, "Objects: get" and "Objects: insert"; of what is tried again: "Retry strategy".
"""

import json
import os
import uuid
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from urllib.parse import quote, urlencode

from handlers.functions.downloads import Download, ranged
from handlers.functions.gcp import metadata
from handlers.functions.rest import Api, ApiError, patiently

EMULATOR = "STORAGE_EMULATOR_HOST"
_ADDRESS = "https://storage.googleapis.com"
TIMEOUT_S = 20.0


class Storage:
    """The service as this process's account may use it; threads share it."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """No wait for a part of an answer may be longer than `timeout_s`."""
        emulator = os.environ.get(EMULATOR)
        # An emulator that is to know who asks is run with a metadata server beside it.
        with_token = emulator is None or bool(os.environ.get(metadata.HOST))
        self.api = Api(emulator or _ADDRESS, timeout_s=timeout_s, tokens=metadata.access_tokens() if with_token else None)

    def open(self, bucket: str, key: str, *, generation: str | None = None) -> "ObjectDownload":
        """The object, of this or its newest generation. Raises ApiError. It is to be closed (`with`)."""
        return ObjectDownload(self.api, bucket, key, generation)

    def write(self, bucket: str, key: str, body: bytes, *, content_type: str, only_new: bool = False) -> bool:
        """Store an object; False where `only_new` is asked for and there is one. Raises ApiError."""
        # Media with its description in one request, of which emulators know the conditions as well.
        query = {"uploadType": "multipart"} | ({"ifGenerationMatch": "0"} if only_new else {})
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}"
        boundary = uuid.uuid4().hex
        content = _multipart(boundary, {"name": key, "contentType": content_type}, body)
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}

        def written() -> bool:
            try:
                with self.api.asked("POST", path, headers, content) as answer:
                    answer.read()
            except ApiError as error:
                # To write where an object is takes the right to delete it ("IAM permissions for JSON methods", objects.insert), which
                # may be judged before the condition.
                if only_new and (error.status == 412 or (error.status == 403 and self._is_there(bucket, key))):
                    return False
                raise
            return True

        return patiently(written)

    def _is_there(self, bucket: str, key: str) -> bool:
        """Whether the object may be looked at, and is there."""
        try:
            with self.api.asked("GET", f"{_object(bucket, key)}?fields=generation", {}) as answer:
                answer.read()
        except ApiError:
            return False
        return True


class ObjectDownload(Download):
    """One generation of an object, which is its version; one that was composed has no MD5."""

    def __init__(self, api: Api, bucket: str, key: str, generation: str | None) -> None:
        self._api = api
        self._path = _object(bucket, key)
        super().__init__(generation)
        headers = self._answer.headers
        self.version = headers.get("x-goog-generation") or generation
        hashes = (part.strip() for value in headers.get_all("x-goog-hash") or () for part in value.split(","))
        self.md5 = next((part.removeprefix("md5=") for part in hashes if part.startswith("md5=")), None)

    def _asked(self, place: int, end: int | None = None) -> AbstractContextManager[HTTPResponse]:
        query = {"alt": "media"} | ({"generation": self.version} if self.version else {})
        # What is stored compressed comes as it is stored, with its length and its hashes.
        headers = {"Accept-Encoding": "gzip"} | ({"Range": ranged(place, end)} if place or end else {})
        return self._api.asked("GET", f"{self._path}?{urlencode(query)}", headers)


def _object(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def _multipart(boundary: str, description: dict[str, str], body: bytes) -> bytes:
    """Both parts as "Objects: insert" wants them (multipart/related, RFC 2387)."""
    first = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(description)}\r\n"
    second = f"--{boundary}\r\nContent-Type: {description['contentType']}\r\n\r\n"
    return first.encode() + second.encode() + body + f"\r\n--{boundary}--\r\n".encode()

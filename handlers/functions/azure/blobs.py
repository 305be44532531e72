"""Blobs over Azure Storage's REST API: read as they arrive, and written.

Source of routes, parameters and headers: "Get Blob", "Get Blob Properties" and "Put Blob".
"""

from contextlib import AbstractContextManager
from http.client import HTTPResponse
from urllib.parse import quote, urlencode

from handlers.functions.azure.storage_api import TIMEOUT_S, StorageApi
from handlers.functions.downloads import Download, ranged
from handlers.functions.rest import ApiError, patiently

_THERE = ("BlobAlreadyExists", "ConditionNotMet")


class Blobs:
    """The blobs of an account by its URL; a name is `CONTAINER/KEY`. Threads share it."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """No wait for a part of an answer may be longer than `timeout_s`."""
        self._api = StorageApi(url, timeout_s=timeout_s)

    def open(self, name: str, *, version: str | None = None, if_match: str | None = None) -> "BlobDownload":
        """The blob, this version of it, or only where it has the ETag `if_match`. Raises ApiError. It is to be closed (`with`)."""
        return BlobDownload(self._api, name, version, if_match)

    def etag(self, name: str) -> str | None:
        """The ETag of the blob as it is, in its quotes; None where there is none. Raises ApiError."""

        def told() -> str | None:
            try:
                with self._api.asked("HEAD", _path(name), {}) as answer:
                    return answer.headers.get("etag")
            except ApiError as error:
                if error.status == 404:
                    return None
                raise

        return patiently(told)

    def write(self, name: str, body: bytes, *, content_type: str, only_new: bool = False) -> bool:
        """Store a blob; False where `only_new` is asked for and there is one. Raises ApiError."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": content_type} | ({"If-None-Match": "*"} if only_new else {})

        def written() -> bool:
            try:
                with self._api.asked("PUT", _path(name), headers, body) as answer:
                    answer.read()
            except ApiError as error:
                if only_new and error.code in _THERE:
                    return False
                raise
            return True

        return patiently(written)


class BlobDownload(Download):
    """One version of a blob, told by its ETag; one that was put in blocks has no MD5."""

    def __init__(self, api: StorageApi, name: str, version: str | None, if_match: str | None) -> None:
        self._api = api
        self._target = _path(name) + (f"?{urlencode({'versionid': version})}" if version else "")
        super().__init__(if_match)
        self.version = self._answer.headers.get("etag")
        self.md5 = self._answer.headers.get("content-md5")

    def _asked(self, place: int, end: int | None = None) -> AbstractContextManager[HTTPResponse]:
        headers = {"If-Match": self.version} if self.version else {}
        return self._api.asked("GET", self._target, headers | ({"x-ms-range": ranged(place, end)} if place or end else {}))


def _path(name: str) -> str:
    return f"/{quote(name)}"

"""The versions of blobs."""

from collections.abc import Mapping
from typing import Literal

from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.guarding import guarded
from handlers.functions.objects import Content
from handlers.functions.outcomes import Refused
from handlers.functions.rest import ApiError
from handlers.functions.versions import ObjectVersion


class BlobObjects:
    """Reads in several threads, from any account; `max_bytes` is the most that it takes into memory for a blob."""

    def __init__(self, *, timeout_s: float, max_bytes: int) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._accounts: dict[str, Blobs] = {}

    def get(self, host: str, name: str, which: Mapping[str, str]) -> Content:
        """The blob `CONTAINER/KEY` of the account at `host`: the version `versionid`, only with the ETag `IfMatch`, or as it is.

        Raises Refused when it is gone or too large, Unavailable.
        """
        return _content(self._blobs(host), name, which.get("versionid"), which.get("IfMatch"), self._max_bytes)

    def _blobs(self, host: str) -> Blobs:
        if host not in self._accounts:
            self._accounts[host] = Blobs(f"https://{host}", timeout_s=self._timeout_s)
        return self._accounts[host]


class BlobVersions:
    """The Objects of the pipeline: versions as events name them, by their ETags, in one account."""

    def __init__(self, blobs: Blobs, *, max_bytes: int) -> None:
        self._blobs = blobs
        self._max_bytes = max_bytes

    def read(self, version: ObjectVersion) -> Content:
        """The bytes of this very version. Raises Refused when it is gone or larger than its event said, Unavailable."""
        return _content(self._blobs, version.object, None, _quoted(version), self._max_bytes)

    def state(self, version: ObjectVersion) -> Literal["there", "gone", "replaced"]:
        """Whether the blob is still this version; one whose metadata or properties changed counts as replaced. Raises Unavailable."""
        with guarded("The object can't be asked for"):
            etag = self._blobs.etag(version.object)
        if etag is None:
            return "gone"
        return "there" if etag == _quoted(version) else "replaced"


def _quoted(version: ObjectVersion) -> str:
    return f'"{version.etag}"'


def _content(blobs: Blobs, name: str, version: str | None, if_match: str | None, max_bytes: int) -> Content:
    with guarded("The object can't be read"):
        try:
            with blobs.open(name, version=version, if_match=if_match) as download:
                return download.content(max_bytes=max_bytes)
        except ApiError as error:
            if error.status == 404:
                raise Refused("The object can't be read: it was deleted, or replaced in an account that keeps no versions.") from error
            if error.status == 412:
                # These move its ETag too ("Set Blob Metadata", "Set Blob Properties").
                raise Refused("The object can't be read: it was replaced, or its metadata or properties changed.") from error
            raise

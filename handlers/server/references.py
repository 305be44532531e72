"""Inputs by reference: the object that a request names instead of carrying it, fetched with the server's own role."""

import functools
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from handlers.functions import logs, objects
from handlers.functions.objects import Content
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.problems import InputRefused, ModelFailed
from handlers.functions.requests import TEXTS, PredictionRequest

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 20
# What may stand behind an address, to say which content is meant.
_PARAMETERS = {
    "s3": {"versionId": "VERSION", "etag": "ETAG"},
    "gs": {"generation": "GENERATION"},
    "https": {"versionid": "VERSION", "etag": "ETAG"},
}
# They go into a header or an address as they are.
_VALUE = re.compile(r"[\x21-\x7e]+")
# What the address of an object looks like.
_SHAPES = {"s3": "s3://BUCKET/KEY", "gs": "gs://BUCKET/KEY", "https": "https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY"}


class Store(Protocol):
    """Where the objects are; `which` says what of it is meant, in the store's own words."""

    def get(self, bucket: str, key: str, which: Mapping[str, str], /) -> Content:
        """Raises Refused, Unavailable."""
        ...


class References:
    """Objects of at most `max_bytes` below `root` (an address with a prefix of their keys); without a root nothing is fetched."""

    def __init__(self, root: str | None, *, max_bytes: int, max_inputs: int) -> None:
        self._root = root
        self._scheme = "s3" if root is None else root.partition(":")[0]
        self._max_bytes = max_bytes
        self._max_inputs = max_inputs

    def fetched(self, request: PredictionRequest, kind: str | None = TEXTS) -> PredictionRequest:
        """The request with the inputs of the object that it names, read for a task that takes `kind`; its own parameters stay. Blocks.

        Raises InputRefused for an address that is not below the root, for an object that is gone, too large or can't be read as
        inputs, and for too many of them; ModelFailed when the store does not give it.
        """
        bucket, key, which = self._address(request.uri or "")
        try:
            found = objects.read(self._store.get(bucket, key, which), key, kind)
        except Refused as error:
            raise InputRefused(str(error)) from error
        except Unavailable as error:
            logs.write("reference_failed", level="WARNING", object=f"{bucket}/{key}", reason=str(error))
            raise ModelFailed("The object that 'inputs.uri' names can't be read now.") from error
        if len(found.texts) > self._max_inputs:
            raise InputRefused(f"The object has {len(found.texts)} texts: {self._max_inputs} are allowed.")
        return request._replace(texts=found.texts, many=found.many, uri=None)

    def _address(self, uri: str) -> tuple[str, str, dict[str, str]]:
        known = _PARAMETERS[self._scheme]
        try:
            address = urlsplit(uri)
            query = parse_qs(address.query, keep_blank_values=True)
            bucket, key = address.netloc, unquote(address.path[1:], errors="strict")
        except ValueError as error:
            raise InputRefused(self._no_address()) from error
        if address.scheme != self._scheme or not key or address.fragment or len(query) > 1 or query.keys() - known.keys():
            raise InputRefused(self._no_address())
        if not all(_VALUE.fullmatch(value) for values in query.values() for value in values):
            raise InputRefused(self._no_address())
        if self._scheme == "https" and not {".", ".."}.isdisjoint(re.split(r"[/\\]", key)):
            # What is below a host is a path to every server on the way, which may take these for steps.
            raise InputRefused(self._no_address())
        # Compared as it will be asked for, so that no encoding leads out of the root.
        if self._root is None or not f"{self._scheme}://{bucket}/{key}".startswith(self._root):
            raise InputRefused(f"'inputs.uri' is outside of what this server may fetch: {self._root or 'nothing'}.")
        if "etag" in query:
            return bucket, key, {"IfMatch": f'"{query["etag"][0]}"'}
        if "versionId" in query:
            return bucket, key, {"VersionId": query["versionId"][0]}
        return bucket, key, {name: values[0] for name, values in query.items()}

    def _no_address(self) -> str:
        behind = " or ".join(f"?{name}={value}" for name, value in _PARAMETERS[self._scheme].items())
        return f"'inputs.uri' is not {_SHAPES[self._scheme]}, with {behind} behind it or nothing."

    @functools.cached_property
    def _store(self) -> Store:
        return {"s3": _s3, "gs": _cloud_storage, "https": _blobs}[self._scheme](self._max_bytes)


def _s3(max_bytes: int) -> Store:
    import boto3  # a fifth of a second, and only a server that is given references pays it
    from botocore.config import Config

    from handlers.functions.aws.objects import S3Objects

    retries: Any = {"total_max_attempts": 2, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries)
    return S3Objects(boto3.client("s3", config=config), max_bytes=max_bytes)


def _cloud_storage(max_bytes: int) -> Store:
    from handlers.functions.gcp.objects import CloudStorageObjects
    from handlers.functions.gcp.storage import Storage

    return CloudStorageObjects(Storage(timeout_s=READ_TIMEOUT_S), max_bytes=max_bytes)


def _blobs(max_bytes: int) -> Store:
    from handlers.functions.azure.objects import BlobObjects

    return BlobObjects(timeout_s=READ_TIMEOUT_S, max_bytes=max_bytes)

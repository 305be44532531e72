"""Objects of ministack's S3 on their way out: read from their files as fast as they are taken, not held.

Ministack reads a whole object for each GET, for one of a range too, and leaves the answer to its server's buffer until the client has
taken it: as many cold starts at once as fetch a model are as many copies of it in memory. It also keeps the bytes of every version that
was stored since it started, though they are in files. It decides everything else about an answer (status, headers, conditions, ranges)
as before.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pilotlight.twin.asgi import Receive, Send

# What one answer holds of its object. Smaller objects are read at once, by ministack itself.
CHUNK_BYTES = 256 * 1024


class FilePart:
    """A part of a file in the place of its bytes: it can be sliced (without a step) and sent. The file is open from the start, so that
    an object which is replaced or deleted meanwhile is sent as it was."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._end = end

    @classmethod
    def whole(cls, path: str) -> FilePart:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed once it is sent, or with the last part that is dropped)
        return cls(file, 0, os.fstat(file.fileno()).st_size)

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, wanted: slice) -> FilePart:
        start, end, _ = wanted.indices(len(self))
        return FilePart(self._file, self._start + start, self._start + max(start, end))

    async def send(self, send: Send, _receive: Receive) -> None:
        """The body of an answer. `send` returns when the server has room for more."""
        with self._file:
            at, more = self._start, True
            while more:
                chunk = os.pread(self._file.fileno(), min(CHUNK_BYTES, self._end - at), at)
                at += len(chunk)
                more = bool(chunk) and at < self._end
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
                # Where the client takes all at once, or left, `send` does not wait: others have their turn all the same.
                await asyncio.sleep(0)


def stream_objects(s3: Any) -> None:
    """Hook into ministack's S3: what a GET answers with is sent from its file, and versions that are in files are not kept in memory."""
    from ministack.core.responses import StreamingResponse  # type: ignore[import-untyped]

    get_object, read_body, version_body, persist = s3._get_object, s3._read_body, s3._version_body, s3._persist_object
    # Copies read bodies too, and need the bytes.
    answering: ContextVar[bool] = ContextVar("answering", default=False)

    def answered(bucket: str, key: str, headers: Any, query: Any = None) -> Any:
        token = answering.set(True)
        try:
            status, fields, body = get_object(bucket, key, headers, query)
        finally:
            answering.reset(token)
        return status, fields, StreamingResponse(body.send) if isinstance(body, FilePart) else body

    def body_of(bucket: str, key: str, record: Any) -> Any:
        if not answering.get() or record.get("body") is not None or record["size"] <= CHUNK_BYTES:
            return read_body(bucket, key, record)
        return FilePart.whole(s3._object_disk_path(bucket, key))

    def body_of_version(held: Any, bucket: str, key: str, version: Any) -> Any:
        in_file = version.get("data") is None and s3._version_file_exists(bucket, key, version["version_id"])
        if not answering.get() or not in_file or version["size"] <= CHUNK_BYTES:
            return version_body(held, bucket, key, version)
        return FilePart.whole(s3._version_disk_path(bucket, key, version["version_id"]))

    def persisted(bucket: str, key: str, record: Any) -> None:
        persist(bucket, key, record)
        # Ministack has left the record's bytes out where it could write them. It reads a version's from there as after a restart.
        if record["body"] is None:
            for version in s3._object_versions.get((bucket, key), []):
                if version["version_id"] == (record.get("version_id") or "null"):
                    version["data"] = None

    s3._get_object, s3._read_body, s3._version_body, s3._persist_object = answered, body_of, body_of_version, persisted

"""What ministack holds of the objects that it answers with: counted in bytes, while nobody takes them."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.emulated_reads import CHUNK_BYTES, stream_objects

BODY = random.Random(0).randbytes(8 * 1024 * 1024 + 17)
READERS = 24
# Besides its chunk: the frames, headers and records of a request.
OVERHEAD_BYTES = 128 * 1024


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ministack's application with its S3 as the twin has it."""
    from ministack import app  # type: ignore[import-untyped]
    from ministack.services import s3  # type: ignore[import-untyped]

    monkeypatch.setattr(s3, "S3_PERSIST", True)
    monkeypatch.setattr(s3, "DATA_DIR", str(tmp_path))
    for name in ("_get_object", "_read_body", "_version_body", "_persist_object"):
        monkeypatch.setattr(s3, name, getattr(s3, name))
    stream_objects(s3)
    yield app.app
    s3.reset()


class Client:
    """One request. With `taking` its server has room for a message of the body only once that is set."""

    def __init__(self, taking: asyncio.Event | None = None) -> None:
        self._taking = taking
        self.reached = asyncio.Event()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.size = 0
        self.digest = hashlib.md5(usedforsecurity=False)

    async def ask(self, app: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Client:
        url, _, query = path.partition("?")
        pairs = [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())]
        pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": url, "raw_path": url.encode(), "query_string": query.encode(), "headers": pairs}

        async def receive() -> dict[str, Any]:
            # In bytes of its own, as a server gives them.
            return {"type": "http.request", "body": bytes(bytearray(body)), "more_body": False}

        await app(scope, receive, self._send)
        return self

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], {name.lower(): value for name, value in message["headers"]}
            return
        self.reached.set()
        if self._taking is not None:
            await self._taking.wait()
        self.size += len(message["body"])
        self.digest.update(message["body"])


def held(app: Any, *requests: tuple[str, str]) -> tuple[int, list[Client]]:
    """The most bytes that are held until every answer to a (path, range) has begun and none is taken, then the answers, all taken."""

    async def run() -> tuple[int, list[Client]]:
        # What is imported with the first request belongs to none.
        await Client().ask(app, "GET", "/bucket/key")
        taking = asyncio.Event()
        clients = [Client(taking) for _ in requests]
        tracemalloc.start()
        try:
            asked = [
                asyncio.create_task(client.ask(app, "GET", path, **({"range": wanted} if wanted else {})))
                for client, (path, wanted) in zip(clients, requests, strict=True)
            ]
            await asyncio.gather(*(client.reached.wait() for client in clients))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        taking.set()
        return most, list(await asyncio.gather(*asked))

    return asyncio.run(run())


def stored(app: Any, *bodies: bytes, versions: bool) -> tuple[int, list[str]]:
    """Store the bodies one after another as /bucket/key: the bytes that are held for it afterwards, and the ids of their versions."""

    async def run() -> tuple[int, list[str]]:
        assert (await Client().ask(app, "PUT", "/bucket")).status == 200
        wanted = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        if versions:
            assert (await Client().ask(app, "PUT", "/bucket?versioning", wanted)).status == 200
        tracemalloc.start()
        try:
            answers = [await Client().ask(app, "PUT", "/bucket/key", body) for body in bodies]
            return tracemalloc.get_traced_memory()[0], [answer.headers.get(b"x-amz-version-id", b"").decode() for answer in answers]
        finally:
            tracemalloc.stop()

    return asyncio.run(run())


def seen(clients: list[Client]) -> set[tuple[int, str]]:
    return {(client.status, client.digest.hexdigest()) for client in clients}


def digest(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def test_answers_that_nobody_takes_hold_a_chunk_each(app: Any) -> None:
    stored(app, BODY, versions=False)
    most, clients = held(app, *[("/bucket/key", "")] * READERS)
    assert seen(clients) == {(200, digest(BODY))}
    assert most < READERS * (CHUNK_BYTES + OVERHEAD_BYTES)


def test_a_range_is_all_that_is_read_of_an_object(app: Any) -> None:
    stored(app, BODY, versions=False)
    start, end = CHUNK_BYTES - 5, len(BODY) - 3
    most, clients = held(app, *[("/bucket/key", f"bytes={start}-{end}")] * READERS)
    assert seen(clients) == {(206, digest(BODY[start : end + 1]))}
    assert {client.headers[b"content-length"] for client in clients} == {str(end + 1 - start).encode()}
    assert most < READERS * (CHUNK_BYTES + OVERHEAD_BYTES)
    few, (client,) = held(app, ("/bucket/key", "bytes=0-9"))
    assert (client.status, client.size) == (206, 10)
    assert few < OVERHEAD_BYTES


def test_versions_are_in_files_alone_and_sent_from_there(app: Any) -> None:
    kept, (old, new) = stored(app, BODY, BODY[1:], versions=True)
    assert kept < len(BODY) / 2
    for version, body in ((old, BODY), (new, BODY[1:])):
        most, clients = held(app, *[(f"/bucket/key?versionId={version}", "")] * READERS)
        assert seen(clients) == {(200, digest(body))}
        assert most < READERS * (CHUNK_BYTES + OVERHEAD_BYTES)

"""Blobs whose content was stored, told to whoever asked for it (Event Grid's topics of a storage account)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.azure.storage_calls import Calls
    from pilotlight.twin.upstream import Answer
    from pilotlight.twin.world import Resource


@dataclass(frozen=True, kw_only=True)
class Created:
    """A blob as it was stored. `api` is PutBlob, PutBlockList or CopyBlob; `sequencer` orders what happened to one blob, as text."""

    account_id: str
    container: str
    blob: str
    api: str
    url: str
    etag: str
    content_length: int
    content_type: str
    blob_type: str
    sequencer: str
    request_id: str
    client_request_id: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Which blob was stored, and how; `path` begins with the account and is quoted."""

    account: Resource
    path: str
    container: str
    blob: str
    api: str


# Has the event once it returns; one that raises makes the upload fail, so that its client sends it again.
Listener = Callable[[Created], Awaitable[None]]
# The id of an account -> whether the listener wants to hear of it.
Wants = Callable[[str], bool]


class Listeners:
    """`add` one in the loop. Uploads of one blob are told in the order in which they were stored."""

    def __init__(self, now: Callable[[], float], awaited: Wants = lambda account_id: False) -> None:
        """`now` gives the twin's time in seconds since the epoch; `awaited` says of which accounts somebody must hear."""
        self._now = now
        self._awaited = awaited
        self._last = 0
        self._heard: list[tuple[Listener, Wants]] = []
        self._orders: weakref.WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    def add(self, listener: Listener, wants: Wants = lambda account_id: True) -> None:
        self._heard.append((listener, wants))

    def remove(self, listener: Listener) -> None:
        self._heard = [pair for pair in self._heard if pair[0] != listener]

    def wanted(self, account_id: str) -> bool:
        """Whether somebody listens to an account. Refusal (503) while who must hear of it does not listen yet: the twin comes up."""
        if not self._heard and self._awaited(account_id):
            raise Refusal("ServerBusy", "The server is busy: the twin is starting. Please retry your request.", 503)
        return any(wants(account_id) for _, wants in self._heard)

    def order(self, account: str, container: str, blob: str) -> asyncio.Lock:
        """The lock to hold while the blob is stored and told of."""
        return self._orders.setdefault((account, container, blob), asyncio.Lock())

    def sequencer(self) -> str:
        """Greater than every one before, in this run and in earlier ones: the twin's time goes on over a restart."""
        self._last = max(self._last + 1, int(self._now() * 1_000_000))
        return f"{self._last:064x}"

    async def tell(self, created: Created) -> None:
        for listener, wants in self._heard:
            if wants(created.account_id):
                await listener(created)


async def tell(calls: Calls, listeners: Listeners, stored: Stored, headers: Mapping[str, str], answer: Answer) -> None:
    """Tell of a blob that was stored by a request of those headers (names in lower case) with that answer, in its `order`."""
    await listeners.tell(
        Created(
            account_id=stored.account.id,
            container=stored.container,
            blob=stored.blob,
            api=stored.api,
            url=f"{stored.account['primaryEndpoints']['blob']}{stored.container}/{stored.blob}",
            etag=answer.header(b"etag").strip('"'),
            **(_sent(stored, headers) or await _read(calls, stored)),
            sequencer=listeners.sequencer(),
            request_id=answer.header(b"x-ms-request-id"),
            client_request_id=headers.get("x-ms-client-request-id", ""),
        )
    )


def _sent(stored: Stored, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """What a request says itself of the blob that it puts: a question to Azurite for each upload would cost as much as storing it. None
    for a list of blocks, and for a copy, which say nothing of the size."""
    if stored.api != "PutBlob" or headers.get("x-ms-blob-type") != "BlockBlob":
        return None
    # As Azurite keeps it, and Azure ("Put Blob", read 2026-11).
    kind = headers.get("x-ms-blob-content-type") or headers.get("content-type") or "application/octet-stream"
    return {"content_length": int(headers.get("content-length") or 0), "content_type": kind, "blob_type": "BlockBlob"}


async def _read(calls: Calls, stored: Stored) -> dict[str, Any]:
    """The same, asked for."""
    properties, _ = await calls.read("blob", stored.account["name"], "HEAD", stored.path)
    return {
        "content_length": int(properties.header(b"content-length") or 0),
        "content_type": properties.header(b"content-type"),
        "blob_type": properties.header(b"x-ms-blob-type"),
    }

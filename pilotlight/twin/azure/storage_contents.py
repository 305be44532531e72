"""What programs have in their accounts, made, read and removed in Azurite as the data plane does it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotlight.twin.azure.storage_calls import Calls, Content
from pilotlight.twin.azure.storage_created import Listeners, Stored, tell
from pilotlight.twin.azure.types import BLOB, CONTAINER, QUEUE, STORAGE_ACCOUNT, TABLE
from pilotlight.twin.upstream import Answer
from pilotlight.twin.world import Resource, World

_CHUNK = 1024 * 1024
_NAME = re.compile(rb"<Name>([^<]+)</Name>")
_METADATA = "x-ms-meta-"
_JSON = {"content-type": "application/json", "accept": "application/json;odata=nometadata"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a resource is: of which service and account, its path there and what its requests say behind it."""

    service: str
    account: str
    path: str
    query: str = ""


def place_of(resource: Resource) -> Place | None:
    """None for what Azurite knows nothing of."""
    account, name = resource.get("accountName"), resource["name"]
    if resource.token == CONTAINER:
        return Place(service="blob", account=account, path=f"/{account}/{name}", query="restype=container")
    if resource.token == QUEUE:
        return Place(service="queue", account=account, path=f"/{account}/{name}")
    if resource.token == TABLE:
        return Place(service="table", account=account, path=f"/{account}/Tables('{name}')")
    if resource.token == BLOB:
        return Place(service="blob", account=account, path=f"/{account}/{resource.inputs['containerName']}/{quote(name)}")
    return None


class Contents:
    """Belongs to the twin's loop; every method raises Refusal where Azurite refuses."""

    def __init__(self, calls: Calls, world: World, listeners: Listeners) -> None:
        self._calls = calls
        self._world = world
        self._listeners = listeners

    async def make(self, resource: Resource) -> dict[str, Any]:
        """Further outputs."""
        place = place_of(resource)
        if place is None:
            return {}
        if resource.token == TABLE:
            body = json.dumps({"TableName": resource["name"]}).encode()
            await self._calls.read("table", place.account, "POST", f"/{place.account}/Tables", headers=_JSON, content=body)
        elif resource.token == BLOB:
            await self._put(place, resource)
        else:
            await self._calls.read(place.service, place.account, "PUT", place.path, query=place.query, headers=_metadata(resource))
        return await self.read(resource) or {}

    async def change(self, resource: Resource) -> dict[str, Any]:
        """What may change without making it anew: what is said of it."""
        place = place_of(resource)
        if place is None or resource.token == TABLE:
            return {}
        query = "&".join(filter(None, (place.query, "comp=metadata")))
        await self._calls.read(place.service, place.account, "PUT", place.path, query=query, headers=_metadata(resource))
        if resource.token == BLOB:
            headers = {"x-ms-blob-content-type": resource["contentType"]}
            await self._calls.read("blob", place.account, "PUT", place.path, query="comp=properties", headers=headers)
            await self._tier(place, resource)
        return await self.read(resource) or {}

    async def read(self, resource: Resource) -> dict[str, Any] | None:
        """What Azurite tells of it, as outputs; None where it is gone."""
        place = place_of(resource)
        if place is None:
            return {}
        if resource.token == TABLE:
            answer, _ = await self._calls.read("table", place.account, "GET", place.path, headers=_JSON)
            return None if answer.status == 404 else {}
        query = "&".join(filter(None, (place.query, "comp=metadata" if resource.token == QUEUE else "")))
        answer, _ = await self._calls.read(place.service, place.account, "GET" if query else "HEAD", place.path, query=query)
        return None if answer.status == 404 else _told(resource.token, answer)

    async def remove(self, resource: Resource) -> None:
        """What is gone already is no error."""
        place = place_of(resource)
        if place is not None:
            await self._calls.read(place.service, place.account, "DELETE", place.path, query=place.query, headers=_JSON)

    async def empty(self, account: str) -> None:
        """Remove everything that an account holds, whoever made it."""
        for service, query in (("blob", "restype=container"), ("queue", "")):
            for name in await self._names(service, account):
                await self._calls.read(service, account, "DELETE", f"/{account}/{name}", query=query)
        _, body = await self._calls.read("table", account, "GET", f"/{account}/Tables", headers=_JSON)
        for table in json.loads(body)["value"]:
            await self._calls.read("table", account, "DELETE", f"/{account}/Tables('{table['TableName']}')", headers=_JSON)

    async def containers(self, account: str) -> list[str]:
        """The names of an account's containers."""
        return await self._names("blob", account)

    async def _names(self, service: str, account: str) -> list[str]:
        """Of containers or queues: Azurite tells 5,000 at once, Azure's own page."""
        _, body = await self._calls.read(service, account, "GET", f"/{account}", query="comp=list")
        return [name.decode() for name in _NAME.findall(body)]

    async def queue_length(self, account: str, queue: str) -> int | None:
        """About how many messages a queue holds, those that are being worked on too; None where there is no such queue."""
        answer, _ = await self._calls.read("queue", account, "GET", f"/{account}/{queue}", query="comp=metadata")
        return None if answer.status == 404 else int(answer.header(b"x-ms-approximate-messages-count"))

    async def _put(self, place: Place, resource: Resource) -> None:
        headers = {
            **_metadata(resource),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-blob-content-type": resource["contentType"],
            **({"x-ms-blob-content-md5": resource["contentMd5"]} if resource.get("contentMd5") else {}),
        }
        content: Content = b""
        if source := resource.get("source"):
            file = Path(source["path"])
            headers["content-length"] = str((await asyncio.to_thread(file.stat)).st_size)
            content = _chunks(file)
        account, container = self._world.one(STORAGE_ACCOUNT, name=place.account), resource.inputs["containerName"]
        async with self._listeners.order(place.account, container, resource["name"]):
            answer, _ = await self._calls.read("blob", place.account, "PUT", place.path, headers=headers, content=content)
            if account is not None and answer.status == 201 and self._listeners.wanted(account.id):
                stored = Stored(account=account, path=place.path, container=container, blob=resource["name"], api="PutBlob")
                await tell(self._calls, self._listeners, stored, headers, answer)
        await self._tier(place, resource)

    async def _tier(self, place: Place, resource: Resource) -> None:
        if tier := resource.get("accessTier"):
            await self._calls.read("blob", place.account, "PUT", place.path, query="comp=tier", headers={"x-ms-access-tier": tier})


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, _CHUNK):
            yield chunk


def _metadata(resource: Resource) -> dict[str, str]:
    return {f"{_METADATA}{name}".lower(): str(value) for name, value in (resource.get("metadata") or {}).items()}


def _told(token: str, answer: Answer) -> dict[str, Any]:
    metadata = {
        name.decode().removeprefix(_METADATA): value.decode("latin-1")
        for name, value in answer.headers
        if name.decode().startswith(_METADATA)
    }
    if token == QUEUE:
        return {"approximateMessageCount": int(answer.header(b"x-ms-approximate-messages-count") or 0), "metadata": metadata}
    if token == CONTAINER:
        return {"metadata": metadata}
    told = {"accessTier": b"x-ms-access-tier", "contentMd5": b"content-md5", "contentType": b"content-type"}
    return {"metadata": metadata, **{name: answer.header(header) for name, header in told.items() if answer.header(header)}}

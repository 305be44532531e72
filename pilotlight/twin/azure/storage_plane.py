"""Azure Storage: accounts and what is in them, in one Azurite behind the twin's fronts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.azurite import SERVICES, Azurite
from pilotlight.twin.azure.rows_blobs import require_keys
from pilotlight.twin.azure.storage_calls import Calls
from pilotlight.twin.azure.storage_contents import Contents
from pilotlight.twin.azure.storage_created import Listeners
from pilotlight.twin.azure.storage_door import StorageDoor
from pilotlight.twin.azure.storage_policies import Stored, due, listed
from pilotlight.twin.azure.types import BLOB, MANAGEMENT_POLICY, STORAGE_ACCOUNT, SYSTEM_TOPIC
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.supervised import EmulatorError
from pilotlight.twin.timers import Timer

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

_LOG = logging.getLogger(__name__)
# Lifecycle rules run once a day (Azure Storage documentation, "Lifecycle management policies").
_EVERY_S = 86_400


class StoragePlane(Plane):
    """`created` tells of blobs whose content was stored: `add` a listener, in the loop. `calls` are of the one Azurite."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.created = Listeners(twin.clock.now, lambda account_id: _has_topic(twin, account_id))
        self._azurite = Azurite(twin.home, twin.cache, twin.processes)
        self.calls = self._calls = Calls(twin, self._azurite)
        self._contents = Contents(self._calls, twin.world, self.created)
        self._timer: Timer | None = None

    async def start(self) -> None:
        try:
            await self._azurite.start()
        except EmulatorError as error:
            if not self.twin.world.find(STORAGE_ACCOUNT):
                raise Refusal("ServiceUnavailable", str(error), 503) from None
            # The twin comes up all the same; a request to an account tries again and says what is wrong.
            _LOG.warning("%s", error)
        for service in SERVICES:
            self.twin.azure.handlers[service] = StorageDoor(self.twin, service, self._calls, self.created)
        self._timer = self.twin.timers.every(
            lambda after: (after // _EVERY_S + 1) * _EVERY_S, self._apply_policies, name="Azure Storage's lifecycle rules"
        )

    async def close(self) -> None:
        for service in SERVICES:
            self.twin.azure.handlers.pop(service, None)
        if self._timer is not None:
            self._timer.cancel()
        await self._azurite.stop()

    def create(self, resource: Resource) -> Mapping[str, Any] | None:
        if resource.token == STORAGE_ACCOUNT:
            self._begin(resource)
            return None
        return self.twin.wait(self._contents.make(resource))

    def update(self, old: Resource, new: Resource) -> Mapping[str, Any] | None:
        return None if new.token == STORAGE_ACCOUNT else self.twin.wait(self._contents.change(new))

    def delete(self, resource: Resource) -> None:
        if resource.token == STORAGE_ACCOUNT:
            self.twin.wait(self._contents.empty(resource["name"]))
            return
        self._require_keys(resource)
        self.twin.wait(self._contents.remove(resource))

    def read(self, resource: Resource) -> dict[str, Any] | None:
        if resource.token == STORAGE_ACCOUNT:
            return dict(resource.outputs)
        self._require_keys(resource)
        live = self.twin.wait(self._contents.read(resource))
        return None if live is None else {**resource.outputs, **live}

    async def queue_length(self, account: str, queue: str) -> int | None:
        """About how many messages a queue holds, those that are being worked on too; None where there is no such queue. In the loop."""
        return await self._contents.queue_length(account, queue)

    def _begin(self, account: Resource) -> None:
        """A new account is empty; one that is taken over from an engine that was killed is not new."""
        if self.twin.world.get(STORAGE_ACCOUNT, account.id) is None:
            self.twin.wait(self._contents.empty(account["name"]))

    def _require_keys(self, resource: Resource) -> None:
        account = self.twin.world.one(STORAGE_ACCOUNT, name=resource.get("accountName"))
        if resource.token == BLOB and account is not None:
            require_keys(account)

    async def _apply_policies(self, at: float) -> str | None:
        done = 0
        for policy in self.twin.world.find(MANAGEMENT_POLICY):
            account = policy["accountName"]
            for container in await self._contents.containers(account):
                done += await self._tidy(account, container, policy["policy"]["rules"])
        return f"{done} blobs" if done else None

    async def _tidy(self, account: str, container: str, rules: list[Mapping[str, Any]]) -> int:
        """How many blobs of a container the rules have touched."""
        done, marker = 0, ""
        while True:
            query = "restype=container&comp=list" + (f"&marker={quote(marker, safe='')}" if marker else "")
            _, body = await self._calls.read("blob", account, "GET", f"/{account}/{container}", query=query)
            blobs, marker = listed(body, self.twin.clock.now())
            for blob in blobs:
                done += await self._settle(account, container, blob, due(rules, container, blob))
            if not marker:
                return done

    async def _settle(self, account: str, container: str, blob: Stored, wanted: str | None) -> bool:
        path = f"/{account}/{container}/{quote(blob.name)}"
        if wanted == "delete":
            await self._calls.read("blob", account, "DELETE", path)
        elif wanted is not None:
            await self._calls.read("blob", account, "PUT", path, query="comp=tier", headers={"x-ms-access-tier": wanted})
        return wanted is not None


def _has_topic(twin: Twin, account_id: str) -> bool:
    return any(arm.same(topic["source"], account_id) for topic in twin.world.find(SYSTEM_TOPIC))

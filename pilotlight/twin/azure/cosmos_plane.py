"""Cosmos DB for Table: accounts and their tables, kept in the Azurite of Azure Storage under names that none of its accounts can have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure.cosmos_door import CosmosDoor, stored_as
from pilotlight.twin.azure.rows_cosmos import SERVICE
from pilotlight.twin.azure.storage_calls import Calls
from pilotlight.twin.azure.types import COSMOS_ACCOUNT
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.azure.storage_plane import StoragePlane

STORAGE = "storage_plane:StoragePlane"
_JSON = {"content-type": "application/json", "accept": "application/json;odata=nometadata"}


class CosmosPlane(Plane):
    needs = (STORAGE,)

    async def start(self) -> None:
        self.twin.azure.handlers[SERVICE] = CosmosDoor(self.twin, self._calls)

    async def close(self) -> None:
        self.twin.azure.handlers.pop(SERVICE, None)

    def create(self, resource: Resource) -> Mapping[str, Any] | None:
        if resource.token == COSMOS_ACCOUNT:
            if self.twin.world.get(COSMOS_ACCOUNT, resource.id) is None:
                self.twin.wait(self._empty(resource["name"]))
        else:
            self.twin.wait(self._make(resource))
        return None

    def delete(self, resource: Resource) -> None:
        if resource.token == COSMOS_ACCOUNT:
            self.twin.wait(self._empty(resource["name"]))
        else:
            self.twin.wait(self._remove(resource["accountName"], resource["name"]))

    def read(self, resource: Resource) -> dict[str, Any] | None:
        if resource.token != COSMOS_ACCOUNT and not self.twin.wait(self._is_there(resource)):
            return None
        return dict(resource.outputs)

    @property
    def _calls(self) -> Calls:
        # `needs` has started it.
        storage: StoragePlane = self.twin.azure.planes.made(STORAGE)  # type: ignore[assignment]  # the place names the class
        return storage.calls

    async def _make(self, table: Resource) -> None:
        account, body = stored_as(table["accountName"]), json.dumps({"TableName": table["name"]}).encode()
        await self._calls.read("table", account, "POST", f"/{account}/Tables", headers=_JSON, content=body)

    async def _is_there(self, table: Resource) -> bool:
        account = stored_as(table["accountName"])
        answer, _ = await self._calls.read("table", account, "GET", f"/{account}/Tables('{table['name']}')", headers=_JSON)
        return answer.status != 404

    async def _remove(self, name: str, table: str) -> None:
        """One that is gone already is no error."""
        account = stored_as(name)
        await self._calls.read("table", account, "DELETE", f"/{account}/Tables('{table}')", headers=_JSON)

    async def _empty(self, name: str) -> None:
        account = stored_as(name)
        _, body = await self._calls.read("table", account, "GET", f"/{account}/Tables", headers=_JSON)
        for table in json.loads(body)["value"]:
            await self._remove(name, table["TableName"])

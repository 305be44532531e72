"""Cosmos DB for Table at the twin's fronts: who calls, may they, does it fit, then Azurite's tables.

At `/cosmos/ACCOUNT/…` of the host `localhost`, which azure-data-tables takes for Cosmos DB's emulator: so it speaks as to Cosmos DB.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Request, Send
from pilotlight.twin.azure import cosmos_entities, cosmos_rights, storage_batches
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.data_door import DataDoor, send_back
from pilotlight.twin.azure.rows_cosmos import SERVICE
from pilotlight.twin.azure.storage_calls import Calls, busy
from pilotlight.twin.azure.types import COSMOS_ACCOUNT
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.upstream import UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_AUDIENCES = ("https://cosmos.azure.com", "https://cosmos.azure.com/")
# "Diagnose and troubleshoot Azure Cosmos DB request rate too large exceptions": what an outage answers.
_AGAIN_MS = "50"


def stored_as(name: str) -> str:
    """The account of Azurite's that has the tables: no account of Azure Storage has so long a name, and Azurite's transactions know no
    hyphens."""
    return f"cosmos{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class CosmosDoor(DataDoor):
    """The handler of `/_azure/cosmos/…`."""

    def __init__(self, twin: Twin, calls: Calls) -> None:
        super().__init__(twin, "table", calls)

    def _refusal(self, refusal: Refusal, *, head: bool) -> AwsResponse:
        answer = super()._refusal(refusal, head=head)
        # Only the body tells the code (recorded tests of azure-data-tables).
        answer.headers.pop("x-ms-error-code")
        if refusal.status == 429:
            answer.headers["x-ms-retry-after-ms"] = _AGAIN_MS
        return answer

    async def _served(self, request: Request, send: Send) -> None:
        if self._twin.faults.is_out(SERVICE):
            raise Refusal("TooManyRequests", f"Request rate is large: a test asked for it ({SERVICE} is out).", 429)
        name, _, rest = request.raw_path.removeprefix(f"{PREFIX}{SERVICE}/").partition("/")
        there = self._account(name)
        caller = self._caller(request, there)
        body = await request.body(cosmos_entities.TRANSACTION_BYTES, Refusal("RequestBodyTooLarge", "The request body is too large.", 413))
        if rest == "$batch":
            parts, body = storage_batches.read(body, name, stored_as(name), cosmos_entities.check)
            for part in parts:
                table, actions = cosmos_rights.wanted(part.method, part.path, part.headers)
                self._permit(there, caller, table, [cosmos_rights.TRANSACTION, *actions])
        else:
            table, actions = cosmos_rights.wanted(request.method, rest, request.headers)
            self._permit(there, caller, table, actions)
            cosmos_entities.check(body)
        await self._forward(request, send, stored_as(name), rest, body)

    def _account(self, name: str) -> Resource:
        found = self._twin.world.one(COSMOS_ACCOUNT, name=name)
        if found is None:
            there = ", ".join(sorted(one["name"] for one in self._twin.world.find(COSMOS_ACCOUNT))) or "none"
            # On Azure its address would not be known.
            raise Refusal("ResourceNotFound", f"There is no account {name!r} of Cosmos DB: there is {there}.", 404)
        if found.get("publicNetworkAccess") == "Disabled":
            raise Refusal(
                "Forbidden", "Request originated from a network that is blocked by your Cosmos DB account firewall settings.", 403
            )
        return found

    def _caller(self, request: Request, there: Resource) -> str:
        """The principal's object id. Refusal for who proves nothing, or comes with a key."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            off = "Local Authorization is disabled. Use an AAD token to authorize all requests."
            raise Refusal(
                "Unauthorized", off if there.get("disableLocalAuth") else "The local twin has no keys: use a token of Entra's.", 401
            )
        claims = self._twin.azure.tokens(self._twin).verify(token.strip(), _AUDIENCES)
        if claims is None:
            raise Refusal("Unauthorized", f"The token is none for {_AUDIENCES[0]}, or has ended.", 401)
        return str(claims["oid"])

    def _permit(self, there: Resource, caller: str, table: str, actions: list[str]) -> None:
        if why := cosmos_rights.refusal(self._twin.world, caller, there, table, actions):
            raise Refusal("Forbidden", f"Request blocked by Auth {there['name']}: {why}", 403)

    async def _forward(self, request: Request, send: Send, stored: str, rest: str, body: bytes) -> None:
        path = f"/{stored}/{rest}" if rest else f"/{stored}"
        answer = await self._calls.send(
            "table", stored, request.method, path, query=request.raw_query, headers=dict(request.headers), content=body
        )
        try:
            await send_back(answer, send)
        except UpstreamError as error:
            raise busy(error) from None
        finally:
            answer.close()

"""Components of Application Insights: the ingestion API, `POST /v2.1/track` below `FRONT/_azure/insights`, and where its items go.

Sources (read 2026-11): `telemetry.py`'s; Azure Monitor documentation, "Microsoft Entra authentication for Application Insights": audience
and role. One address takes the items of all components, which tell theirs by its instrumentation key.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure import arm, telemetry
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.log_analytics import PLACE, LogAnalytics
from pilotlight.twin.azure.telemetry import ItemError
from pilotlight.twin.azure.types import COMPONENT, WORKSPACE
from pilotlight.twin.passing import bearer
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

NAME = "insights"
TELL = "Microsoft.Insights/Telemetry/Write"
_AUDIENCES = ("https://monitor.azure.com", "https://monitor.azure.com/", "https://monitor.azure.com//")
# Versions 2 and 2.1 differ in nothing that is read here.
_PATHS = ("v2/track", "v2.1/track")
_MOST_BYTES = 4 * 1024**2


class Insights(Plane):
    """`take` keeps items in the workspaces of their components, in the twin's loop."""

    needs = (PLACE,)

    async def start(self) -> None:
        self.twin.azure.handlers[NAME] = self

    async def close(self) -> None:
        self.twin.azure.handlers.pop(NAME, None)

    async def handle(self, request: Request, send: Send) -> None:
        try:
            items = await self._items(request)
            token = bearer(request.headers.get("authorization"))
            claims = self.twin.azure.tokens(self.twin).verify(token, _AUDIENCES) if token else None
            status, told = self._answered(items, "" if claims is None else str(claims["oid"]))
        except Refusal as refusal:
            error = {"index": 0, "statusCode": refusal.status, "message": refusal.message}
            status, told = refusal.status, {"itemsReceived": 0, "itemsAccepted": 0, "errors": [error]}
        await respond(send, json_response(status, told))

    def take(self, item: Mapping[str, Any], who: str) -> None:
        """Keep an item that the principal tells (nobody, where it is empty). ItemError."""
        component = self._component(str(item.get("iKey", "")), who)
        workspace = arm.find(self.twin.world, str(component["workspaceResourceId"]))
        logs = self.twin.azure.planes.made(PLACE)
        if workspace is None or workspace.token != WORKSPACE or not isinstance(logs, LogAnalytics):
            raise ItemError(f"The workspace of {component['name']} is gone.", 500)
        row = telemetry.row_of(item, component.id)
        age_s = time.time() - telemetry.told_at(item)
        logs.write(telemetry.Row(workspace=workspace.id, age_s=age_s), json.dumps(row))

    def _answered(self, items: Iterable[Mapping[str, Any]], who: str) -> tuple[int, dict[str, Any]]:
        errors, received = [], 0
        for index, item in enumerate(items):
            received += 1
            try:
                self.take(item, who)
            except ItemError as error:
                errors.append({"index": index, "statusCode": error.status, "message": str(error)})
        status = 200 if not errors else 206 if len(errors) < received else int(str(errors[0]["statusCode"]))
        return status, {"itemsReceived": received, "itemsAccepted": received - len(errors), "errors": errors}

    def _component(self, key: str, who: str) -> Resource:
        """The component of a key, where the principal may tell it something. ItemError."""
        found = self.twin.world.one(COMPONENT, instrumentationKey=key)
        if found is None:
            raise ItemError(f"Invalid instrumentation key: there is no component with {key!r}.")
        if not found.get("disableLocalAuth"):
            return found
        if not who:
            raise ItemError(f"{found['name']} has no local authentication: send a token for {_AUDIENCES[0]}.", 401)
        if reason := self.twin.azure.iam.allowed(who, TELL, found.id, data=True):
            raise ItemError(reason, 403)
        return found

    async def _items(self, request: Request) -> list[Mapping[str, Any]]:
        path = request.raw_path.removeprefix(f"{PREFIX}{NAME}/").lstrip("/")
        if request.method != "POST" or path not in _PATHS:
            raise Refusal("NotFound", f"{request.method} {request.raw_path}: use POST and {' or '.join(_PATHS)}.", 404)
        body = await request.body(_MOST_BYTES, Refusal("TooLarge", f"The items have more than {_MOST_BYTES} bytes.", 413))
        try:
            text = (gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body).decode()
            lined = request.headers.get("content-type", "").endswith("x-json-stream")
            found = [json.loads(line) for line in text.splitlines() if line] if lined else json.loads(text)
        except (ValueError, EOFError, OSError, zlib.error) as error:
            raise Refusal("BadRequest", f"The items can't be read: {error}") from None
        items = found if isinstance(found, list) else [found]
        if not all(isinstance(item, Mapping) for item in items):
            raise Refusal("BadRequest", "An item is no object.")
        return items


def plane(twin: Twin) -> Insights | None:
    """What takes items, once there is a component."""
    found = twin.azure.planes.made("insights:Insights")
    return found if isinstance(found, Insights) else None

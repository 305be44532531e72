"""What API Management tells Application Insights of a request, where a diagnostic of its API says so: the request, what it asked of its
backend, and the trace that both belong to, which goes on to the backend as W3C has it.

Sources (read 2026-11): API Management documentation, "How to integrate with Application Insights"; Microsoft.ApiManagement API 2024-05-01,
DiagnosticContract and LoggerContract. The trace's flag says that nobody samples, as Application Insights' clients on .NET have it
(microsoft/ApplicationInsights-dotnet issue 2835).
"""

from __future__ import annotations

import logging
import random
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from pilotlight.twin.azure import arm, identities, insights
from pilotlight.twin.azure.apim_call import Call
from pilotlight.twin.azure.apim_subscriptions import whole_scope
from pilotlight.twin.azure.telemetry import ItemError
from pilotlight.twin.azure.types import API_DIAGNOSTIC, API_LOGGER
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

INSIGHTS = "applicationinsights"
_LOG = logging.getLogger(__name__)
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_KEY = re.compile(r"InstrumentationKey=([^;]+)")


@dataclass(kw_only=True)
class Asked:
    """The request to the backend."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    status: int = 0


class Traced:
    """One request that is told of. What can't be told is lost, as it is on Azure, and the twin's log says why."""

    def __init__(self, twin: Twin, service: Resource, api: Resource, diagnostic: Resource, logger: Resource, call: Call) -> None:
        self._twin, self._service, self._api, self._diagnostic, self._logger, self._call = twin, service, api, diagnostic, logger, call
        found = _PARENT.fullmatch(call.request.headers.get("traceparent") or "")
        self._trace, self._parent, self._flags = found.groups() if found else (secrets.token_hex(16), "", "00")
        self._id, self._began = secrets.token_hex(8), time.time()
        self._asked: Asked | None = None

    def forwarding(self) -> Asked:
        """A request to the backend begins."""
        self._asked = Asked()
        if self._diagnostic.get("httpCorrelationProtocol") == "W3C":
            self._call.request.headers.replace("traceparent", f"00-{self._trace}-{self._asked.id}-{self._flags}")
        return self._asked

    def answered(self, status: int) -> None:
        """Tell all of it."""
        sampling = self._diagnostic.get("sampling") or {}
        failed = status >= 400 and self._diagnostic.get("alwaysLog") == "allErrors"
        if not failed and random.random() * 100 >= float(sampling.get("percentage", 100)):  # noqa: S311 (a share)
            return
        operation = self._call.operation.id if self._call.operation else ""
        name = f"{self._api['name']};rev={self._api.get('apiRevision') or 1} - {operation}"
        url = self._call.request.original_url
        told_url = f"{url.scheme}://{url.host}{url.path}{self._query(url.raw_query, 'frontend')}"
        request = {
            **_base(self._id, name, time.time() - self._began, status),
            "responseCode": str(status),
            "url": told_url,
            "properties": self._properties(),
        }
        self._tell("Request", self._began, self._parent, name, request)
        if self._asked is not None:
            base = _base(
                self._asked.id, f"{self._call.request.method} {self._call.request.url.path}", self._asked.seconds, self._asked.status
            )
            backend, sent = (self._call.base_url or "").rstrip("/"), self._call.request.url
            data = f"{backend}{sent.path}{self._query(sent.raw_query, 'backend')}"
            told = {**base, "resultCode": str(self._asked.status), "type": "Backend", "target": backend.partition("://")[2], "data": data}
            self._tell("RemoteDependency", self._asked.began, self._id, name, told)

    def _query(self, raw: str, side: str) -> str:
        """The query of an address as it is told, `?` and all: what the diagnostic masks on that side is not in it."""
        request = (self._diagnostic.get(side) or {}).get("request") or {}
        masks = {str(one["value"]): one.get("mode") for one in (request.get("dataMasking") or {}).get("queryParams") or []}
        pairs = [(name, "****" if masks.get(name) == "Mask" else value) for name, value in parse_qsl(raw, keep_blank_values=True)]
        kept = urlencode([pair for pair in pairs if masks.get(pair[0]) != "Hide"])
        return f"?{kept}" if kept else ""

    def _tell(self, kind: str, began: float, parent: str, operation: str, base: Mapping[str, Any]) -> None:
        credentials = self._logger.get("credentials") or {}
        role = f"{self._service['name']}.azure-api.net {self._service['location']}"
        tags = {"ai.operation.id": self._trace, "ai.operation.name": operation, "ai.operation.parentId": parent, "ai.cloud.role": role}
        key = _KEY.search(str(credentials.get("connectionString", "")))
        item = {
            "ver": 1,
            "name": f"Microsoft.ApplicationInsights.{kind}",
            "time": datetime.fromtimestamp(began, UTC).isoformat(),
            "iKey": key[1] if key else credentials.get("instrumentationKey", ""),
            "tags": tags,
            "data": {"baseType": f"{kind}Data", "baseData": base},
        }
        plane = insights.plane(self._twin)
        try:
            if plane is None:
                raise ItemError("There is no component of Application Insights any more.")
            plane.take(item, self._who(str(credentials.get("identityClientId", ""))))
        except ItemError as error:
            _LOG.warning("API Management %s, request %s: not told: %s", self._service["name"], self._call.request_id, error)

    def _who(self, client_id: str) -> str:
        """The principal that the logger names, one of the service's own; empty without one."""
        if client_id.lower() == "systemassigned":
            own = identities.system_assigned(self._service)
            return own.principal_id if own else ""
        found = identities.declared(self._twin.world, self._service)
        return next((one.principal_id for one in found if client_id and one.client_id == client_id), "")

    def _properties(self) -> dict[str, str]:
        subscription, product = self._call.subscription, self._call.product
        told = {
            "Request Id": self._call.request_id,
            "API Name": str(self._api["name"]),
            "API Revision": str(self._api.get("apiRevision") or 1),
            "Operation Name": self._call.operation.id if self._call.operation else "",
            "Service ID": str(self._service["name"]),
            "Service Type": "API Management",
            "Region": str(self._service["location"]),
            "HTTP Method": self._call.request.method,
        }
        return {
            **told,
            **({"Subscription Name": subscription.id} if subscription else {}),
            **({"Product Name": product.id} if product else {}),
        }


def traced(twin: Twin, service: Resource, api: Resource, call: Call) -> Traced | None:
    """What tells of the requests of an API, None where nothing is to be told."""
    diagnostic = twin.world.get(API_DIAGNOSTIC, f"{api.id}/diagnostics/{INSIGHTS}")
    if diagnostic is None:
        return None
    logger = arm.find(twin.world, whole_scope(service.id, str(diagnostic["loggerId"])))
    if logger is None or logger.token != API_LOGGER:
        return None
    return Traced(twin, service, api, diagnostic, logger, call)


def _base(id_: str, name: str, seconds: float, status: int) -> dict[str, Any]:
    days, left = divmod(seconds, 86_400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    duration = f"{int(days)}.{int(hours):02d}:{int(minutes):02d}:{left:09.6f}"
    return {"ver": 2, "id": id_, "name": name, "duration": duration, "success": 0 < status < 400}

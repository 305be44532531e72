"""Gateways of API Gateway, answering as the documents of their configs say, at `FRONT/_gcp/gateway/HOST/PATH`.

A request whose Host is a gateway's own (`….gateway.dev`) is led there by the front.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.limits import API_GATEWAY_PAYLOAD_BYTES
from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.gcp import agents, gateway_document, gateway_routes
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.cloud import GATEWAYS, PREFIX, is_gateway
from pilotlight.twin.gcp.gateway_backend import Backends
from pilotlight.twin.gcp.gateway_document import Api
from pilotlight.twin.gcp.gateway_jwt import Callers
from pilotlight.twin.gcp.gateway_keys import Keys
from pilotlight.twin.gcp.gateway_quota import Quotas
from pilotlight.twin.gcp.metric_counts import gateway_answered
from pilotlight.twin.gcp.rows_gateway import api_of, document
from pilotlight.twin.gcp.types import API, API_CONFIG, GATEWAY
from pilotlight.twin.mounting import mounted
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_LOG = logging.getLogger(__name__)
_TOO_LARGE = Refusal("PAYLOAD_TOO_LARGE", f"Payload Too Large: a request may have {API_GATEWAY_PAYLOAD_BYTES.high} bytes.", 413)
# ESPv2's generated headers, under API Gateway's prefix.
_USER, _CONSUMER_TYPE, _CONSUMER = "x-apigateway-api-userinfo", "x-apigateway-api-consumer-type", "x-apigateway-api-consumer-number"


@dataclass(frozen=True, kw_only=True)
class _Served:
    """What a config says. `service` is the API's managed service, `account` whom the gateway calls backends as."""

    api: Api
    service: str
    account: str
    project: str


class GatewayPlane(Plane):
    """Every request is answered by the config that its gateway has at that moment, to its end."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._keys, self._callers, self._quotas = Keys(twin.world), Callers(), Quotas(twin.clock.now)
        # By config: the contents that were read, and what they say.
        self._read: dict[str, tuple[str, _Served]] = {}

    async def start(self) -> None:
        self._backends = Backends(self.twin)
        self.twin.gcp.handlers[GATEWAYS] = self

    async def close(self) -> None:
        self.twin.gcp.handlers.pop(GATEWAYS, None)
        await self._backends.close()

    def create(self, resource: Resource) -> None:
        """Refusal for a config that the twin can't serve."""
        self._served(resource)

    def update(self, old: Resource, new: Resource) -> None:
        self._served(new)

    async def handle(self, request: Request, send: Send) -> None:
        """Answer a request; errors are told as API Gateway tells its own."""
        try:
            response, repeated = await self._answer(request)
        except Refusal as refusal:
            response, repeated = json_response(refusal.status, {"message": refusal.message, "code": refusal.status}), []
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 (whatever goes wrong here must not look like an answer of Google's, and must be logged)
            _LOG.exception("%s %s", request.method, request.raw_path)
            trouble = {"message": "The twin failed at this request: see the log in its home.", "code": 500}
            response, repeated = json_response(500, trouble), []
        if (gateway := self._gateway(request)) is not None:
            gateway_answered(self.twin, gateway, response.status)
        if request.method == "HEAD":
            response.body = b""
        await respond(send, response, extra=repeated)

    def _gateway(self, request: Request) -> Resource | None:
        """The one whose host the request's path begins with."""
        return self.twin.world.one(GATEWAY, defaultHostname=_split(request)[0].lower())

    async def _answer(self, request: Request) -> tuple[AwsResponse, list[tuple[str, str]]]:
        host, path = _split(request)
        gateway = self._gateway(request)
        if gateway is None:
            raise Refusal("NOT_FOUND", f"The requested URL {path} was not found: there is no gateway {host!r} here.", 404)
        if self.twin.faults.is_out("apigateway"):
            raise Refusal("UNAVAILABLE", "Service Unavailable: a test asked for an outage.", 503)
        served = self._served(gateway)
        operation, values = gateway_routes.find(served.api, request.method, path)
        told = await self._let_in(request, served, operation)
        body = await request.body(API_GATEWAY_PAYLOAD_BYTES.high, _TOO_LARGE)
        status, headers, content = await self._backends.call(
            request.method,
            gateway_routes.target(operation, path, request.raw_query, values),
            self._backends.headers(request, operation.backend, served.account, told),
            body,
            operation.backend.deadline_s,
        )
        mount = "" if is_gateway(request.headers.get("host", "")) else f"{PREFIX}{GATEWAYS}/{host}"
        return AwsResponse(status=status, headers={}, body=content), [mounted(name, value, mount) for name, value in headers]

    async def _let_in(self, request: Request, served: _Served, operation: gateway_document.Operation) -> Mapping[str, str | None]:
        """What the backend is told of the caller. Refusal for one that may not come in, tokens before keys before quotas."""
        told: dict[str, str | None] = {}
        user = await self._callers.payload(request, operation, served.service)
        key = self._keys.consumer(request, operation, served.service)
        if key is not None:
            told |= {_CONSUMER_TYPE: "PROJECT", _CONSUMER: project_number(key["project"])}
        self._quotas.take(served.api, operation, served.service, project_number(key["project"] if key else served.project))
        # Only where the document knows issuers is the header taken from who sends it.
        return told if not served.api.tokens else {**told, _USER: user}

    def _served(self, gateway: Resource) -> _Served:
        config = self.twin.world.get(API_CONFIG, gateway["apiConfig"])
        if config is None and (moved := self.twin.world.get(GATEWAY, gateway.id)) is not None:
            # Programs change the world in other threads: the gateway has just moved on, and its config gone.
            config = self.twin.world.get(API_CONFIG, moved["apiConfig"])
        if config is None:
            raise Refusal("NOT_FOUND", f"The gateway's config {gateway['apiConfig']} is gone.", 404)
        documents = config.get("openapiDocuments") or []
        if len(documents) != 1:
            raise Refusal("UNIMPLEMENTED", f"{config.id} has {len(documents)} OpenAPI documents: the local twin serves gateways of one.")
        contents = documents[0]["document"]["contents"]
        known = self._read.get(config.id)
        if known is None or known[0] != contents:
            known = self._read[config.id] = contents, self._understood(config, contents)
        return known[1]

    def _understood(self, config: Resource, contents: str) -> _Served:
        try:
            api = gateway_document.read(document(contents))
        except ValueError as error:
            raise Refusal("INVALID_ARGUMENT", f"The document of {config.id}: {'; '.join(str(error).splitlines())}") from None
        declared = self.twin.world.get(API, api_of(config))
        backend: Mapping[str, Any] = (config.get("gatewayConfig") or {}).get("backendConfig") or {}
        account = str(backend.get("googleServiceAccount") or agents.compute_account(config["project"])).rsplit("/", 1)[-1]
        service = str(declared["managedService"]) if declared else ""
        return _Served(api=api, service=service, account=account, project=str(config["project"]))


def _split(request: Request) -> tuple[str, str]:
    """A gateway's host, and the path below it."""
    host, slash, rest = request.raw_path.removeprefix(f"{PREFIX}{GATEWAYS}/").partition("/")
    return host, slash + rest or "/"

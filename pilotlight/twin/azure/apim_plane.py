"""API Management's gateways, at `FRONT/_azure/apim/HOST/PATH`.

A request whose Host is a gateway's own (`….azure-api.net`) is led there by the front.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from components.limits_azure import API_MANAGEMENT_S, CONSUMPTION
from pilotlight.twin.asgi import Answering, Request, Send, header_value
from pilotlight.twin.azure.apim_backend import pieces
from pilotlight.twin.azure.apim_call import ApiResponse, PolicyFailure
from pilotlight.twin.azure.apim_gateway import Gateway, told
from pilotlight.twin.azure.apim_policies import INTERNAL
from pilotlight.twin.azure.apim_service import Services
from pilotlight.twin.azure.cloud import GATEWAYS, PREFIX
from pilotlight.twin.azure.monitor_counts import gateway_answered
from pilotlight.twin.azure.types import API_MANAGEMENT
from pilotlight.twin.mounting import mounted
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

_LOG = logging.getLogger(__name__)
_NO_SERVICE = "NoService"


class ApimPlane(Plane):
    """Every request is answered by what its service holds at that moment."""

    # Who verifies the tokens that services send to backends.
    needs = ("identity_plane:IdentityPlane",)

    async def start(self) -> None:
        self._services = Services(self.twin)
        self.twin.azure.handlers[GATEWAYS] = self

    async def close(self) -> None:
        self.twin.azure.handlers.pop(GATEWAYS, None)
        await self._services.backends.close()

    async def handle(self, request: Request, send: Send) -> None:
        """Answer a request; errors are told as API Management tells its own. ConnectionError for an answer that is cut off."""
        answering = send if isinstance(send, Answering) else Answering(request, send)
        host, slash, rest = request.raw_path.removeprefix(f"{PREFIX}{GATEWAYS}/").partition("/")
        mount = f"{PREFIX}{GATEWAYS}/{host}" if request.headers.get("host", "").partition(":")[0].lower() != host.lower() else ""
        service: Resource | None = None
        gateway: Gateway | None = None
        try:
            service = self._service(host)
            if self.twin.faults.is_out("apigateway"):
                raise Refusal("ServiceUnavailable", "Service Unavailable: a test asked for an outage.", 503)
            limit_s = API_MANAGEMENT_S.high if service["sku"]["name"] == CONSUMPTION else None
            async with asyncio.timeout(limit_s):
                gateway = Gateway(self._services, service, request, host.lower(), slash + rest or "/")
                await _respond(answering, await gateway.answer(), mount, request.method)
        except ConnectionError:
            raise
        except Exception as error:  # whatever goes wrong here is logged, and must not look like an answer of the function's
            if answering.started:
                # Too late for a status: an answer cut short is what the client must see, not one that looks whole.
                raise ConnectionError(f"the answer was cut off: {error}") from error
            await _respond(answering, _explained(request, error), mount, request.method)
        finally:
            if service is not None and answering.status is not None:
                gateway_answered(self.twin, service, answering.status)
                if gateway is not None:
                    gateway.told(answering.status)

    def _service(self, host: str) -> Resource:
        service = self.twin.world.one(API_MANAGEMENT, gatewayUrl=f"https://{host.lower()}")
        if service is None:
            raise Refusal(_NO_SERVICE, f"There is no API Management service at {host!r} here.", 404)
        return service


def _explained(request: Request, error: Exception) -> ApiResponse:
    if isinstance(error, Refusal):
        return told(PolicyFailure(error.status, error.code, error.message), "")
    if isinstance(error, TimeoutError):
        return told(PolicyFailure(500, "Timeout", f"a request may take {API_MANAGEMENT_S.high} s in all", told=INTERNAL), "")
    _LOG.exception("%s %s", request.method, request.raw_path, exc_info=error)
    return told(PolicyFailure(500, "Twin", "The twin failed at this request: see the log in its home."), "")


async def _respond(send: Send, response: ApiResponse, mount: str, method: str) -> None:
    headers = [mounted(name, value, mount) for name, value in response.headers.pairs]
    raw = [(name.lower().encode("latin-1"), header_value(value)) for name, value in headers]
    if isinstance(response.body, bytes) and not any(name == b"content-length" for name, _ in raw):
        raw.append((b"content-length", str(len(response.body)).encode()))
    try:
        await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
        async with aclosing(pieces(response.body)) as body:
            async for piece in body:
                if method != "HEAD":
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        if response.close is not None:
            await response.close()

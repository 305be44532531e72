"""`AzureCloud`: Azure's half of a twin, handed to hooks and services as `twin.azure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure.iam import Iam
from pilotlight.twin.azure.identity_endpoint import IdentityEndpoint
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.azure.tls import Tls
from pilotlight.twin.planes import Planes

if TYPE_CHECKING:
    from pilotlight.twin.azure.tokens import Tokens
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource, World

# Below it the front hands requests to Azure: `/_azure/NAME/…` to the handler of that name.
PREFIX = "/_azure/"
# The handler of API Management's gateways, each of which has a host name of this domain.
GATEWAYS = "apim"
# Where Azure's own clients have a constant.
MANAGER = "PILOTLIGHT_RESOURCE_MANAGER"
_GATEWAY_DOMAIN = ".azure-api.net"


class Handler(Protocol):
    """What answers the requests of one name; `request.raw_path` is the whole path, `/_azure/NAME/…`, at both fronts."""

    async def handle(self, request: Request, send: Send) -> None: ...


class AzureCloud:
    """`iam` decides; `planes` serve the resources; `handlers` answer at the twin's fronts, entered by the planes that have answers.

    identities  tells processes who they are
    tls         the front that speaks TLS
    """

    def __init__(self, world: World, planes: Planes | None = None) -> None:
        self.iam = Iam(world)
        self.planes = planes or azure_planes()
        self.handlers: dict[str, Handler] = {}
        self.identities = IdentityEndpoint()
        self.tls = Tls()
        self._tokens: Tokens | None = None

    def tokens(self, twin: Twin) -> Tokens:
        """What signs and verifies the tokens of this twin's identities."""
        if self._tokens is None:
            # Imported here: it takes a while, and a twin without Azure needs none.
            from pilotlight.twin.azure.tokens import Tokens

            self._tokens = Tokens(twin.home)
        return self._tokens

    def url(self, twin: Twin, name: str, *path: str) -> str:
        """The https address that the handler of that name answers below. It has no trailing slash."""
        return "/".join([f"https://{self.host(twin)}/{name}", *path])

    def host(self, twin: Twin) -> str:
        """`127.0.0.1:PORT` of the front that speaks TLS, which listens from now on; the same after a restart."""
        return f"127.0.0.1:{self.tls.port(twin)}"

    def plain(self, twin: Twin, url: str) -> str:
        """The same address at the twin's plain front, for callers of this process; one elsewhere as it is."""
        own = f"https://{self.host(twin)}/"
        return f"{twin.front_url}{PREFIX}{url.removeprefix(own)}" if url.startswith(own) else url

    def ca_file(self, twin: Twin) -> Path:
        """The certificate (PEM) that clients of the TLS front must trust."""
        return self.tls.ca_file(twin.home)

    def variables(self, twin: Twin, app: Resource | None = None) -> dict[str, str]:
        """The environment by which clients reach the TLS front: of a process of that app also by which they know who they are."""
        trusted = str(self.ca_file(twin))
        own = {**self.identities.variables(twin, app), **self._manager(twin)} if app is not None else {}
        return {"SSL_CERT_FILE": trusted, "REQUESTS_CA_BUNDLE": trusted, **own}

    def developer(self, twin: Twin) -> dict[str, str]:
        """Variables by which the developer's programs trust the TLS front beside everybody whom they trust anyway (they speak to
        others too, the engine's own for one), by which azure-identity knows the developer, and where Resource Manager is. Not in the
        twin's loop."""
        trusted = str(self.tls.bundle_file(twin.home))
        there = {"SSL_CERT_FILE": trusted, "REQUESTS_CA_BUNDLE": trusted, **self._manager(twin)}
        return {**there, **self.identities.developer(twin)}

    def _manager(self, twin: Twin) -> dict[str, str]:
        """Where Resource Manager is, which answers from now on."""
        from pilotlight.twin.azure.resource_manager import NAME, ResourceManager

        self.handlers.setdefault(NAME, ResourceManager(twin))
        return {MANAGER: self.url(twin, NAME)}

    async def handle(self, request: Request, send: Send) -> None:
        """Answer a request below `PREFIX`."""
        name = request.raw_path.removeprefix(PREFIX).split("/", 1)[0]
        handler = self.handlers.get(name)
        if handler is None:
            served = ", ".join(sorted(self.handlers)) or "nothing yet"
            message = f"Nothing is served at {PREFIX}{name}: the twin serves {served}. Bring the stack up first."
            await respond(send, json_response(404, {"error": {"code": "NotFound", "message": message}}))
            return
        await handler.handle(request, send)


def is_for_azure(request: Request) -> bool:
    """Whether Azure's half answers a request; one to a gateway's own host is led to the path where that gateway is."""
    host = request.headers.get("host", "").partition(":")[0].lower()
    if host.endswith(_GATEWAY_DOMAIN) and not request.raw_path.startswith(PREFIX):
        request.raw_path = f"{PREFIX}{GATEWAYS}/{host}{request.raw_path}"
    return request.raw_path.startswith(PREFIX)

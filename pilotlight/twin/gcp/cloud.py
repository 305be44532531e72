"""`GoogleCloud`: Google Cloud's half of a twin, handed to hooks and services as `twin.gcp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.gcp.developer import word
from pilotlight.twin.gcp.iam import ANONYMOUS, Iam
from pilotlight.twin.gcp.inside import Inside
from pilotlight.twin.gcp.planes import google_planes
from pilotlight.twin.planes import Planes

if TYPE_CHECKING:
    from pilotlight.twin.gcp.callers import Caller
    from pilotlight.twin.gcp.grpc_front import GrpcFront
    from pilotlight.twin.gcp.tokens import Tokens
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import World

# Below it the front hands requests to Google Cloud: `/_gcp/NAME/…` to the handler of that name.
PREFIX = "/_gcp/"
# The handler of API Gateway's gateways, each of which has a host name of this domain.
GATEWAYS = "gateway"
_GATEWAY_DOMAIN = ".gateway.dev"


def is_gateway(host: str) -> bool:
    """Whether a Host header names a gateway."""
    return host.partition(":")[0].lower().endswith(_GATEWAY_DOMAIN)


def is_for_google(request: Request) -> bool:
    """Whether Google Cloud's half answers a request; one to a gateway's own host is led to the path where that gateway is."""
    host = request.headers.get("host", "")
    if is_gateway(host):
        request.raw_path = f"{PREFIX}{GATEWAYS}/{host.partition(':')[0].lower()}{request.raw_path}"
    return request.raw_path.startswith(PREFIX)


class Handler(Protocol):
    """What answers the requests of one name; `request.raw_path` is the whole path."""

    async def handle(self, request: Request, send: Send) -> None: ...


class GoogleCloud:
    """`iam` decides; `planes` serve the resources; `handlers` answer at the twin's front, entered by the planes that have answers.

    emulators  variable that leads Google's clients to the twin -> what opens the port for an identity; entered by planes
    apis       variable of the same kind -> name of the handler (`http_api.HttpApi`) that answers; entered by planes
    inside     by which Cloud Run knows requests of Google's own services
    id_token   signs an ID token for (service account's address, audience); None until what signs is there
    """

    def __init__(self, world: World, now: Callable[[], float], planes: Planes | None = None) -> None:
        """`now` gives the twin's time in seconds since the epoch."""
        self.iam = Iam(world, now)
        self.planes = planes or google_planes()
        self.handlers: dict[str, Handler] = {}
        self.emulators: dict[str, GrpcFront] = {}
        self.apis: dict[str, str] = {}
        self.inside = Inside()
        self.id_token: Callable[[str, str], str] | None = None
        self._tokens: Tokens | None = None

    def tokens(self, twin: Twin) -> Tokens:
        """What signs and verifies the tokens of this twin's accounts."""
        if self._tokens is None:
            # Imported here: it takes a while, and a twin without Google Cloud needs none.
            from pilotlight.twin.gcp.tokens import Tokens

            self._tokens = Tokens(twin.home)
        return self._tokens

    async def variables(self, twin: Twin, caller: Caller) -> dict[str, str]:
        """Where a caller's clients find what the planes serve by now. In the twin's loop."""
        below = () if caller.email == ANONYMOUS else (f"~{word(twin, caller.email)}",)
        found = {variable: self.url(twin, name, *below) for variable, name in self.apis.items()}
        for variable, front in self.emulators.items():
            found[variable] = f"127.0.0.1:{await front.port(caller)}"
        return found

    def url(self, twin: Twin, name: str, *path: str) -> str:
        """The address at the twin's front that the handler of that name answers below. It has no trailing slash."""
        return "/".join([f"{twin.front_url}{PREFIX}{name}", *path])

    def marks(self, twin: Twin, project: str, address: str) -> dict[str, str]:
        """The headers of a request that a service of Google's sends for a project to that address: nothing for one elsewhere."""
        return self.inside.headers(project) if address.startswith(f"{twin.front_url}{PREFIX}") else {}

    async def handle(self, request: Request, send: Send) -> None:
        """Answer a request below `PREFIX`."""
        name = request.raw_path.removeprefix(PREFIX).split("/", 1)[0]
        handler = self.handlers.get(name)
        if handler is None:
            served = ", ".join(sorted(self.handlers)) or "nothing yet"
            message = f"Nothing is served at {PREFIX}{name}: the twin serves {served}. Bring the stack up first."
            await respond(send, json_response(404, {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}))
            return
        await handler.handle(request, send)

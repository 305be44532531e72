"""`GoogleCloud`: Google Cloud's half of a twin, handed to hooks and services as `twin.gcp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.gcp.iam import Iam
from pilotlight.twin.gcp.planes import Planes

if TYPE_CHECKING:
    from pilotlight.twin.gcp.grpc_front import GrpcFront
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import World

# Below it the front hands requests to Google Cloud: `/_gcp/NAME/…` to the handler of that name.
PREFIX = "/_gcp/"


class Handler(Protocol):
    """What answers the requests of one name; `request.raw_path` is the whole path."""

    async def handle(self, request: Request, send: Send) -> None: ...


class GoogleCloud:
    """`iam` decides; `planes` serve the resources; `handlers` answer at the twin's front, entered by the planes that have answers.

    emulators  variable that leads Google's clients to the twin -> what opens the port for an identity; entered by planes
    id_token   signs an ID token for (service account's address, audience); None until what signs is there
    """

    def __init__(self, world: World, now: Callable[[], float], planes: Planes | None = None) -> None:
        """`now` gives the twin's time in seconds since the epoch."""
        self.iam = Iam(world, now)
        self.planes = planes or Planes()
        self.handlers: dict[str, Handler] = {}
        self.emulators: dict[str, GrpcFront] = {}
        self.id_token: Callable[[str, str], str] | None = None

    def url(self, twin: Twin, name: str, *path: str) -> str:
        """The address at the twin's front that the handler of that name answers below. It has no trailing slash."""
        return "/".join([f"{twin.front_url}{PREFIX}{name}", *path])

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

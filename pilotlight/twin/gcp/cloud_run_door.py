"""The front of Cloud Run's services: whether a caller may come in, and what it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from components import limits
from pilotlight.twin.asgi import Answering, Request, Send, respond
from pilotlight.twin.faults import KILL_WITHIN_S
from pilotlight.twin.forms import short
from pilotlight.twin.gcp.cloud import PREFIX
from pilotlight.twin.gcp.cloud_run_instances import Gone, Instances, TooMany
from pilotlight.twin.gcp.cloud_run_revision import InstanceFailed
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.inside import HEADER
from pilotlight.twin.gcp.metric_counts import run_answered
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.rows_run import INGRESS
from pilotlight.twin.gcp.tokens import Tokens
from pilotlight.twin.gcp.types import RUN_SERVICE, SUBNETWORK
from pilotlight.twin.passing import NOT_SENT_ON, Broken, Late, bearer, passed_on
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.upstream import UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.cloud_run_revision import Instance
    from pilotlight.twin.twin import Twin

# The front's name for Cloud Run: `/_gcp/run/PROJECT/LOCATION/SERVICE/…`.
NAME = "run"
INVOKE = "run.routes.invoke"
_AUTHORIZATION, _SERVERLESS = "authorization", "x-serverless-authorization"
# Cloud Run documentation, "Authenticating service-to-service": what it puts in the place of a token's signature.
_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
# Cloud Run documentation, "Troubleshoot Cloud Run issues".
_LATE = "upstream request timeout"
_BROKEN = "The request failed because either the HTTP response was malformed or connection to the instance had an error."
_NOT_SENT_ON = NOT_SENT_ON | {_SERVERLESS, HEADER}


class _Denied(Exception):
    """The answer that a request gets instead of the container's."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.response = AwsResponse(
            status=status, headers={"content-type": "text/plain; charset=utf-8", **(headers or {})}, body=text.encode()
        )


class Door:
    """`serving` are the instances of each service's revision, by the service's full name."""

    def __init__(self, twin: Twin, tokens: Tokens, serving: Mapping[str, Instances]) -> None:
        self._twin = twin
        self._tokens = tokens
        self._serving = serving

    async def handle(self, request: Request, send: Send) -> None:
        try:
            service, target = self._named(request)
            if self._twin.faults.is_out(NAME):
                raise _Denied(503, "Service Unavailable: a test asked for an outage.")
            self._judge(request, service)
            too_large = Refusal("RequestTooLarge", "Request Entity Too Large", 413)
            body = await request.body(limits.CLOUD_RUN_REQUEST_BYTES.high, too_large)
            await self._served(request, send, service, target, body)
        except Refusal as refusal:
            await respond(send, _Denied(refusal.status, refusal.message).response)
        except _Denied as denied:
            await respond(send, denied.response)

    def _named(self, request: Request) -> tuple[Resource, str]:
        """The service that the path names, and the target below it."""
        parts = request.raw_path.removeprefix(f"{PREFIX}{NAME}").lstrip("/").split("/", 3)
        name = "projects/{}/locations/{}/services/{}".format(*parts[:3]) if len(parts) >= 3 else ""
        service = self._twin.world.get(RUN_SERVICE, name)
        if service is None or name not in self._serving:
            raise _Denied(404, f"The requested URL {request.raw_path} was not found: no Cloud Run service has that address.")
        target = "/" + "".join(parts[3:])
        return service, f"{target}?{request.raw_query}" if request.raw_query else target

    def _judge(self, request: Request, service: Resource) -> None:
        """_Denied where the network or IAM keeps the caller out."""
        given = request.headers.get(_SERVERLESS) or request.headers.get(_AUTHORIZATION)
        email = self._caller(given, str(service["uri"]))
        if (service.get("ingress") or INGRESS) != INGRESS and not self._inside(request, given, service):
            raise _Denied(
                404,
                f"The requested URL {request.raw_path} was not found: the service takes requests of its project's networks only, and of "
                "the project's Eventarc, Pub/Sub and Cloud Scheduler.",
            )
        if service.get("invokerIamDisabled"):
            return
        # Who may come in without a token may also come in with one that is for somebody else.
        if self._twin.gcp.iam.allowed(ANONYMOUS, INVOKE, service.id) is None:
            return
        if email is None:
            challenge = {"www-authenticate": 'Bearer error="invalid_token" error_description="The access token could not be verified"'}
            text = f"The request was not authorized to invoke this service: send an ID token whose audience is {service['uri']}."
            raise _Denied(401, text, challenge)
        if reason := self._twin.gcp.iam.allowed(email, INVOKE, service.id):
            kind = "was not authenticated" if email == ANONYMOUS else "has no permission"
            raise _Denied(403, f"Your client does not have permission to get URL {request.raw_path}: the request {kind}. {reason}")

    def _caller(self, given: str | None, audience: str) -> str | None:
        """The caller's address, ANONYMOUS for one that sends no bearer token, None for one whose token is not accepted."""
        token = bearer(given)
        return self._tokens.verify(token, audience) if token else ANONYMOUS

    def _inside(self, request: Request, given: str | None, service: Resource) -> bool:
        """Whether a request is one of Google's own services for the service's project, or comes through a network of that.

        All services of the twin are on one machine, so that it goes by the token, which tells where it was asked for. What a service
        sends counts as internal where all of it goes through a subnetwork with Private Google Access (Cloud Run documentation,
        "Restrict network ingress").
        """
        if self._twin.gcp.inside.came(request.headers, service["project"]):
            return True
        through = self._twin.world.get(SUBNETWORK, self._tokens.subnetwork(bearer(given), str(service["uri"])))
        return through is not None and through["project"] == service["project"] and bool(through.get("privateIpGoogleAccess"))

    async def _served(self, request: Request, send: Send, service: Resource, target: str, body: bytes) -> None:
        kind, when = self._twin.faults.execution(NAME, short(service["name"])) or ("", 0.0)
        taken = None if kind in ("error", "timeout") else await self._instance(service)
        began, told = time.monotonic(), Answering(request, send)
        try:
            if taken is None:
                await self._wrong(service, kind)
            elif kind == "kill":
                await self._killed(taken[0], request, target, body, when)
            else:
                await self._passed_on(taken[0], request, told, target, body)
        except _Denied as denied:
            told.status = denied.response.status
            raise
        finally:
            if taken is not None:
                taken[1].release(taken[0])
            if told.status is not None:
                run_answered(self._twin, service, told.status, time.monotonic() - began)

    async def _passed_on(self, instance: Instance, request: Request, send: Send, target: str, body: bytes) -> None:
        """The container's answer as it comes; _Denied where there is none."""
        timeout_s = instance.revision.timeout_s
        try:
            await passed_on(instance.container, request, send, target=target, headers=_headers(request), body=body, timeout_s=timeout_s)
        except Late:
            raise _Denied(504, _LATE) from None
        except Broken:
            # Else the next request would be given to what is ending.
            await instance.container.has_ended()
            raise _Denied(503, _BROKEN) from None

    async def _wrong(self, service: Resource, kind: str) -> NoReturn:
        """What a test asked for in place of an answer: none for as long as it says, or none at all."""
        if kind == "timeout":
            await asyncio.sleep(min(self._twin.faults.hold_s, seconds(service["template"].get("timeout")) or math.inf))
            raise _Denied(504, _LATE)
        raise _Denied(503, _BROKEN)

    async def _killed(self, instance: Instance, request: Request, target: str, body: bytes, when: float) -> NoReturn:
        """The instance dies in the middle of the request, or when all is done, and nobody hears that it was."""
        asyncio.get_running_loop().call_later(when * KILL_WITHIN_S, instance.kill)
        with contextlib.suppress(UpstreamError):
            answer = await instance.container.send(request.method, target, _headers(request), body)
            await answer.read()
        instance.kill()
        raise _Denied(503, _BROKEN)

    async def _instance(self, service: Resource) -> tuple[Instance, Instances]:
        """One for this request, and whom to give it back to; of the revision that serves now."""
        while True:
            instances = self._serving.get(service.id)
            if instances is None:
                raise _Denied(404, f"The service {service.id} was deleted.")
            try:
                return await instances.acquire(), instances
            except Gone:
                if self._serving.get(service.id) is instances:
                    raise _Denied(503, "The service is being stopped.") from None
            except TooMany:
                bound = instances.revision.max_instances
                text = f"Rate exceeded. The request was aborted because there was no available instance (of at most {bound})."
                raise _Denied(429, text) from None
            except InstanceFailed as error:
                raise _Denied(503, str(error)) from None


def _headers(request: Request) -> list[tuple[str, str]]:
    """What the container sees: a token without its signature, and where the request came from."""
    kept = [(name, value) for name, value in request.header_pairs if name.lower() not in _NOT_SENT_ON]
    if _SERVERLESS not in request.headers:
        kept = [(name, _unsigned(value) if name.lower() == _AUTHORIZATION else value) for name, value in kept]
    return [*kept, ("x-forwarded-for", request.source_ip), ("x-forwarded-proto", "https")]


def _unsigned(value: str) -> str:
    kind, _, token = value.partition(" ")
    head, dot, _ = token.rpartition(".")
    return f"{kind} {head}.{_REMOVED}" if kind.lower() == "bearer" and dot else value

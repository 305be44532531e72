"""The one door of the twin: who calls, may they, and which service, emulator or gateway answers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from pilotlight.twin.asgi import Answering, Receive, Request, Scope, Send, respond, sha256
from pilotlight.twin.aws.gateway import PREFIX
from pilotlight.twin.aws.s3_events import notification
from pilotlight.twin.azure.cloud import is_for_azure
from pilotlight.twin.created_objects import CreatedObjects, how_created
from pilotlight.twin.emulated_actions import Needs, dynamodb_needs, is_bulk_delete, operation, s3_context, s3_needs, s3_place
from pilotlight.twin.gcp.cloud import is_for_google
from pilotlight.twin.rows import AwsRequest, AwsResponse, Caller, Guarded, Refusal, Service
from pilotlight.twin.sigv4 import AuthFailure, Signature, read, verify
from pilotlight.twin.wire import error_response

if TYPE_CHECKING:
    from pilotlight.twin.faults import Faults
    from pilotlight.twin.forward import Forwarder
    from pilotlight.twin.iam import Iam
    from pilotlight.twin.world import World

CONTROL_PREFIX = "/_twin/"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
# Enough for every request that is not an S3 object (Lambda's own limit is 6 MB, DynamoDB's 16 MB); the services check theirs.
BODY_BYTES = 32 * 1024 * 1024
_BULK_BYTES = 2 * 1024 * 1024
_LOG = logging.getLogger(__name__)


class Handler(Protocol):
    """Something that answers a whole request by itself: the gateways, the control API."""

    async def handle(self, request: Request, send: Send) -> None: ...


class Front:
    """The ASGI application. `services` are served by the twin itself, `forwarder` reaches S3 and DynamoDB, `objects` hears of new ones."""

    def __init__(
        self,
        *,
        iam: Iam,
        world: World,
        faults: Faults,
        services: Iterable[Service],
        forwarder: Forwarder,
        gateway: Handler,
        control: Handler,
        account: str,
        objects: CreatedObjects | None = None,
        google: Handler | None = None,
        azure: Handler | None = None,
    ) -> None:
        self._iam = iam
        self._world = world
        self._faults = faults
        self._services = {service.name: service for service in services}
        self._forwarder = forwarder
        self._gateway = gateway
        self._google = google
        self._azure = azure
        self._control = control
        self._account = account
        self._objects = objects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        request = Request.of(scope, receive)
        await self._route(request, Answering(request, send))

    async def _route(self, request: Request, send: Answering) -> None:
        if self._google is not None and is_for_google(request):
            await self._google.handle(request, send)
            return
        if self._azure is not None and is_for_azure(request):
            await self._azure.handle(request, send)
            return
        if request.raw_path.startswith(CONTROL_PREFIX):
            await self._control.handle(request, send)
            return
        signature: Signature | None = None
        failed: AuthFailure | None = None
        try:
            signature = read(request.headers, request.query)
        except AuthFailure as failure:
            failed = failure
        # A bucket may be called "execute-api": only the signature tells.
        if request.raw_path.startswith(PREFIX) and (signature is None or signature.service == "execute-api"):
            await self._gateway.handle(request, send)
            return
        await self._aws(request, send, signature, failed)

    async def _aws(self, request: Request, send: Answering, signature: Signature | None, failed: AuthFailure | None) -> None:
        service = signature.service if signature else _guess(request)
        try:
            if failed is not None:
                raise failed
            if signature is None:
                raise AuthFailure("MissingAuthenticationToken", "Request is missing Authentication Token")
            response = await self._decided(request, send, signature)
            if response is not None:
                await respond(send, response)
        except Refusal as refusal:
            await self._refuse(request, send, service, refusal)
        except Exception:  # noqa: BLE001 (whatever goes wrong here must not look like an answer of AWS, and must be logged)
            _LOG.exception("%s %s", request.method, request.raw_path)
            trouble = Refusal("InternalFailure", "The twin failed in this request: see the log in its home.", 500)
            await self._refuse(request, send, service, trouble)

    async def _refuse(self, request: Request, send: Answering, service: str, refusal: Refusal) -> None:
        if send.started:
            # Too late for a status: an answer cut short is what the client must see, not one that looks whole.
            raise ConnectionError(str(refusal)) from refusal
        response = error_response(refusal, service=service, headers=request.headers, request_id=str(uuid.uuid4()))
        if request.method == "HEAD":
            response.body = b""
        await respond(send, response)

    async def _decided(self, request: Request, send: Send, signature: Signature) -> AwsResponse | None:
        """The answer, or None where it was streamed already."""
        caller, credentials = self._iam.identify(signature.access_key_id, signature.token)
        if signature.service == "s3":
            await self._s3(request, send, signature, caller, credentials.secret_access_key)
            return None
        too_large = Refusal("RequestEntityTooLargeException", f"Request must be smaller than {BODY_BYTES} bytes", 413)
        body = await request.body(BODY_BYTES, too_large)
        self._verify(request, signature, credentials.secret_access_key, body)
        if self._faults.is_out(signature.service):
            raise Refusal("ServiceUnavailable", f"{signature.service} is out: a test asked for it.", 503)
        if signature.service == "dynamodb":
            return await self._tables(request, signature, caller, body)
        service = self._services.get(signature.service)
        if service is None:
            served = ", ".join(sorted([*self._services, "dynamodb", "s3"]))
            raise Refusal("NotImplemented", f"The twin does not serve {signature.service!r}: it serves {served}.", 501)
        return await self._served(service, request, signature, caller, body)

    def _verify(self, request: Request, signature: Signature, secret: str, body: bytes | None) -> None:
        verify(
            signature,
            secret,
            method=request.method,
            raw_path=request.raw_path,
            query=request.query,
            headers=request.headers,
            body_hash=None if body is None else sha256(body),
        )

    async def _served(self, service: Service, request: Request, signature: Signature, caller: Caller, body: bytes) -> AwsResponse:
        wanted = AwsRequest(
            service=signature.service,
            region=signature.region,
            caller=caller,
            method=request.method,
            path=request.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=body,
        )
        policies = service.policies(wanted) if isinstance(service, Guarded) else ()
        self._permit(caller, service.actions(wanted), request, signature, policies=policies)
        response = await service.handle(wanted)
        response.headers.setdefault("x-amzn-requestid", str(uuid.uuid4()))
        return response

    async def _tables(self, request: Request, signature: Signature, caller: Caller, body: bytes) -> AwsResponse:
        name, parameters = operation(request.headers, body)
        self._permit(caller, dynamodb_needs(name, parameters, signature.region, self._account), request, signature)
        return await self._forwarder.call(request, body)

    async def _s3(self, request: Request, send: Send, signature: Signature, caller: Caller, secret: str) -> None:
        if not signature.streams_body:
            raise Refusal("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        body = None
        if is_bulk_delete(request.method, request.raw_path, request.query):
            body = await request.body(_BULK_BYTES, Refusal("MalformedXML", "The list of keys is too long."))
        self._verify(request, signature, secret, body)
        if self._faults.is_out("s3"):
            raise Refusal("ServiceUnavailable", "s3 is out: a test asked for it.", 503)
        needs = s3_needs(request.method, request.raw_path, request.query, request.headers, body)
        bucket, key = s3_place(request.raw_path)
        own = self._world.get(BUCKET_POLICY, bucket)
        policies = [str(own["policy"])] if own else []
        context = s3_context(request.query, request.headers)
        self._permit(caller, needs, request, signature, context, policies)

        def missing() -> Refusal | None:
            if not key or request.method not in ("GET", "HEAD"):
                return None
            may_list = self._iam.decide(caller, "s3:ListBucket", f"arn:aws:s3:::{bucket}", context, policies).allowed
            return None if may_list else Refusal("AccessDenied", "Access Denied", 403)

        if not key and any(name == "notification" for name, _ in request.query):
            await respond(send, notification(self._world, bucket, request.method))
            return
        how = how_created(request, needs) if key else None
        order = self._objects.order(how, bucket, key) if self._objects else None
        if order is None or how is None or self._objects is None:
            await self._forwarder.stream(request, send, declared_hash=signature.declared_hash, body=body, missing=missing)
            return
        async with order:
            told = self._objects.teller(how, bucket, key, request, caller)
            await self._forwarder.stream(request, send, declared_hash=signature.declared_hash, body=body, answered=told)

    def _permit(
        self,
        caller: Caller,
        needs: Needs,
        request: Request,
        signature: Signature,
        context: dict[str, str] | None = None,
        policies: Iterable[str] = (),
    ) -> None:
        common = {"aws:SourceIp": request.source_ip, "aws:RequestedRegion": signature.region, **(context or {})}
        for action, resource in needs:
            decision = self._iam.decide(caller, action, resource, common, policies)
            if not decision.allowed or (caller.role_arn is None and self._faults.denies(action)):
                reason = decision.reason or f"because no identity-based policy allows the {action} action"
                message = f'User: {caller.arn} is not authorized to perform: {action} on resource: "{resource}" {reason}'
                raise Refusal("AccessDenied", message, 403)


def _guess(request: Request) -> str:
    """The service of a request whose signature is missing or unreadable, for the form of the answer."""
    if "x-amz-target" in request.headers:
        return "json"
    return "sts" if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded") else "s3"

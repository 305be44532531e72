"""The data plane of REST APIs: the deployed snapshot decides, in the order in which AWS decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.asgi import Request
from pilotlight.twin.aws.apigateway_snapshot import SNAPSHOT, snapshot_id
from pilotlight.twin.aws.gateway_answers import Answer, rest_answer
from pilotlight.twin.aws.gateway_call import PAYLOAD_BYTES, Call
from pilotlight.twin.aws.gateway_events import event_v1, is_binary
from pilotlight.twin.aws.gateway_identity import SignedCallers
from pilotlight.twin.aws.gateway_lambda import FunctionCaller, IntegrationFailed
from pilotlight.twin.aws.gateway_plans import Plans, route_name
from pilotlight.twin.aws.gateway_responses import GatewayAnswer, render
from pilotlight.twin.aws.gateway_routes import best_route
from pilotlight.twin.aws.gateway_validation import invalid_body, missing_parameters
from pilotlight.twin.rows import Caller, Refusal
from pilotlight.twin.sigv4 import AuthFailure
from pilotlight.twin.world import Resource, World

# Above this a body is validated off the event loop.
_LARGE = 64 * 1024
_TOO_LARGE = Refusal("RequestTooLarge", "Request Too Long", 413)
_AUTH_KINDS = {"MissingAuthenticationToken": "MISSING_AUTHENTICATION_TOKEN", "ExpiredToken": "EXPIRED_TOKEN"}
# A throttled function is a 500 behind a REST API (AWS support articles on 5xx errors); one that breaks its contract a 502.
_FAILURES: dict[str, tuple[str, int, str | None]] = {
    "timeout": ("INTEGRATION_TIMEOUT", 504, None),
    "throttled": ("API_CONFIGURATION_ERROR", 500, None),
    "denied": ("API_CONFIGURATION_ERROR", 500, None),
    "failed": ("INTEGRATION_FAILURE", 502, "Internal server error"),
    "malformed": ("INTEGRATION_FAILURE", 502, "Internal server error"),
}


class RestGateway:
    """Serves the stages of REST APIs."""

    def __init__(self, world: World, plans: Plans, callers: SignedCallers, functions: FunctionCaller) -> None:
        self._world = world
        self._plans = plans
        self._callers = callers
        self._functions = functions

    async def answer(self, call: Call, stage: Resource) -> Answer:
        """The answer to one call of a stage; every refusal in the form that the deployed API declares."""
        held = self._world.get(SNAPSHOT, snapshot_id(call.api_id, str(stage["deployment"])))
        snapshot: Mapping[str, Any] = held.outputs if held else {"routes": [], "responses": {}, "binaryMediaTypes": [], "policy": ""}
        try:
            answer = await self._serve(call, stage, snapshot)
        except GatewayAnswer as own:
            answer = Answer(response=render(own, call, snapshot["responses"]))
        answer.response.headers |= {"x-amzn-requestid": call.request_id, "x-amz-apigw-id": call.extended_id}
        return answer

    async def _serve(self, call: Call, stage: Resource, snapshot: Mapping[str, Any]) -> Answer:
        routes = ((route["method"], route["path"], route) for route in snapshot["routes"])
        found = best_route(routes, call.request.method, call.path)
        if found is None:
            raise GatewayAnswer("MISSING_AUTHENTICATION_TOKEN")
        route, parameters = found
        call.context |= {"resourcePath": route["path"], "resourceId": route["resourceId"], "routeName": route_name(route)}
        body = await _read(call.request)
        identity = self._authorize(call, route, snapshot["policy"], body)
        identity |= self._plans.admit(call, stage, route)
        await _validate(call, route, parameters, body)
        return await self._integrate(call, stage, route, parameters, identity, body, snapshot["binaryMediaTypes"])

    def _authorize(self, call: Call, route: Mapping[str, Any], policy: str, body: bytes) -> dict[str, str | None]:
        if route["authorization"] == "NONE":
            if policy:
                everyone = Caller(arn="anonymous", account="anonymous", role_arn="anonymous")
                self._permit(call, everyone, policy)
            return {}
        try:
            caller, key = self._callers.identify(call.request, body)
        except AuthFailure as failure:
            raise GatewayAnswer(_AUTH_KINDS.get(failure.code, "INVALID_SIGNATURE"), failure.message) from None
        self._permit(call, caller, policy)
        identity = {"accessKey": key, "accountId": caller.account, "caller": caller.arn, "user": caller.arn, "userArn": caller.arn}
        call.context |= {f"identity.{name}": value for name, value in identity.items()}
        return dict(identity)

    def _permit(self, call: Call, caller: Caller, policy: str) -> None:
        arn = call.source_arn(call.request.method, call.path)
        decision = self._callers.decide(caller, arn, policy, {"aws:SourceIp": call.request.source_ip})
        if not decision.allowed:
            message = f"User: {caller.arn} is not authorized to perform: execute-api:Invoke on resource: {arn}"
            raise GatewayAnswer("ACCESS_DENIED", message, detail=decision.reason)

    async def _integrate(
        self,
        call: Call,
        stage: Resource,
        route: Mapping[str, Any],
        parameters: Mapping[str, str],
        identity: Mapping[str, str | None],
        body: bytes,
        media_types: list[str],
    ) -> Answer:
        integration = route["integration"]
        event = event_v1(
            call,
            body,
            resource=route["path"],
            resource_id=route["resourceId"],
            path_parameters=parameters,
            stage_variables=stage.get("variables", {}),
            identity=identity,
            binary=is_binary(media_types, call.request.headers.get("content-type", "application/json")),
        )
        try:
            result = await self._functions.call(
                call,
                integration["uri"],
                event,
                source_arn=call.source_arn(call.request.method, route["path"]),
                role=integration["credentials"],
                timeout_ms=integration["timeoutMs"],
            )
            return rest_answer(result, accepts_binary=is_binary(media_types, call.request.headers.get("accept", "").partition(",")[0]))
        except IntegrationFailed as failure:
            kind, status, message = _FAILURES[failure.kind]
            raise GatewayAnswer(kind, message, status=status, detail=failure.detail) from None


async def _read(request: Request) -> bytes:
    try:
        return await request.body(PAYLOAD_BYTES, _TOO_LARGE)
    except Refusal as refusal:
        if refusal is not _TOO_LARGE:
            raise
        raise GatewayAnswer("REQUEST_TOO_LARGE") from None


async def _validate(call: Call, route: Mapping[str, Any], parameters: Mapping[str, str], body: bytes) -> None:
    if missing := missing_parameters(route, call.request, parameters):
        raise GatewayAnswer("BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]")
    if len(body) > _LARGE:
        problem = await asyncio.to_thread(invalid_body, route, call.request, body)
    else:
        problem = invalid_body(route, call.request, body)
    if problem:
        call.context["error.validationErrorString"] = problem
        raise GatewayAnswer("BAD_REQUEST_BODY")

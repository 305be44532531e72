"""The data plane of HTTP APIs (API Gateway v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.aws.apigatewayv2_snapshot import API, served
from pilotlight.twin.aws.gateway_answers import Answer, http_answer
from pilotlight.twin.aws.gateway_call import PAYLOAD_BYTES, Call, json_response
from pilotlight.twin.aws.gateway_cors import allow, preflight
from pilotlight.twin.aws.gateway_events import event_v1, event_v2, is_binary
from pilotlight.twin.aws.gateway_identity import SignedCallers
from pilotlight.twin.aws.gateway_jwt import Forbidden, JwtAuthorizer, Unauthorized
from pilotlight.twin.aws.gateway_lambda import FunctionCaller, IntegrationFailed
from pilotlight.twin.aws.gateway_limits import ACCOUNT_BURST, ACCOUNT_RATE, Throttles
from pilotlight.twin.aws.gateway_routes import best_route
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.sigv4 import AuthFailure
from pilotlight.twin.world import Resource, World

_TOO_LARGE = Refusal("RequestTooLarge", "Request Entity Too Large", 413)
# What a client sees of a function that gave no answer: throttled and late ones are 503, the rest 500 (AWS support articles).
_FAILURES = {
    "timeout": (503, "Service Unavailable"),
    "throttled": (503, "Service Unavailable"),
    "denied": (500, "Internal Server Error"),
    "failed": (500, "Internal Server Error"),
    "malformed": (500, "Internal Server Error"),
}


class HttpGateway:
    """Serves the stages of HTTP APIs."""

    def __init__(
        self, world: World, throttles: Throttles, callers: SignedCallers, functions: FunctionCaller, authorizer: JwtAuthorizer
    ) -> None:
        self._world = world
        self._throttles = throttles
        self._callers = callers
        self._functions = functions
        self._jwt = authorizer

    async def answer(self, call: Call, stage: Resource) -> Answer:
        """The answer to one call of a stage."""
        api = self._world.get(API, call.api_id)
        cors = (api.get("corsConfiguration") if api else None) or {}
        try:
            answer = preflight(call.request, cors) or await self._serve(call, stage)
        except Refusal as refusal:
            answer = Answer(response=_message(call, refusal.status, refusal.message))
        answer.response.headers |= {"apigw-requestid": call.extended_id, **allow(call.request, cors)}
        return answer

    async def _serve(self, call: Call, stage: Resource) -> Answer:
        found = _find(served(self._world, stage), call)
        if found is None:
            raise Refusal("NotFoundException", "Not Found", 404)
        route, parameters = found
        call.context |= {"routeKey": route["key"]}
        body = await call.request.body(PAYLOAD_BYTES, _TOO_LARGE)
        try:
            authorizer = await self._authorize(call, route, body)
        except Unauthorized as reason:
            call.context["authorizer.error"] = str(reason)
            response = _message(call, 401, "Unauthorized")
            response.headers["www-authenticate"] = f'Bearer scope="" error="invalid_token" error_description="{_quotable(str(reason))}"'
            return Answer(response=response)
        self._throttle(call, stage, route["key"])
        return await self._integrate(call, stage, route, parameters, authorizer, body)

    async def _authorize(self, call: Call, route: Mapping[str, Any], body: bytes) -> dict[str, Any] | None:
        if route["authorization"] == "NONE":
            return None
        if route["authorization"] == "JWT":
            if route["authorizer"] is None:
                raise Refusal("InternalServerErrorException", "Internal Server Error", 500)
            try:
                claims = await self._jwt.claims(call.request, route["authorizer"], route["scopes"])
            except Forbidden:
                raise Refusal("ForbiddenException", "Forbidden", 403) from None
            call.context |= {f"authorizer.claims.{name}": str(value) for name, value in claims["claims"].items()}
            return {"jwt": claims}
        return self._authorize_signed(call, route, body)

    def _authorize_signed(self, call: Call, route: Mapping[str, Any], body: bytes) -> dict[str, Any]:
        try:
            caller, key = self._callers.identify(call.request, body)
        except AuthFailure as failure:
            call.context["authorizer.error"] = failure.message
            raise Refusal("ForbiddenException", "Forbidden", 403) from None
        arn = call.source_arn(call.request.method, call.path)
        decision = self._callers.decide(caller, arn, "", {"aws:SourceIp": call.request.source_ip})
        if not decision.allowed:
            call.context["authorizer.error"] = decision.reason
            raise Refusal("ForbiddenException", "Forbidden", 403)
        call.context |= {"identity.userArn": caller.arn, "identity.caller": caller.arn}
        iam = {"accessKey": key, "accountId": caller.account, "callerId": caller.arn, "userArn": caller.arn, "userId": caller.arn}
        return {"iam": iam | {"cognitoIdentity": None, "principalOrgId": None}}

    def _throttle(self, call: Call, stage: Resource, key: str) -> None:
        wanted: list[tuple[tuple[str, ...], float, float]] = [(("account", call.region), ACCOUNT_RATE, ACCOUNT_BURST)]
        own = next((item for item in stage.get("routeSettings", []) if item["routeKey"] == key), None)
        settings = own or stage.get("defaultRouteSettings") or {}
        rate, burst = settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")
        if rate is not None or burst is not None:
            wanted.append((("http", stage.id, key), float(rate or 0), float(burst or 0)))
        if not self._throttles.admit(wanted):
            raise Refusal("TooManyRequestsException", "Too Many Requests", 429)

    async def _integrate(
        self,
        call: Call,
        stage: Resource,
        route: Mapping[str, Any],
        parameters: Mapping[str, str],
        authorizer: Mapping[str, Any] | None,
        body: bytes,
    ) -> Answer:
        integration = route["integration"]
        if integration is None:
            raise Refusal("InternalServerErrorException", "Internal Server Error", 500)
        path = route["key"].partition(" ")[2] or "/$default"
        event = _event(call, stage, route["key"], path, parameters, authorizer, body, integration["version"])
        try:
            result = await self._functions.call(
                call,
                integration["uri"],
                event,
                source_arn=call.source_arn(call.request.method, path) if " " in route["key"] else call.source_arn("", "$default"),
                role=integration["credentials"],
                timeout_ms=integration["timeoutMs"],
            )
            return http_answer(result, version=integration["version"])
        except IntegrationFailed as failure:
            call.context["integrationErrorMessage"] = call.context["integration.error"] = failure.detail
            status, message = _FAILURES[failure.kind]
            return Answer(response=_message(call, status, message))


def _find(routes: list[dict[str, Any]], call: Call) -> tuple[dict[str, Any], dict[str, str]] | None:
    keyed = ((*_split(route["key"]), route) for route in routes if route["key"] != "$default")
    found = best_route(keyed, call.request.method, call.path)
    if found is not None:
        return found
    default = next((route for route in routes if route["key"] == "$default"), None)
    return (default, {}) if default else None


def _split(key: str) -> tuple[str, str]:
    method, _, path = key.partition(" ")
    return method, path


def _event(
    call: Call,
    stage: Resource,
    key: str,
    path: str,
    parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
    body: bytes,
    version: str,
) -> dict[str, Any]:
    variables = stage.get("stageVariables", {})
    if version == "2.0":
        return event_v2(call, body, route_key=key, path_parameters=parameters, stage_variables=variables, authorizer=authorizer)
    kind = call.request.headers.get("content-type", "application/json")
    return event_v1(
        call,
        body,
        resource=path,
        resource_id=key,
        path_parameters=parameters,
        stage_variables=variables,
        identity={},
        binary=not is_binary(["text/*", "application/json", "application/xml", "application/javascript"], kind),
        authorizer=authorizer,
        version="1.0",
    )


def _message(call: Call, status: int, message: str) -> AwsResponse:
    call.context |= {"error.message": message, "error.messageString": f'"{message}"'}
    return json_response(status, {"message": message})


def _quotable(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")[:200]

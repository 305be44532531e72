"""The gateways' door: `{front_url}/execute-api/{apiId}/{stage}/…` to the REST or HTTP API that the account holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.apigateway_snapshot import REST_API
from pilotlight.twin.aws.apigatewayv2_snapshot import API
from pilotlight.twin.aws.apigatewayv2_snapshot import STAGE as HTTP_STAGE
from pilotlight.twin.aws.gateway_answers import Answer
from pilotlight.twin.aws.gateway_call import Call, json_response
from pilotlight.twin.aws.gateway_http import HttpGateway
from pilotlight.twin.aws.gateway_identity import SignedCallers
from pilotlight.twin.aws.gateway_jwt import JwtAuthorizer
from pilotlight.twin.aws.gateway_lambda import FunctionCaller, Invoker
from pilotlight.twin.aws.gateway_limits import Quotas, Throttles
from pilotlight.twin.aws.gateway_plans import Plans
from pilotlight.twin.aws.gateway_rest import RestGateway
from pilotlight.twin.aws.metric_sources import gateway_called
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

if TYPE_CHECKING:
    from pilotlight.twin.iam import Iam
    from pilotlight.twin.metrics import Metrics

PREFIX = "/execute-api/"
REST_STAGE = "aws:apigateway/stage:Stage"
REST_ACCOUNT = "aws:apigateway/account:Account"
# API Gateway quotas page: request line and headers together.
HEADER_BYTES = 10_240
# Execution logs: at both levels the twin writes the failures of the integration; it has no further steps to tell of.
_LEVELS = ("ERROR", "INFO")


class LogWriter(Protocol):
    """Where access logs go."""

    def write(self, group: str, stream: str, lines: list[str], role_arn: str | None) -> None: ...


def invoke_url(front_url: str, api_id: str, stage: str | None = None) -> str:
    """Where a stage is reached; without a stage the API's own endpoint."""
    return f"{front_url}{PREFIX}{api_id}" + (f"/{stage}" if stage else "")


class Gateway:
    """Finds the API and stage of a request, lets the right kind of gateway answer, writes the access log."""

    def __init__(
        self,
        *,
        world: World,
        iam: Iam,
        functions: Invoker,
        logs: LogWriter,
        account: str,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        self._world = world
        self._logs = logs
        self._account = account
        self._metrics = metrics
        throttles, callers, caller = Throttles(monotonic), SignedCallers(iam), FunctionCaller(functions, iam)
        self._plans = Plans(world, throttles, Quotas(now))
        self._rest = RestGateway(world, self._plans, callers, caller)
        self._http = HttpGateway(world, throttles, callers, caller, JwtAuthorizer())

    async def handle(self, request: Request, send: Send) -> None:
        """Answer one request whose path begins with PREFIX."""
        if sum(len(name) + len(value) for name, value in request.header_pairs) + len(request.raw_path) > HEADER_BYTES:
            await respond(send, json_response(431, {"message": "Request Header Fields Too Large"}))
            return
        api_id, _, rest = request.raw_path.removeprefix(PREFIX).partition("/")
        answer = await self._answer(request, api_id, rest)
        await respond(send, answer.response, extra=answer.extra)

    async def _answer(self, request: Request, api_id: str, rest: str) -> Answer:
        rest_api, http_api = self._world.get(REST_API, api_id), self._world.get(API, api_id)
        if rest_api and not rest_api.get("disableExecuteApiEndpoint", False):
            name, _, path = rest.partition("/")
            stage = self._world.one(REST_STAGE, restApi=api_id, stageName=name)
            if stage:
                return await self._served(request, rest_api, stage, name, f"/{path}", http=False)
        if http_api and not http_api.get("disableExecuteApiEndpoint", False):
            stage, name, path = self._http_stage(api_id, rest)
            if stage:
                return await self._served(request, http_api, stage, name, path, http=True)
            return Answer(response=json_response(404, {"message": "Not Found"}))
        return Answer(response=json_response(403, {"message": "Forbidden"}, {"x-amzn-errortype": "ForbiddenException"}))

    def _http_stage(self, api_id: str, rest: str) -> tuple[Resource | None, str, str]:
        name, _, path = rest.partition("/")
        stage = self._world.one(HTTP_STAGE, apiId=api_id, name=name)
        if stage:
            return stage, name, f"/{path}"
        return self._world.one(HTTP_STAGE, apiId=api_id, name="$default"), "$default", f"/{rest}"

    async def _served(self, request: Request, api: Resource, stage: Resource, name: str, path: str, *, http: bool) -> Answer:
        call = Call(
            request=request,
            api_id=api.id,
            stage=name,
            path=path,
            account=self._account,
            region=str(api.get("region", "us-east-1")),
            extended=not http,
        )
        try:
            answer = await (self._http if http else self._rest).answer(call, stage)
        except Refusal as refusal:
            answer = Answer(response=json_response(refusal.status, {"message": refusal.message}))
        call.finish(answer.response)
        if self._metrics is not None:
            latency = float(call.context["responseLatency"])
            gateway_called(self._metrics, api, name, http=http, status=answer.response.status, latency_ms=latency)
        self._log(call, stage, http=http)
        return answer

    def _log(self, call: Call, stage: Resource, *, http: bool) -> None:
        account = next(iter(self._world.find(REST_ACCOUNT)), None)
        # HTTP APIs write by the service's own role; REST APIs by the one that the account names, and without one not at all.
        role = None if http else (account.get("cloudwatchRoleArn") if account else None)
        if role is None and not http:
            return
        settings = stage.get("accessLogSettings") or {}
        if settings.get("destinationArn"):
            group = settings["destinationArn"].partition(":log-group:")[2].removesuffix(":*")
            self._write(group, call, [call.log_line(settings["format"])], role)
        detail = call.context.get("integrationErrorMessage")
        if (
            not http
            and detail
            and self._plans.settings(call.api_id, call.stage, call.context.get("routeName", "")).get("loggingLevel") in _LEVELS
        ):
            lines = [
                f"({call.request_id}) Execution failed: {detail}",
                f"({call.request_id}) Method completed with status: {call.context['status']}",
            ]
            self._write(f"API-Gateway-Execution-Logs_{call.api_id}/{call.stage}", call, lines, role)

    def _write(self, group: str, call: Call, lines: list[str], role: str | None) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._logs.write, group, f"{call.api_id}-{call.stage}", lines, role)

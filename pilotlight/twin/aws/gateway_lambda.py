"""Calling a function from a gateway: the target in the integration's URI, the right to call it, the deadline."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pilotlight.twin.aws.gateway_call import Call
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.iam import Iam

GATEWAY = "apigateway.amazonaws.com"
_FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:(?P<region>[\w-]+):(?P<account>\d{12}):function:(?P<name>[\w-]+)(?::(?P<qualifier>[\w$-]+))?")


class Invocation(Protocol):
    """What the gateways read of a function's answer. `function_error` is None unless the function failed."""

    @property
    def payload(self) -> bytes: ...
    @property
    def function_error(self) -> str | None: ...


class Invoker(Protocol):
    """The function service, as the gateways call it."""

    async def invoke(
        self, function: str, qualifier: str | None, payload: bytes, *, source: str | None, source_arn: str | None
    ) -> Invocation: ...


class IntegrationFailed(Exception):
    """The function gave no answer to pass on. `kind` is timeout, throttled, denied, failed or malformed; `detail` is for the log."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Target:
    """A function named by an integration."""

    arn: str
    name: str
    qualifier: str | None


def target_of(uri: str) -> Target | None:
    """The function of an integration's URI: its ARN, or the invoke ARN that wraps it. None where it names no function."""
    match = _FUNCTION.search(uri)
    if match is None:
        return None
    return Target(arn=match[0], name=match["name"], qualifier=match["qualifier"])


class FunctionCaller:
    """Invokes functions for the gateways; an invocation that outlives its caller's patience goes on, as on AWS."""

    def __init__(self, invoker: Invoker, iam: Iam) -> None:
        self._invoker = invoker
        self._iam = iam
        self._running: set[asyncio.Task[Invocation]] = set()

    async def call(self, call: Call, uri: str, event: Any, *, source_arn: str, role: str | None, timeout_ms: int) -> Any:
        """The function's decoded JSON answer, or IntegrationFailed. The integration's latency and status go to the context."""
        target = target_of(uri)
        if target is None:
            raise IntegrationFailed("denied", f"Invalid lambda function: {uri!r}")
        if role and not (self._iam.assumable(role, GATEWAY) and self._iam.allowed(role, "lambda:InvokeFunction", target.arn)):
            raise IntegrationFailed("denied", f"The role {role} may not call {target.arn}")
        source = None if role else GATEWAY
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        started = time.perf_counter()
        try:
            answer = await self._within(target, payload, source, source_arn if source else None, timeout_ms)
        finally:
            latency = str(round((time.perf_counter() - started) * 1000))
            call.context |= {"integrationLatency": latency, "integration.latency": latency}
        call.context |= {"integrationStatus": "200", "integration.status": "200", "integration.integrationStatus": "200"}
        if answer.function_error:
            raise IntegrationFailed("failed", f"The function ended in an error ({answer.function_error})")
        try:
            return json.loads(answer.payload)
        except ValueError:
            raise IntegrationFailed("malformed", "The function's answer is not JSON") from None

    async def _within(self, target: Target, payload: bytes, source: str | None, source_arn: str | None, timeout_ms: int) -> Invocation:
        work = self._invoker.invoke(target.name, target.qualifier, payload, source=source, source_arn=source_arn)
        task: asyncio.Task[Invocation] = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await asyncio.shield(task)
        except TimeoutError:
            raise IntegrationFailed("timeout", f"No answer within {timeout_ms} ms") from None
        except Refusal as refusal:
            kinds = {"TooManyRequestsException": "throttled", "AccessDeniedException": "denied", "ResourceNotFoundException": "denied"}
            raise IntegrationFailed(kinds.get(refusal.code, "failed"), f"{refusal.code}: {refusal.message}") from None

    def _forget(self, task: asyncio.Task[Invocation]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Somebody has looked at it: an outcome nobody waited for is no error of the twin.
            task.exception()

"""The function of pattern 1 on AWS, in front of a SageMaker endpoint: events of a REST or HTTP API in, answers out.

handlers.functions.aws.api.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import os
import time
from collections.abc import Mapping
from typing import Any

_IMPORT_STARTED = time.monotonic()

from handlers.functions.api import ApiFunction, ApiRequest, Endpoint  # noqa: E402  (the clock above starts before them)
from handlers.functions.aws import callers, events_http  # noqa: E402
from handlers.functions.aws.endpoint import SageMakerEndpoint, make_client  # noqa: E402
from handlers.functions.aws.settings import LambdaSettings  # noqa: E402
from handlers.functions.deadline import LambdaContext  # noqa: E402
from handlers.functions.deferral import Deferral  # noqa: E402
from handlers.functions.settings import FunctionSettings  # noqa: E402


class GatewayFunction:
    """One process of the function. It lives for many requests and handles one at a time."""

    def __init__(self, settings: FunctionSettings, endpoint: Endpoint, init_ms: float, deferral: Deferral | None = None) -> None:
        self._own_stages = {"function-init": init_ms}
        self._api = ApiFunction(
            settings,
            endpoint,
            max_answer_bytes=events_http.MAX_ANSWER_BYTES,
            take_stages=self._take_own_stages,
            deferral=deferral,
        )

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The gateway's answer. Never raises."""
        answer = self._api.answer(lambda: _request(event), call_id=context.aws_request_id, deadline=context)
        return events_http.answer(answer.status, answer.headers, answer.body)

    def _take_own_stages(self) -> dict[str, float]:
        stages, self._own_stages = self._own_stages, {}
        return stages


def _request(event: Mapping[str, Any]) -> ApiRequest:
    http = events_http.parse(event)
    return ApiRequest(http=http, owner=callers.owner(event), url=functools.partial(callers.result_url, event, http.headers))


@functools.cache
def _function() -> GatewayFunction:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    settings = LambdaSettings.from_environment(os.environ)
    endpoint = SageMakerEndpoint(settings.endpoint_name, make_client(settings.endpoint_timeout_s))
    deferral = None
    if settings.answers is not None:
        from handlers.functions.aws.deferral import make_deferral  # here: a function without answers should not wait for it

        deferral = make_deferral(settings.answers, settings.endpoint_timeout_s, settings.service)
    init_ms = round((time.monotonic() - _IMPORT_STARTED) * 1000, 1)
    return GatewayFunction(settings, endpoint, init_ms=init_ms, deferral=deferral)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one event of a REST or HTTP API."""
    return _function().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _function()  # in the init phase, which has a full core and is over before the first request comes

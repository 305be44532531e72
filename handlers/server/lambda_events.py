"""The event pipeline where the model is its own function: SQS batches as in front of an endpoint, predicted in this process."""

import os
import time
from dataclasses import dataclass
from typing import Any

from handlers.functions import logs, metrics
from handlers.functions.aws.batches import BatchFunction
from handlers.functions.aws.clients import Clients
from handlers.functions.aws.event_settings import EventSettings
from handlers.functions.endpoint import cold_start_stages
from handlers.functions.environment import Environment
from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.server.service import Service

# There is no hop between the pipeline and the model, so no text is too large for one.
_NO_HOP_BYTES = 1 << 40


@dataclass(frozen=True, slots=True)
class InProcessAnswer:
    """An answer's bytes, and the stages of the cold start in milliseconds where it is the first one."""

    body: bytes
    cold_start: dict[str, float]


class InProcessModel:
    """The service as the pipeline's model."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> InProcessAnswer:
        """The answer to one request within `budget_s` seconds. Raises RequestProblem."""
        started = time.perf_counter()
        try:
            answer = self._service.answer_within(self._service.parse(body, None), request_id, budget_s)
        finally:
            taken = metrics.latency(self._service.settings.service, (time.perf_counter() - started) * 1000)
            logs.write("request", request_id=request_id, **taken)
        return InProcessAnswer(answer.body, cold_start_stages(answer.headers.get(CUSTOM_ATTRIBUTES_HEADER, "")))


def make_clients() -> Clients:
    """The clients, which can be made while the model loads."""
    return Clients.make(sends="queue" in os.environ.get("RESULTS", ""))


def event_function(service: Service, clients: Clients) -> BatchFunction:
    """The pipeline over the loaded model. Raises SettingsError with every bad variable."""
    assert service.manifest is not None  # it is loaded
    environment = Environment(os.environ)
    limits: Any = {
        "max_inputs": service.settings.max_inputs,
        "max_body_bytes": _NO_HOP_BYTES,
        "timeout_s": service.settings.request_timeout_s,
    }
    settings = EventSettings.read(environment, task=service.manifest.task, **limits)
    environment.check()
    return BatchFunction(settings, clients, InProcessModel(service))

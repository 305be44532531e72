"""Spans on their way to Application Insights, as the managed identity of this process.

What can't be sent yet (a new grant takes minutes) is kept, as far as there is room. Sources: the ingestion API's definition, version 2.1
(Azure/azure-rest-api-specs, monitor, data plane: `POST /v2.1/track`, TelemetryItem), and Azure Monitor documentation, "Microsoft Entra
authentication for Application Insights" and "Connection strings in Application Insights".
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from handlers.functions import spans
from handlers.functions.azure import identity
from handlers.functions.environment import Environment
from handlers.functions.rest import Api, ApiError
from handlers.functions.sending import NotTaken, Sending
from handlers.functions.spans import Span
from handlers.functions.traces import Trace

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
RESOURCE = "https://monitor.azure.com/"
_WHAT = "a connection string, InstrumentationKey=…;IngestionEndpoint=https://…"
_TIMEOUT_S = 10.0
# Of an answer after which the same may be taken later: no grant yet, too many, or a trouble of the service's.
_LATER = (None, 401, 403, 408, 429, 439, 500, 502, 503, 504)


class Ingestion(Api):
    """Where telemetry goes."""

    def track(self, items: Sequence[Mapping[str, Any]]) -> int:
        """How many of them it did not take. Raises ApiError."""
        with self.asked("POST", "/v2.1/track", {"Content-Type": "application/json"}, json.dumps(items).encode()) as answer:
            text = answer.read()
        try:
            told = json.loads(text)
            return int(told["itemsReceived"]) - int(told["itemsAccepted"])
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError("The answer is none of the ingestion API's.") from error


class Insights(Sending):
    """One component. Spans of what happened inside of a process are passed over: each would be a row, and rows are paid for."""

    def __init__(self, connection: str, *, role: str, instance: str) -> None:
        """`role` and `instance` are by which the parts of a trace are told apart. KeyError and ValueError for no connection string."""
        known = dict(part.partition("=")[::2] for part in connection.split(";") if part)
        self._key, self._address = known["InstrumentationKey"], known["IngestionEndpoint"].rstrip("/")
        self._tags = {"ai.cloud.role": role, "ai.cloud.roleInstance": instance}
        super().__init__("insights")

    def samples(self, came: Trace | None, trace: str) -> bool:
        """The sampled flag is passed over: Application Insights' own clients have it off in what they record
        (microsoft/ApplicationInsights-dotnet issue 2835)."""
        return True

    def add(self, span: Span) -> None:
        if not span.inside:
            super().add(span)

    def connect(self) -> None:
        self._ingestion = Ingestion(self._address, timeout_s=_TIMEOUT_S, tokens=identity.access_tokens(RESOURCE))

    def send(self, batch: Sequence[Span]) -> int:
        try:
            return self._ingestion.track([self._envelope(span) for span in batch])
        except ApiError as error:
            raise NotTaken(str(error), again=error.status in _LATER) from error

    def _envelope(self, span: Span) -> dict[str, Any]:
        common = {
            "ver": 2,
            "id": span.id,
            "name": span.name,
            "duration": _duration(span.seconds),
            "success": span.success,
            "properties": {} if span.request_id is None else {"request_id": span.request_id},
        }
        if span.asked:
            kind, data = "Request", {**common, "responseCode": span.code or "0"}
        else:
            kind, data = "RemoteDependency", {**common, "resultCode": span.code or "0", "type": "HTTP", "target": span.target}
        tags = {**self._tags, "ai.operation.id": span.trace, "ai.operation.name": span.name}
        if span.parent is not None:
            tags["ai.operation.parentId"] = span.parent
        return {
            "ver": 1,
            "name": f"Microsoft.ApplicationInsights.{kind}",
            "time": datetime.fromtimestamp(span.began, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "iKey": self._key,
            "tags": tags,
            "data": {"baseType": f"{kind}Data", "baseData": data},
        }


def start(environment: Environment) -> None:
    """Collect spans from now on, where the environment says whereto; a mistake is collected in the environment."""
    # The platform's own (Container Apps documentation, "Environment variables", built-in ones).
    role = environment.text("CONTAINER_APP_NAME") or "pilotlight"
    instance = environment.text("CONTAINER_APP_REPLICA_NAME") or os.uname().nodename
    spans.collect(environment.read(CONNECTION, lambda text: Insights(text, role=role, instance=instance), _WHAT, secret=True))


def _duration(seconds: float) -> str:
    """`D.HH:MM:SS.ffffff`."""
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    days, left = divmod(whole, 86_400)
    return f"{days}.{time.strftime('%H:%M:%S', time.gmtime(left))}.{micro:06d}"

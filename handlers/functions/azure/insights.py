"""Spans on their way to Application Insights, as the managed identity of this process.

A thread of its own sends what has gathered. What can't be sent yet (a new grant takes minutes) is kept, as far as there is room. Sources:
the ingestion API's definition, version 2.1 (Azure/azure-rest-api-specs, monitor, data plane: `POST /v2.1/track`, TelemetryItem), and
Azure Monitor documentation, "Microsoft Entra authentication for Application Insights" and "Connection strings in Application Insights".
"""

import functools
import json
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from handlers.functions import logs, spans
from handlers.functions.azure import identity
from handlers.functions.environment import Environment
from handlers.functions.rest import Api, ApiError
from handlers.functions.spans import Span

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
RESOURCE = "https://monitor.azure.com/"
_WHAT = "a connection string, InstrumentationKey=…;IngestionEndpoint=https://…"
_GATHER_S, _HURRIED_S, _LONGEST_PAUSE_S, _TIMEOUT_S = 1.0, 0.2, 60.0, 10.0
# A span is some 600 bytes.
_MOST_AT_ONCE, _MOST_KEPT = 400, 4_000
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


class Insights:
    """One component. `add` never waits; beyond what there is room for the oldest is lost, and a line tells how many were."""

    def __init__(self, connection: str, *, role: str, instance: str) -> None:
        """`role` and `instance` are by which the parts of a trace are told apart. KeyError and ValueError for no connection string."""
        known = dict(part.partition("=")[::2] for part in connection.split(";") if part)
        self._key = known["InstrumentationKey"]
        self._tags = {"ai.cloud.role": role, "ai.cloud.roleInstance": instance}
        self._ingestion = Ingestion(known["IngestionEndpoint"].rstrip("/"), timeout_s=_TIMEOUT_S, tokens=identity.access_tokens(RESOURCE))
        self._waiting: deque[Span] = deque()
        self._lost = 0
        self._changed = threading.Condition()
        self._hurry = False
        self._sending: threading.Thread | None = None

    def add(self, span: Span) -> None:
        with self._changed:
            self._waiting.append(span)
            self._shorten()
            if self._sending is None:
                # Not before: what a process starts with has its signals to itself, and costs a cold start.
                self._sending = threading.Thread(target=self._send, name="insights", daemon=True)
                self._sending.start()
            self._changed.notify_all()

    def flush(self, within_s: float) -> None:
        """What is not taken within that time is lost."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting, timeout=within_s)

    def _send(self) -> None:
        pause_s = _GATHER_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                # Spans of one request come together, and so go together; after trouble all of them wait.
                self._changed.wait_for(functools.partial(self._due, pause_s > _GATHER_S), timeout=pause_s)
                batch = list(self._waiting)[:_MOST_AT_ONCE]
            try:
                lost, pause_s = self._sent(batch), _GATHER_S
            except ApiError as error:
                logs.write("spans_kept", level="WARNING", spans=len(self._waiting), message=str(error))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                if self._hurry:
                    # Whoever waits for the last words says for how long.
                    time.sleep(_HURRIED_S)
                continue
            self._taken(batch, lost)

    def _due(self, troubled: bool) -> bool:
        return self._hurry or (not troubled and len(self._waiting) >= _MOST_AT_ONCE)

    def _sent(self, batch: Sequence[Span]) -> int:
        """How many of them were not taken and never will be. Raises ApiError for what may go well later."""
        try:
            return self._ingestion.track([self._envelope(span) for span in batch])
        except ApiError as error:
            if error.status in _LATER:
                raise
            logs.write("spans_refused", level="WARNING", message=str(error))
            return len(batch)

    def _taken(self, batch: Sequence[Span], lost: int) -> None:
        gone = {id(span) for span in batch}
        with self._changed:
            while self._waiting and id(self._waiting[0]) in gone:
                self._waiting.popleft()
            lost, self._lost = lost + self._lost, 0
            self._changed.notify_all()
        if lost:
            logs.write("spans_lost", level="WARNING", spans=lost)

    def _shorten(self) -> None:
        while len(self._waiting) > _MOST_KEPT:
            self._waiting.popleft()
            self._lost += 1

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
    spans.collect(environment.read(CONNECTION, lambda text: Insights(text, role=role, instance=instance), _WHAT))


def _duration(seconds: float) -> str:
    """`D.HH:MM:SS.ffffff`."""
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    days, left = divmod(whole, 86_400)
    return f"{days}.{time.strftime('%H:%M:%S', time.gmtime(left))}.{micro:06d}"

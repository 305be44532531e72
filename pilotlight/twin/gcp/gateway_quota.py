"""Quotas of a gateway: what each consumer project used of a metric in the minute, by the twin's clock."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.twin.gcp.gateway_document import Api, Operation
from pilotlight.twin.gcp.gateway_keys import status

_MINUTE_S = 60


class Quotas:
    """In memory: a restart of the twin forgives what was used. `now` gives the twin's time in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._minute = 0
        self._used: dict[tuple[str, str, str], int] = {}

    def take(self, api: Api, operation: Operation, service: str, consumer: str) -> None:
        """Count one call for the project with the number `consumer`. Refusal (429), and nothing counted, where a limit is reached."""
        minute = int(self._now() // _MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, {}
        for limit in api.limits:
            cost = operation.costs.get(limit.metric, 0)
            if cost and self._used.get((service, consumer, limit.metric), 0) + cost > limit.per_minute:
                text = (
                    f"Quota exceeded for quota metric '{limit.shown}' and limit '{limit.name}' of service '{service}' for consumer "
                    f"'project_number:{consumer}'."
                )
                raise status("RESOURCE_EXHAUSTED", text, 429)
        for metric, cost in operation.costs.items():
            key = (service, consumer, metric)
            self._used[key] = self._used.get(key, 0) + cost

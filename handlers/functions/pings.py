"""Pings: requests of the warming plan, which touch an instance of the model and count as no caller's request.

One reads and writes both spellings: SageMaker's custom attributes and Lambda's event. A gateway's client can send neither: the
function writes the attributes of its calls itself, and a gateway's event is never read as a ping.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from handlers.functions import logs
from handlers.functions.problems import InputRefused

# How long a ping keeps its instance: shorter, one instance could answer several that were sent to touch several.
LEAST_HOLD_S = 0.1
MOST_HOLD_S = 10.0
# What a ping asks: the shortest way through the whole path of a request.
REQUEST = {"inputs": "ping"}
_ATTRIBUTE = "ping="


class Ping(NamedTuple):
    """A ping's correlation id, and how long it keeps its instance, in seconds."""

    request_id: str
    hold_s: float

    @property
    def attributes(self) -> str:
        """As SageMaker's custom attributes."""
        return f"{_ATTRIBUTE}{self.hold_s:g};{logs.REQUEST_ID_ATTRIBUTE}{self.request_id}"

    @property
    def event(self) -> dict[str, Any]:
        """As Lambda's event."""
        return {"ping": {"requestId": self.request_id, "holdSeconds": self.hold_s}}


def of_headers(headers: Mapping[str, str]) -> Ping | None:
    """The ping that a request to the container is by its headers (lower-case names), or None."""
    attributes = headers.get(logs.CUSTOM_ATTRIBUTES_HEADER, "")
    if not attributes.startswith(_ATTRIBUTE):
        return None
    return Ping(logs.request_id(headers), _hold(attributes.removeprefix(_ATTRIBUTE).partition(";")[0]))


def of_event(event: Mapping[str, Any], fallback_id: str) -> Ping:
    """The ping in a Lambda event that has one. Raises InputRefused when it can't be read."""
    ping = event["ping"]
    if not isinstance(ping, dict) or event.keys() != {"ping"}:
        raise InputRefused("A ping is an object under 'ping', with nothing beside it.")
    return Ping(logs.request_id({"x-request-id": str(ping.get("requestId", ""))}, fallback_id), _hold(ping.get("holdSeconds")))


def _hold(value: object) -> float:
    """Seconds within the bounds, whatever was sent."""
    try:
        seconds = float(str(value))
    except ValueError:
        return LEAST_HOLD_S
    return LEAST_HOLD_S if math.isnan(seconds) else min(max(seconds, LEAST_HOLD_S), MOST_HOLD_S)

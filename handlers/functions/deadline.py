"""How long a call may still take, and how the model server is told."""

import math
import time
from collections.abc import Mapping
from typing import Protocol

from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.functions.problems import TimeoutRefused
from handlers.functions.wording import clipped

# What stays for the function's own answer when the time of its call runs out.
MARGIN_S = 0.5

# Time to hand work over or to keep an answer, which is taken from what the model may use: three calls for up to 4 MB of
# body, the first of a process over a new connection each. docs/decisions/0005 says how long they took.
HAND_OVER_S = 2.0

# What its caller has left, in whole milliseconds from when the request comes: a header, or within SageMaker's custom attributes.
TIMEOUT_HEADER = "x-request-timeout-ms"
_ATTRIBUTE = "timeout-ms="


class Deadline(Protocol):
    """Lambda's context object is one."""

    def get_remaining_time_in_millis(self) -> int: ...


class LambdaContext(Deadline, Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str


class Until:
    """The deadline of a call that may take `seconds` from now, where no platform tells it."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._ends - time.monotonic()) * 1000))


class Sooner:
    """The deadline of a call that may have to end sooner than its own one says: `within` tells that, once it is known."""

    def __init__(self, own: Deadline) -> None:
        self._deadlines = [own]

    def within(self, seconds: float) -> None:
        """It ends so many seconds from now, unless it does before."""
        self._deadlines.append(Until(seconds))

    def get_remaining_time_in_millis(self) -> int:
        return min(each.get_remaining_time_in_millis() for each in self._deadlines)


def seconds_left(deadline: Deadline) -> float:
    """Seconds for the work, less those for the answer; negative when there are none."""
    return deadline.get_remaining_time_in_millis() / 1000 - MARGIN_S


def as_milliseconds(seconds: float) -> str:
    """The header's value."""
    return str(max(0, int(seconds * 1000)))


def as_attribute(seconds: float) -> str:
    """The same as one of SageMaker's custom attributes."""
    return _ATTRIBUTE + as_milliseconds(seconds)


def of_headers(headers: Mapping[str, str]) -> float:
    """Seconds that a request's caller has left by its headers (lower-case names), without end where they don't tell.

    Raises TimeoutRefused.
    """
    value = headers.get(TIMEOUT_HEADER)
    if value is None and CUSTOM_ATTRIBUTES_HEADER in headers:
        attributes = headers[CUSTOM_ATTRIBUTES_HEADER].split(";")
        value = next((part.removeprefix(_ATTRIBUTE) for part in attributes if part.startswith(_ATTRIBUTE)), None)
    if value is None:
        return math.inf
    if not (value.isascii() and value.isdigit() and len(value) <= 15):
        raise TimeoutRefused(f"{TIMEOUT_HEADER} is {clipped(value)}: send the whole milliseconds that you have left, or leave it out.")
    return int(value) / 1000

"""What Event Grid makes of a delivery that failed: again later, or never again.

Source: Event Grid documentation, "Event Grid message delivery and retry" (read 2026-11). It calls its schedule a best effort with a small
randomization, and puts destinations that keep failing on probation, in which it also delays new events; the twin keeps to the schedule,
and begins with every event at once.
"""

from __future__ import annotations

from collections.abc import Mapping

ANSWER_S = 30.0
# From one attempt to the next; the last one again and again.
_SCHEDULE_S = (10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0)
# Statuses after which it waits longer at least, for destinations that are resources of Azure.
_LEAST_S: Mapping[int, float] = {401: 300.0, 404: 300.0, 408: 120.0, 503: 30.0}
# Statuses that end it, and the reason that the dead letter gives: the first is from a letter that somebody has shown.
NEVER_AGAIN: Mapping[int, str] = {
    400: "UndeliverableDueToHttpBadRequest",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
TOO_OFTEN, TOO_LATE = "MaxDeliveryAttemptsExceeded", "TimeToLiveExceeded"
_OUTCOMES: Mapping[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    429: "Busy",
    503: "Busy",
}
# Between the last attempt and the dead letter, so that several go into one blob.
DEAD_LETTER_S = 300.0
# An event is lost when its place for dead letters can't be written to for so long.
DROPPED_S = 4 * 3_600.0


def arrived(status: int) -> bool:
    """Whether a destination that answers so has the event."""
    return 200 <= status <= 204


def outcome(status: int) -> str:
    """`lastDeliveryOutcome`."""
    return _OUTCOMES.get(status, "Aborted")


def wait_s(attempts: int, status: int) -> float:
    """Seconds until the next attempt, after so many of which the last was answered so."""
    return max(_SCHEDULE_S[min(attempts, len(_SCHEDULE_S)) - 1], _LEAST_S.get(status, 0.0))

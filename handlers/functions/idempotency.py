"""Idempotency-Key: a request that is sent again gets the answer of the first one (Stripe's API reference, "Idempotent requests").

Status and body are kept whether the request went well or not. Nothing is kept of a request that was not worked on: one that
can't be valid, one in conflict with another, one that a caller is told to send again.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from handlers.functions.deadline import Deadline
from handlers.functions.problems import IdempotencyKeyRefused, RequestProblem, status_of

HEADER = "idempotency-key"
REPLAYED = "idempotent-replayed"
MAX_CHARACTERS = 255

Kept = dict[str, Any]


class Once(Protocol):
    """Does what has a key once, and gives later calls with the key what was kept of it."""

    def run(self, key: str, fingerprint: str, deadline: Deadline, work: Callable[[], Kept]) -> tuple[Kept, bool]:
        """What `work` returned, now or at an earlier call (then True); what it raises is raised and nothing kept.

        Raises IdempotencyKeyReused for another fingerprint, IdempotencyKeyInUse while a call is under way, Unavailable.
        """
        ...


def key_of(headers: Mapping[str, str]) -> str | None:
    """The request's key, or None. Raises IdempotencyKeyRefused for one that is empty or too long."""
    key = headers.get(HEADER)
    if key is not None and not 1 <= len(key) <= MAX_CHARACTERS:
        raise IdempotencyKeyRefused(f"Idempotency-Key has {len(key)} characters: send 1 to {MAX_CHARACTERS}.")
    return key


def refuse_key(headers: Mapping[str, str]) -> None:
    """Raises IdempotencyKeyRefused where answers are not kept: a key that is passed over would promise what nobody does."""
    if HEADER in headers:
        raise IdempotencyKeyRefused(
            "Idempotency-Key needs kept answers, which this service has not (setting answers, async: true): leave the header out."
        )


def scoped(owner: str, key: str) -> str:
    """The key as it is stored: equal keys of two callers are two keys."""
    return f"{owner}\n{key}"


def fingerprint(body: bytes) -> str:
    """What tells whether two requests are the same."""
    return hashlib.sha256(body).hexdigest()


def is_kept(problem: RequestProblem) -> bool:
    """Whether a refusal ends the work: neither the caller's mistake nor an invitation to send the request again."""
    return status_of(problem) >= 500 and problem.retry_after_s is None

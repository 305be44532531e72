"""Idempotency-Key in a table that knows conditions, whatever the cloud.

A key belongs to the call that made its row, until that call's time is over; then to the one that takes it over. Which of them a row is
tells its mark: the end of a call that outlived its time changes nothing.
"""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from handlers.functions.deadline import Deadline
from handlers.functions.endpoint import RETRY_AFTER_S
from handlers.functions.idempotency import Kept
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import IdempotencyKeyInUse, IdempotencyKeyReused

_ROUNDS = 5
_WORKING, _KEPT = "working", "kept"
# `ends` and `expires` are seconds since 1970.
Fields = dict[str, Any]
# What tells the content of a row from every other one.
Mark = TypeVar("Mark")


@dataclass(frozen=True, slots=True)
class _Ours(Generic[Mark]):
    """The mark of the row of a key that is ours."""

    mark: Mark


class StoredOnce(ABC, Generic[Mark]):
    """Once for each key; what is kept of it can be had for `keep_s` seconds, then the key is as good as new. What stores rows raises
    Unavailable."""

    def __init__(self, *, keep_s: int, now: Callable[[], float] = time.time) -> None:
        self._keep_s = keep_s
        self._now = now

    @abstractmethod
    def _create(self, row: str, fields: Fields) -> Mark | None:
        """Store a new row: its mark, None where there is one."""

    @abstractmethod
    def _read(self, row: str) -> tuple[Fields, Mark] | None: ...

    @abstractmethod
    def _replace(self, row: str, fields: Fields, mark: Mark) -> Mark | None:
        """Store it in the place of what has this mark: its new mark, None where others were faster."""

    @abstractmethod
    def _remove(self, row: str, mark: Mark) -> None:
        """Remove what has this mark; nothing where there is another one by now."""

    def run(self, key: str, fingerprint: str, deadline: Deadline, work: Callable[[], Kept]) -> tuple[Kept, bool]:
        """As the protocol says. A call that dies gives its key free when its time is over."""
        row = f"key-{hashlib.sha256(key.encode()).hexdigest()}"
        begun = self._begun(row, fingerprint, self._now() + deadline.get_remaining_time_in_millis() / 1000)
        if not isinstance(begun, _Ours):
            return begun, True
        try:
            made = work()
        except BaseException:
            self._free(row, begun.mark)
            raise
        self._replace(row, self._fields(fingerprint, _KEPT, 0.0) | {"value": json.dumps(made)}, begun.mark)
        return made, False

    def _begun(self, row: str, fingerprint: str, ends: float) -> _Ours[Mark] | Kept:
        """That the key is ours now, else what is kept of it. Raises IdempotencyKeyReused, IdempotencyKeyInUse, Unavailable."""
        ours = self._fields(fingerprint, _WORKING, ends)
        for _ in range(_ROUNDS):
            if (mark := self._create(row, ours)) is not None:
                return _Ours(mark)
            found = self._read(row)
            if found is None:
                continue
            known, last = found
            if not self._is_over(known):
                return _kept(known, fingerprint)
            if (mark := self._replace(row, ours, last)) is not None:
                return _Ours(mark)
        raise Unavailable("Others write the same key.")

    def _is_over(self, known: Fields) -> bool:
        return bool((known["ends"] if known["state"] == _WORKING else known["expires"]) <= self._now())

    def _free(self, row: str, mark: Mark) -> None:
        try:
            self._remove(row, mark)
        except Unavailable:
            return  # it is free when its time is over

    def _fields(self, fingerprint: str, state: str, ends: float) -> Fields:
        return {"fingerprint": fingerprint, "state": state, "ends": ends, "expires": self._now() + self._keep_s}


def _kept(known: Fields, fingerprint: str) -> Kept:
    if known["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused("The Idempotency-Key was sent with another body before: use a key of its own.")
    if known["state"] == _WORKING:
        raise IdempotencyKeyInUse("The first request with this Idempotency-Key is being answered.", retry_after_s=RETRY_AFTER_S)
    kept: Kept = json.loads(known["value"])
    return kept

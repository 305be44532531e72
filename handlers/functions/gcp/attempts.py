"""How often an event was delivered, since Eventarc does not tell: counted in Firestore before the work begins.

While an attempt is under way the event belongs to it: a push that takes longer than its acknowledgement deadline (10 s, unless somebody
gave Eventarc's subscription another) comes again meanwhile, and neither a second worker nor an attempt is to be spent on that. What ends
without a word is over when its time is. How the last attempt ended is kept: the 2xx of one that took longer than the deadline was said to
nobody, so that its event comes again and has to be known as delivered.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference, WriteBatch

from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.outcomes import Outcome, Unavailable

SUFFIX = "-attempts"
# Eventarc gives an event up after a day ("Retry events"); the database's time to live removes what is older than that.
_KEPT = timedelta(days=2)
_ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Its number, from 1 on, and when its document was written; `last` is how the one before it ended, None where it ended without a
    word. With `over` there was a last one already, this number, and the event is delivered."""

    number: int
    written: Any
    last: Outcome | None = None
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Documents with `attempts`, `ends` (seconds since 1970: until when one is under way), whether it is `over`, how the last one ended,
    and when it `expires`, by the database's time to live."""

    database: Client
    collection: str
    now: Callable[[], float] = field(default=time.time)

    def begin(self, event: str, *, seconds: float) -> Attempt | None:
        """This attempt, which may take `seconds`, or the one that the event was over with; None while another one is under way. Raises
        Unavailable."""
        document, ends = self._document(event), self.now() + seconds
        if first := self._created(document, ends):
            return first
        for _ in range(_ROUNDS):
            with guarded():
                found = document.get(**PATIENTLY)
            if not found.exists:
                if first := self._created(document, ends):
                    return first
                continue
            known: dict[str, Any] = found.to_dict() or {}
            number, last = int(known["attempts"]), Outcome(known["outcome"], known["reason"]) if "outcome" in known else None
            if known["over"]:
                return Attempt(number=number, written=found.update_time, last=last, over=True)
            if known["ends"] > self.now():
                return None
            if written := self._updated(document, self._fields(number + 1, ends), found.update_time):
                return Attempt(number=number + 1, written=written, last=last)
        return None

    def over(self, event: str, attempt: Attempt, outcome: Outcome) -> None:
        """The event needs no further attempt. Raises Unavailable."""
        self._end(event, attempt, _told(outcome, over=True))

    def failed(self, event: str, attempt: Attempt, outcome: Outcome) -> None:
        """Let the next attempt begin at any time, and know how this one ended. Raises Unavailable."""
        self._end(event, attempt, _told(outcome, over=False))

    def over_with(self, batch: WriteBatch, event: str, outcome: Outcome) -> None:
        """The same in a commit that makes the result: whose attempt it is does not matter, since with a result none has anything to do."""
        batch.set(self._document(event), {**_told(outcome, over=True), "expires": self._expires()}, merge=True)

    def _end(self, event: str, attempt: Attempt, told: dict[str, Any]) -> None:
        """Nothing where the event has a newer attempt by now, whose it is, or is over: this one's time was over before it ended."""
        document, written = self._document(event), attempt.written
        for _ in range(_ROUNDS):
            if self._updated(document, told, written):
                return
            with guarded():
                found = document.get(["attempts", "over"], **PATIENTLY)
            if not found.exists or found.get("over") or found.get("attempts") != attempt.number:
                return
            written = found.update_time
        raise Unavailable("Firestore: others write the same document.")

    def _created(self, document: DocumentReference, ends: float) -> Attempt | None:
        try:
            with guarded():
                made = document.create(self._fields(1, ends), **PATIENTLY)
        except LOST:
            return None
        return Attempt(number=1, written=made.update_time)

    def _updated(self, document: DocumentReference, fields: dict[str, Any], written: Any) -> Any:
        """When it was, None where it was written after `written`. Raises Unavailable."""
        try:
            with guarded():
                return document.update(fields, option=self.database.write_option(last_update_time=written), **PATIENTLY).update_time
        except (NotFound, *LOST):
            return None

    def _fields(self, number: int, ends: float) -> dict[str, object]:
        return {"attempts": number, "ends": ends, "over": False, "expires": self._expires()}

    def _expires(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC) + _KEPT

    def _document(self, event: str) -> DocumentReference:
        document: Any = self.database.collection(self.collection).document(hashlib.sha256(event.encode()).hexdigest())
        found: DocumentReference = document
        return found


def _told(outcome: Outcome, *, over: bool) -> dict[str, Any]:
    return {"ends": 0.0, "over": over, "outcome": outcome.kind, "reason": outcome.reason}

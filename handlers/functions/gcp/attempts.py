"""How often an event was delivered, since Eventarc does not tell: counted in Firestore before the work begins.

While an attempt is under way the event belongs to it: a push that takes longer than its acknowledgement deadline (10 s, unless somebody
gave Eventarc's subscription another) comes again meanwhile, and neither a second worker nor an attempt is to be spent on that. What ends
without a word is over when its time is. How the last attempt ended is kept: the 2xx of one that took longer than the deadline was said to
nobody, so that its event comes again and has to be known as delivered.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    """Its number, from 1 on, how many before it were spared, and when the first one began (seconds since 1970) and the document was
    written; `last` is how the one before it ended, None where it ended without a word. With `over` there was a last one already, this
    number, and the event is delivered."""

    number: int
    spared: int
    since: float
    written: Any
    last: Outcome | None = None
    over: bool = False

    @property
    def spent(self) -> int:
        """How many of the attempts that an event has are spent with this one."""
        return self.number - self.spared


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Documents with `attempts`, of which `spared` were none of the event's, `since` when, `ends` (until when one is under way; both in
    seconds since 1970), whether it is `over`, how the last one ended, and when it `expires`, by the database's time to live."""

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
            attempt = _attempt(known, found.update_time)
            if attempt.over:
                return attempt
            if known["ends"] > self.now():
                return None
            fields = {"attempts": attempt.number + 1, "ends": ends, "expires": self._expires()}
            if written := self._updated(document, fields, found.update_time):
                return replace(attempt, number=attempt.number + 1, written=written)
        return None

    def over(self, event: str, attempt: Attempt, outcome: Outcome) -> None:
        """The event needs no further attempt. Raises Unavailable."""
        self._end(event, attempt, _told(outcome, over=True))

    def failed(self, event: str, attempt: Attempt, outcome: Outcome, *, spared: bool = False) -> None:
        """Let the next attempt begin at any time, and know how this one ended, and whether it is `spared`. Raises Unavailable."""
        self._end(event, attempt, {**_told(outcome, over=False), "spared": attempt.spared + spared})

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
                fields = {"attempts": 1, "spared": 0, "since": self.now(), "ends": ends, "over": False, "expires": self._expires()}
                made = document.create(fields, **PATIENTLY)
        except LOST:
            return None
        return _attempt(fields, made.update_time)

    def _updated(self, document: DocumentReference, fields: dict[str, Any], written: Any) -> Any:
        """When it was, None where it was written after `written`. Raises Unavailable."""
        try:
            with guarded():
                return document.update(fields, option=self.database.write_option(last_update_time=written), **PATIENTLY).update_time
        except (NotFound, *LOST):
            return None

    def _expires(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC) + _KEPT

    def _document(self, event: str) -> DocumentReference:
        document: Any = self.database.collection(self.collection).document(hashlib.sha256(event.encode()).hexdigest())
        found: DocumentReference = document
        return found


def _attempt(known: dict[str, Any], written: Any) -> Attempt:
    last = Outcome(known["outcome"], known["reason"]) if "outcome" in known else None
    number, spared, since, over = (known[name] for name in ("attempts", "spared", "since", "over"))
    return Attempt(number=number, spared=spared, since=since, written=written, last=last, over=over)


def _told(outcome: Outcome, *, over: bool) -> dict[str, Any]:
    return {"ends": 0.0, "over": over, "outcome": outcome.kind, "reason": outcome.reason}

"""How often an event was delivered, since Eventarc does not tell: counted in Firestore before the work begins.

While an attempt is under way the event belongs to it: a push that takes longer than its acknowledgement deadline comes again meanwhile,
and neither a second worker nor an attempt is to be spent on that. What ends without a word is over when its time is.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference

from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.outcomes import Outcome

SUFFIX = "-attempts"
# Eventarc gives an event up after a day ("Retry events"); the database's time to live removes what is older than that.
_KEPT = timedelta(days=2)
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Attempt:
    """Its number, from 1 on; `last` is how the one before it ended, None where it ended without a word."""

    number: int
    last: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Documents with `attempts`, `ends` (seconds since 1970: until when one is under way), `expires`, and how the last one ended."""

    database: Client
    collection: str
    now: Callable[[], float] = field(default=time.time)

    def begin(self, event: str, *, seconds: float) -> Attempt | None:
        """This attempt, which may take `seconds`; None while another one is under way. Raises Unavailable."""
        document, ends = self.document(event), self.now() + seconds
        if self._created(document, ends):
            return Attempt(1)
        for _ in range(_ROUNDS):
            with guarded():
                found = document.get(**PATIENTLY)
            if not found.exists:
                if self._created(document, ends):
                    return Attempt(1)
                continue
            known: dict[str, Any] = found.to_dict() or {}
            if known["ends"] > self.now():
                return None
            number = int(known["attempts"]) + 1
            option = self.database.write_option(last_update_time=found.update_time)
            try:
                with guarded():
                    document.update(self._fields(number, ends), option=option, **PATIENTLY)
                return Attempt(number, Outcome(known["outcome"], known["reason"]) if "outcome" in known else None)
            except (NotFound, *LOST):
                continue
        return None

    def over(self, event: str) -> None:
        """Forget an event that needs no further attempt. Raises Unavailable."""
        with guarded():
            self.document(event).delete(**PATIENTLY)

    def failed(self, event: str, outcome: Outcome) -> None:
        """Let the next attempt begin at any time, and know how this one ended. Raises Unavailable."""
        told = {"ends": 0.0, "outcome": outcome.kind, "reason": outcome.reason}
        try:
            with guarded():
                self.document(event).update(told, **PATIENTLY)
        except (NotFound, *LOST):
            return  # nobody holds it any more

    def _created(self, document: DocumentReference, ends: float) -> bool:
        try:
            with guarded():
                document.create(self._fields(1, ends), **PATIENTLY)
        except LOST:
            return False
        return True

    def _fields(self, number: int, ends: float) -> dict[str, object]:
        return {"attempts": number, "ends": ends, "expires": datetime.fromtimestamp(self.now(), UTC) + _KEPT}

    def document(self, event: str) -> DocumentReference:
        """What is there until the event needs no further attempt; whoever deletes it says so."""
        document: Any = self.database.collection(self.collection).document(hashlib.sha256(event.encode()).hexdigest())
        found: DocumentReference = document
        return found

"""Idempotency-Key on Google Cloud: documents beside those of the answers, ids `key-HASH`, which no answer's id can be.

A key belongs to the call that made its document, until that call's time is over; then to the one that takes it over.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference, DocumentSnapshot

from handlers.functions.deadline import Deadline
from handlers.functions.endpoint import RETRY_AFTER_S
from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.idempotency import Kept
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import IdempotencyKeyInUse, IdempotencyKeyReused

_ROUNDS = 5
_WORKING, _KEPT = "working", "kept"


@dataclass(frozen=True, kw_only=True)
class FirestoreOnce:
    """Once for each key; what is kept of it can be had for `keep_s` seconds, then the key is as good as new."""

    database: Client
    collection: str
    keep_s: int
    now: Callable[[], float] = field(default=time.time)

    def run(self, key: str, fingerprint: str, deadline: Deadline, work: Callable[[], Kept]) -> tuple[Kept, bool]:
        """As the protocol says. A call that dies gives its key free when its time is over."""
        document = self._document(key)
        kept = self._begun(document, fingerprint, self.now() + deadline.get_remaining_time_in_millis() / 1000)
        if kept is not None:
            return kept, True
        try:
            made = work()
        except BaseException:
            self._free(document)
            raise
        with guarded():
            document.set(self._fields(fingerprint, _KEPT, 0.0) | {"value": json.dumps(made)}, **PATIENTLY)
        return made, False

    def _begun(self, document: DocumentReference, fingerprint: str, ends: float) -> Kept | None:
        """None when the key is ours now, else what is kept of it. Raises IdempotencyKeyReused, IdempotencyKeyInUse, Unavailable."""
        ours = self._fields(fingerprint, _WORKING, ends)
        for _ in range(_ROUNDS):
            try:
                with guarded():
                    document.create(ours, **PATIENTLY)
                return None
            except LOST:
                with guarded():
                    found = document.get(**PATIENTLY)
            if not found.exists:
                continue
            known: dict[str, Any] = found.to_dict() or {}
            if not self._is_over(known):
                return _kept(known, fingerprint)
            if self._taken_over(document, found, ours):
                return None
        raise Unavailable("Firestore: others write the same key.")

    def _is_over(self, known: dict[str, Any]) -> bool:
        ends = known["ends"] if known["state"] == _WORKING else known["expires"].timestamp()
        return bool(ends <= self.now())

    def _taken_over(self, document: DocumentReference, found: DocumentSnapshot, ours: dict[str, Any]) -> bool:
        option = self.database.write_option(last_update_time=found.update_time)
        try:
            with guarded():
                document.update(ours, option=option, **PATIENTLY)
        except (NotFound, *LOST):
            return False
        return True

    def _free(self, document: DocumentReference) -> None:
        try:
            with guarded():
                document.delete(**PATIENTLY)
        except (NotFound, Unavailable, *LOST):
            return  # it is free when its time is over

    def _fields(self, fingerprint: str, state: str, ends: float) -> dict[str, Any]:
        expires = datetime.fromtimestamp(self.now() + self.keep_s, UTC)
        return {"fingerprint": fingerprint, "state": state, "ends": ends, "expires": expires}

    def _document(self, key: str) -> DocumentReference:
        document: Any = self.database.collection(self.collection).document(f"key-{hashlib.sha256(key.encode()).hexdigest()}")
        found: DocumentReference = document
        return found


def _kept(known: dict[str, Any], fingerprint: str) -> Kept:
    if known["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused("The Idempotency-Key was sent with another body before: use a key of its own.")
    if known["state"] == _WORKING:
        raise IdempotencyKeyInUse("The first request with this Idempotency-Key is being answered.", retry_after_s=RETRY_AFTER_S)
    kept: Kept = json.loads(known["value"])
    return kept

"""Idempotency-Key on Google Cloud: documents beside those of the answers, ids `key-HASH`, which no answer's id can be."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference, WriteOption

from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.keys import Fields, StoredOnce


class FirestoreOnce(StoredOnce[Any]):
    """Keys in a collection; the mark of a row is when it was written. `expires` is a timestamp, for the database's time to live."""

    def __init__(self, *, database: Client, collection: str, keep_s: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(keep_s=keep_s, now=now)
        self._database, self._collection = database, collection

    def _create(self, row: str, fields: Fields) -> Any:
        try:
            with guarded():
                return self._document(row).create(_stored(fields), **PATIENTLY).update_time
        except LOST:
            return None

    def _read(self, row: str) -> tuple[Fields, Any] | None:
        with guarded():
            found = self._document(row).get(**PATIENTLY)
        known: Fields = found.to_dict() or {}
        return (known | {"expires": known["expires"].timestamp()}, found.update_time) if found.exists else None

    def _replace(self, row: str, fields: Fields, mark: Any) -> Any:
        try:
            with guarded():
                return self._document(row).update(_stored(fields), option=self._has(mark), **PATIENTLY).update_time
        except (NotFound, *LOST):
            return None

    def _remove(self, row: str, mark: Any) -> None:
        try:
            with guarded():
                self._document(row).delete(option=self._has(mark), **PATIENTLY)
        except (NotFound, *LOST):
            return  # gone, or another call's by now

    def _has(self, mark: Any) -> WriteOption:
        return self._database.write_option(last_update_time=mark)

    def _document(self, row: str) -> DocumentReference:
        document: Any = self._database.collection(self._collection).document(row)
        found: DocumentReference = document
        return found


def _stored(fields: Fields) -> Fields:
    return fields | {"expires": datetime.fromtimestamp(fields["expires"], UTC)}

"""One document per object generation in Firestore, and one per object that points to its newest generation.

There is no lock: a document is created once, and the pointer moves only from what was read, both in one commit or not at all. Where a
result is all that is wanted, the attempt of its event ends in that commit too: a call of the database takes the client's library half
a millisecond of processor time.
"""

import hashlib
import random
import time
from collections.abc import Sequence
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference, DocumentSnapshot

from handlers.functions.gcp.attempts import Attempts
from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.gcp.storage import Storage
from handlers.functions.gcp.topics import Topic
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.recording import RowResults
from handlers.functions.rows import Row, message
from handlers.functions.versions import VersionId

# Of commits that others were faster with.
_ROUNDS = 6
_PAUSE_S = 0.03
_LATEST = "latest"


class FirestoreResults(RowResults):
    """Results in the collection `collection`, large ones in `bucket`; with a topic every one is sent to it as well.

    `attempts` are those of the events that bring the objects, None where nobody counts them.
    """

    def __init__(
        self,
        database: Client,
        storage: Storage,
        *,
        collection: str,
        bucket: str,
        task: str,
        attempts: Attempts | None = None,
        topic: Topic | None = None,
    ) -> None:
        super().__init__(task=task, sends=topic is not None)
        self._database = database
        self._storage = storage
        self._documents = database.collection(collection)
        self._bucket = bucket
        self._attempts = attempts
        self._topic = topic

    @property
    def end_attempts(self) -> bool:
        """Whether the attempt of an event is over with the outcome `recorded`; not where something is left to be sent then."""
        return self._attempts is not None and self._topic is None

    def _rows(self, ids: Sequence[VersionId]) -> list[Row]:
        documents = self._read([self._document(id_) for id_ in ids])
        return [Row.of_attributes(document.to_dict() or {}) for document in documents if document.exists]

    def _keep(self, name: str, body: bytes) -> str:
        self._storage.write(self._bucket, name, body, content_type="application/json", only_new=True)
        return f"gs://{self._bucket}/{name}"

    def _write(self, row: Row, event: str | None) -> Outcome:
        document, latest = self._document(row.id), self._document((row.object, _LATEST))
        # Nearly every object is new: what is there is read where this one turns out not to be.
        pointer: DocumentSnapshot | None = None
        for attempt in range(_ROUNDS):
            if attempt:
                time.sleep(random.uniform(0, _PAUSE_S * 2**attempt) if attempt > 1 else 0)  # noqa: S311 (spread, no secret)
                found = {snapshot.id: snapshot for snapshot in self._read([document, latest], "sequencer")}
                if found[document.id].exists:
                    return Outcome("known")
                pointer = found[latest.id]
            batch = self._database.batch()
            batch.create(document, row.attributes())
            if pointer is None or not pointer.exists:
                batch.create(latest, row.latest())
            elif str(pointer.get("sequencer")) < row.sequencer:
                batch.update(latest, row.latest(), option=self._database.write_option(last_update_time=pointer.update_time))
            if self._attempts is not None and self.end_attempts and event is not None:
                self._attempts.over_with(batch, event, Outcome("recorded"))
            try:
                with guarded():
                    batch.commit(**PATIENTLY)
                return Outcome("recorded")
            except LOST:
                continue
        return Outcome("failed", "The result can't be written: others write the same documents.")

    def _publish(self, rows: Sequence[Row]) -> list[Unavailable | None]:
        assert self._topic is not None  # nothing is sent without one
        return [Unavailable(trouble) if trouble else None for trouble in self._topic.publish([(message(row), {}) for row in rows])]

    def _mark(self, row: Row) -> None:
        try:
            with guarded():
                self._document(row.id).update({"published": True}, **PATIENTLY)
        except NotFound:
            return
        except LOST as error:
            raise Unavailable(str(error)) from error

    def _document(self, id_: VersionId) -> DocumentReference:
        document: Any = self._documents.document(_name(*id_))
        found: DocumentReference = document
        return found

    def _read(self, documents: Sequence[DocumentReference], *fields: str) -> list[DocumentSnapshot]:
        """Raises Unavailable."""
        if not documents:
            return []
        how: dict[str, Any] = {"field_paths": fields} if fields else {}
        with guarded():
            return list(self._database.get_all(list(documents), **how, **PATIENTLY))


def _name(object_: str, version: str) -> str:
    """A document's name. Names of objects may be longer than those of documents, and hold what those may not."""
    return f"{hashlib.sha256(object_.encode()).hexdigest()}-{version}"

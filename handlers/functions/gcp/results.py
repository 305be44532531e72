"""One document per object generation in Firestore, and one per object that points to its newest generation.

There is no lock: a document is created once, and the pointer moves only from what was read, both in one commit or not at all. Where a
result is all that is wanted, the attempt of its event ends in that commit too: a call of the database takes the client's library half
a millisecond of processor time.
"""

import hashlib
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference, DocumentSnapshot

from handlers.functions import outcomes
from handlers.functions.gcp.attempts import Attempts
from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.gcp.google_api import ApiError
from handlers.functions.gcp.storage import Storage
from handlers.functions.gcp.topics import Topic
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.pipeline import PARALLEL
from handlers.functions.rows import INLINE_BYTES, Row, large_name, message
from handlers.functions.versions import ObjectVersion, Result, VersionId

# Of commits that others were faster with.
_ROUNDS = 6
_PAUSE_S = 0.03
_LATEST = "latest"


class FirestoreResults:
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
        self._database = database
        self._storage = storage
        self._documents = database.collection(collection)
        self._bucket = bucket
        self._task = task
        self._attempts = attempts
        self._topic = topic
        self._writers = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="results")

    @property
    def end_attempts(self) -> bool:
        """Whether the attempt of an event is over with the outcome `recorded`; not where something is left to be sent then."""
        return self._attempts is not None and self._topic is None

    def settled(self, versions: Sequence[ObjectVersion]) -> dict[VersionId, Outcome]:
        """Those that have a document, sent by now where there is a topic. Raises Unavailable when it can't be read."""
        return self._settled([version.id for version in versions])

    def record(self, results: Sequence[Result]) -> dict[VersionId, Outcome]:
        """A document for each result that has none, then the messages."""
        made = list(self._writers.map(self._recorded, results) if len(results) > 1 else map(self._recorded, results))
        found = {result.version.id: outcome for result, (_, outcome) in zip(results, made, strict=True)}
        if self._topic is None:
            return found
        found |= self._send([row for row, outcome in made if row is not None and outcome.kind == "recorded"])
        # Another worker was first with these: what it may have left undone is done here.
        others = [id_ for id_, outcome in found.items() if outcome.kind == "known"]
        try:
            return found | self._settled(others)
        except Unavailable as error:
            return found | dict.fromkeys(others, outcomes.of(error))

    def _settled(self, ids: Sequence[VersionId]) -> dict[VersionId, Outcome]:
        documents = self._read([self._document(id_) for id_ in ids])
        rows = [Row.of_attributes(document.to_dict() or {}) for document in documents if document.exists]
        found = {row.id: Outcome("known") for row in rows}
        return found | self._send([row for row in rows if row.published is False])

    def _recorded(self, result: Result) -> tuple[Row | None, Outcome]:
        """The result's row and how writing it ended; no row where it was not even tried."""
        body, uri = result.body.encode(), None
        if len(body) > INLINE_BYTES:
            name = large_name(result.version, body)
            try:
                self._storage.write(self._bucket, name, body, content_type="application/json", only_new=True)
            except ApiError as error:
                return None, Outcome("failed", f"The result can't be stored: {error}")
            uri = f"gs://{self._bucket}/{name}"
        row = Row.of(result, task=self._task, result_uri=uri, published=None if self._topic is None else False)
        try:
            return row, self._written(row, result.version.event)
        except Unavailable as error:
            return row, outcomes.of(error)

    def _written(self, row: Row, event: str | None) -> Outcome:
        """Writes it unless it is there, with the pointer where it is its object's newest. Raises Unavailable."""
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

    def _send(self, rows: Sequence[Row]) -> dict[VersionId, Outcome]:
        """Send a message for each row and mark it: the failures, to be sent again."""
        if self._topic is None or not rows:
            return {}
        troubles = dict(zip((row.id for row in rows), self._topic.publish([(message(row), {}) for row in rows]), strict=True))
        failed = {id_: Outcome("failed", f"The result can't be sent: {trouble}") for id_, trouble in troubles.items() if trouble}
        for row in rows:
            if row.id not in failed and (outcome := self._marked(row)):
                failed[row.id] = outcome
        return failed

    def _marked(self, row: Row) -> Outcome | None:
        try:
            with guarded():
                self._document(row.id).update({"published": True}, **PATIENTLY)
        except NotFound:
            pass  # what is gone needs no mark
        except (Unavailable, *LOST) as error:
            return Outcome("failed", f"The result was sent and can't be marked so: {error}")
        return None

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

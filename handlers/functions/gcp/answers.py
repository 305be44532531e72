"""Answers that come later, on Google Cloud: bodies in Cloud Storage, rows in Firestore, the worker's messages in Pub/Sub.

Requests lie under `requests/ID`, answers under `answers/ID`; both expire by the bucket's lifecycle, rows by the database's time to live
on `expires`. Firestore's reads are consistent, so that a client that was just told an address finds it.
"""

import json
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.firestore import Client, DocumentReference

from handlers.functions.answers import Ending, Row
from handlers.functions.gcp.firestore import LOST, PATIENTLY, guarded
from handlers.functions.gcp.storage import Storage
from handlers.functions.gcp.topics import Topic
from handlers.functions.outcomes import Unavailable
from handlers.functions.rest import ApiError

# Of updates that others were faster with.
_ROUNDS = 5
STATE, EXPIRES = "status", "expires"
ATTEMPTS_END, LAST_ATTEMPT_ENDS = "attemptsEnd", "lastAttemptEnds"


class FirestoreAnswerStore:
    """An AnswerStore; a worker's has no topic to send to."""

    def __init__(self, *, database: Client, collection: str, storage: Storage, bucket: str, topic: Topic | None = None) -> None:
        self._database = database
        self._rows = database.collection(collection)
        self._storage, self._bucket, self._topic = storage, bucket, topic

    def put_request(self, answer_id: str, body: bytes) -> None:
        self._put(f"requests/{answer_id}", body)

    def request(self, answer_id: str) -> bytes | None:
        return self._get(f"requests/{answer_id}")

    def put_answer(self, answer_id: str, body: str) -> None:
        """Once: of two workers the first one is believed, and what was fetched does not change."""
        self._put(f"answers/{answer_id}", body.encode())

    def answer(self, answer_id: str) -> str | None:
        body = self._get(f"answers/{answer_id}")
        return None if body is None else body.decode()

    def put_row(self, row: Row) -> None:
        fields = {STATE: "pending", "owner": row.owner, "requestId": row.request_id, "at": row.at, EXPIRES: _moment(row.expires)}
        with guarded():
            self._document(row.id).set(fields, **PATIENTLY)

    def row(self, answer_id: str) -> Row | None:
        with guarded():
            found = self._document(answer_id).get(**PATIENTLY)
        return _row(answer_id, found.to_dict() or {}) if found.exists else None

    def send(self, answer_id: str, request_id: str) -> None:
        assert self._topic is not None  # only a worker has none
        (trouble,) = self._topic.publish([(json.dumps({"id": answer_id, "requestId": request_id}), {})])
        if trouble:
            raise Unavailable(trouble)

    def put_end(self, answer_id: str, ends: float, *, last: bool) -> None:
        self._changed(answer_id, {LAST_ATTEMPT_ENDS if last else ATTEMPTS_END: ends})

    def waits(self) -> bool:
        """Always, for all that is known: of messages that nobody has taken only a metric tells, which is minutes behind (Pub/Sub,
        "Monitor Pub/Sub": `num_undelivered_messages`). So it is the last attempt alone whose end gives an answer up."""
        return True

    def settle(self, answer_id: str, ending: Ending, expires: int) -> bool:
        """A `done` row stays as it is: of two workers the first one is believed, and a failure after it changes nothing."""
        fields = {STATE: ending.state, "answerStatus": ending.status, "contentType": ending.content_type, EXPIRES: _moment(expires)}
        return self._changed(answer_id, {**fields, "problem": ending.document, ATTEMPTS_END: None, LAST_ATTEMPT_ENDS: None})

    def _changed(self, answer_id: str, fields: dict[str, Any]) -> bool:
        """Whether the row could be changed: it is there, and not done."""
        document = self._document(answer_id)
        for _ in range(_ROUNDS):
            with guarded():
                found = document.get([STATE], **PATIENTLY)
            if not found.exists or found.get(STATE) == "done":
                return False
            option = self._database.write_option(last_update_time=found.update_time)
            try:
                with guarded():
                    document.update(fields, option=option, **PATIENTLY)
                return True
            except (NotFound, *LOST):
                continue
        raise Unavailable("Firestore: others write the same row.")

    def _document(self, answer_id: str) -> DocumentReference:
        document: Any = self._rows.document(answer_id)
        found: DocumentReference = document
        return found

    def _put(self, name: str, body: bytes) -> None:
        try:
            self._storage.write(self._bucket, name, body, content_type="application/json", only_new=True)
        except ApiError as error:
            raise Unavailable(f"Cloud Storage: {error}") from error

    def _get(self, name: str) -> bytes | None:
        try:
            with self._storage.open(self._bucket, name) as download:
                return download.whole()
        except ApiError as error:
            if error.status == 404:
                return None
            raise Unavailable(f"Cloud Storage: {error}") from error


def _row(answer_id: str, fields: dict[str, Any]) -> Row:
    state = fields[STATE]
    ending = None
    if state in ("done", "failed"):
        ending = Ending(state=state, status=fields["answerStatus"], content_type=fields["contentType"], document=fields["problem"])
    return Row(
        id=answer_id,
        owner=fields["owner"],
        request_id=fields["requestId"],
        at=fields["at"],
        expires=int(fields[EXPIRES].timestamp()),
        ending=ending,
        attempts_end=fields.get(ATTEMPTS_END),
        last_attempt_ends=fields.get(LAST_ATTEMPT_ENDS),
    )


def _moment(seconds: int) -> datetime:
    """As the database's time to live wants it."""
    return datetime.fromtimestamp(seconds, UTC)

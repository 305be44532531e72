"""Answers that come later, on Azure: bodies are blobs, rows entities of a table, the worker's messages those of a queue.

Requests lie under `requests/ID`, answers under `answers/ID`; both go by the account's management policy. A table forgets nothing by
itself: rows whose time is over are as good as gone for who asks, and the role `forgetter` removes them.
"""

import json
from collections.abc import Mapping

from handlers.functions.answers import Ending, Row
from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.entities import Entity, Value, in_parts, of_parts
from handlers.functions.azure.guarding import guarded
from handlers.functions.azure.places import Place
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.tables import Table
from handlers.functions.outcomes import Unavailable
from handlers.functions.rest import ApiError

# Of updates that others were faster with.
_ROUNDS = 5
# Row key of an answer; the partition is its id.
ROW = "answer"
STATE, EXPIRES, PROBLEM = "status", "expires", "problem"
ATTEMPTS_END, LAST_ATTEMPT_ENDS = "attemptsEnd", "lastAttemptEnds"


class TableAnswerStore:
    """An AnswerStore; messages are kept for `keep_s` seconds, as long as there is somebody to work for."""

    def __init__(self, *, table: Table, blobs: Blobs, container: Place, queue: Queue, keep_s: int) -> None:
        self._table, self._blobs, self._container, self._queue, self._keep_s = table, blobs, container.name, queue, keep_s

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
        fields: dict[str, Value] = {STATE: "pending", "owner": row.owner, "requestId": row.request_id, "at": row.at}
        with guarded("The table of answers"):
            self._table.put(Entity(row.id, ROW, fields | {EXPIRES: float(row.expires)}))

    def row(self, answer_id: str) -> Row | None:
        found = self._read(answer_id)
        return None if found is None else _row(answer_id, found.properties)

    def send(self, answer_id: str, request_id: str) -> None:
        with guarded("The queue of answers"):
            self._queue.put(json.dumps({"id": answer_id, "requestId": request_id}).encode(), keep_s=self._keep_s)

    def put_end(self, answer_id: str, ends: float, *, last: bool) -> None:
        self._changed(answer_id, {LAST_ATTEMPT_ENDS if last else ATTEMPTS_END: ends})

    def waits(self) -> bool:
        with guarded("The queue of answers"):
            return bool(self._queue.peek())

    def settle(self, answer_id: str, ending: Ending, expires: int) -> bool:
        """A `done` row stays as it is: of two workers the first one is believed, and a failure after it changes nothing."""
        fields: dict[str, Value] = {STATE: ending.state, "answerStatus": ending.status, "contentType": ending.content_type}
        problem = {} if ending.document is None else in_parts(PROBLEM, ending.document)
        ends = dict.fromkeys((ATTEMPTS_END, LAST_ATTEMPT_ENDS))
        return self._changed(answer_id, fields | problem | ends | {EXPIRES: float(expires)}, without=PROBLEM)

    def _changed(self, answer_id: str, fields: Mapping[str, Value], without: str | None = None) -> bool:
        """Whether the row could be changed: it is there, and not done. What `fields` say is None is left out, and all of `without`."""
        for _ in range(_ROUNDS):
            found = self._read(answer_id)
            if found is None or found.properties[STATE] == "done":
                return False
            kept = {name: value for name, value in found.properties.items() if without is None or name.partition("_")[0] != without}
            with guarded("The table of answers"):
                if self._table.replace(Entity(answer_id, ROW, {**kept, **fields}), etag=found.etag) is not None:
                    return True
        raise Unavailable("The table of answers: others write the same row.")

    def _read(self, answer_id: str) -> Entity | None:
        with guarded("The table of answers"):
            return self._table.get(answer_id, ROW)

    def _put(self, name: str, body: bytes) -> None:
        with guarded("The container of answers"):
            self._blobs.write(f"{self._container}/{name}", body, content_type="application/json", only_new=True)

    def _get(self, name: str) -> bytes | None:
        with guarded("The container of answers"):
            try:
                with self._blobs.open(f"{self._container}/{name}") as download:
                    return download.whole()
            except ApiError as error:
                if error.status == 404:
                    return None
                raise


def _row(answer_id: str, fields: Mapping[str, Value]) -> Row:
    state = fields[STATE]
    ending = None
    if state != "pending":
        kind, status = str(fields["contentType"]), int(str(fields["answerStatus"]))
        ending = Ending(state="done" if state == "done" else "failed", status=status, content_type=kind, document=of_parts(PROBLEM, fields))
    return Row(
        id=answer_id,
        owner=str(fields["owner"]),
        request_id=str(fields["requestId"]),
        at=float(str(fields["at"])),
        expires=int(float(str(fields[EXPIRES]))),
        ending=ending,
        attempts_end=_seconds(fields, ATTEMPTS_END),
        last_attempt_ends=_seconds(fields, LAST_ATTEMPT_ENDS),
    )


def _seconds(fields: Mapping[str, Value], name: str) -> float | None:
    return float(str(fields[name])) if name in fields else None

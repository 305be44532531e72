"""One entity per object version in a table, and one per object that points to its newest version.

The rows of an object are one partition, so that a result and the pointer are written together or not at all, on the condition that the
first one is not there and the second one is what was read.
"""

import random
import time
from collections.abc import Sequence

from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.entities import Entity, Value, in_parts, key, of_parts
from handlers.functions.azure.guarding import guarded
from handlers.functions.azure.places import Place
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.tables import ANY, Table
from handlers.functions.azure.transactions import Operation, commit
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.recording import RowResults
from handlers.functions.rows import INLINE_BYTES, LATEST, Row, message
from handlers.functions.versions import VersionId

# Of transactions that others were faster with.
_ROUNDS = 6
_PAUSE_S = 0.03
_RESULT = "result"
# Cosmos DB keeps the name `etag` for itself ("Frequently asked questions about Azure Cosmos DB for Table").
_ETAG, _STORED_ETAG = "etag", "objectEtag"
# A message has 64 KiB, in base64 ("Put Message"), and holds more than a result: a key of 1,024 characters of six bytes each where JSON
# escapes them, say.
QUEUE_INLINE_BYTES = 65_536 // 4 * 3 - 8_192


class TableResults(RowResults):
    """Results in `table`, large ones as blobs of the container `large`; with a queue every one is sent to it as well."""

    def __init__(self, table: Table, blobs: Blobs, *, large: Place, task: str, queue: Queue | None = None) -> None:
        super().__init__(task=task, sends=queue is not None, inline_bytes=INLINE_BYTES if queue is None else QUEUE_INLINE_BYTES)
        self._table, self._blobs, self._large, self._queue = table, blobs, large, queue

    def newest(self, object_: str) -> str | None:
        """The sequencer of the newest version of an object that has a result; None without any. Raises Unavailable."""
        with guarded("The results can't be read"):
            pointer = self._table.get(key(object_), key(LATEST), only=("sequencer",))
        return None if pointer is None else str(pointer.properties["sequencer"])

    def _rows(self, ids: Sequence[VersionId]) -> list[Row]:
        with guarded("The results can't be read"):
            found = [self._table.get(key(object_), key(version)) for object_, version in ids]
        return [_row(entity) for entity in found if entity is not None]

    def _keep(self, name: str, body: bytes) -> str:
        with guarded("The result can't be stored"):
            self._blobs.write(f"{self._large.name}/{name}", body, content_type="application/json", only_new=True)
        return f"{self._large.account}/{self._large.name}/{name}"

    def _write(self, row: Row, event: str | None) -> Outcome:
        partition, own, latest = key(row.object), key(row.version), key(LATEST)
        # Nearly every object is new: what is there is read where this one turns out not to be.
        pointer: Entity | None = None
        for attempt in range(_ROUNDS):
            with guarded("The result can't be written"):
                if attempt:
                    time.sleep(random.uniform(0, _PAUSE_S * 2**attempt) if attempt > 1 else 0)  # noqa: S311 (spread, no secret)
                    if self._table.get(partition, own, only=("version",)) is not None:
                        return Outcome("known")
                    pointer = self._table.get(partition, latest, only=("sequencer",))
                operations = [Operation(Entity(partition, own, _properties(row)))]
                if pointer is None:
                    operations.append(Operation(Entity(partition, latest, row.latest())))
                elif str(pointer.properties["sequencer"]) < row.sequencer:
                    operations.append(Operation(Entity(partition, latest, row.latest()), etag=pointer.etag))
                if commit(self._table, operations) is not None:
                    return Outcome("recorded")
        return Outcome("failed", "The result can't be written: others write the same rows.")

    def _publish(self, rows: Sequence[Row]) -> list[Unavailable | None]:
        return [self._sent(row) for row in rows]

    def _sent(self, row: Row) -> Unavailable | None:
        assert self._queue is not None  # nothing is sent without one
        try:
            with guarded("The queue of results"):
                self._queue.put(message(row).encode())
        except Unavailable as error:
            return error
        return None

    def _mark(self, row: Row) -> None:
        with guarded("The table"):
            self._table.merge(Entity(key(row.object), key(row.version), {"published": True}), etag=ANY)


def _properties(row: Row) -> dict[str, Value]:
    told: dict[str, Value] = {_STORED_ETAG if name == _ETAG else name: each for name, each in row.attributes().items() if name != _RESULT}
    return told if row.result is None else told | in_parts(_RESULT, row.result)


def _row(entity: Entity) -> Row:
    told, whole = dict(entity.properties), of_parts(_RESULT, entity.properties)
    return Row.of_attributes({**told, _ETAG: told[_STORED_ETAG], **({} if whole is None else {_RESULT: whole})})

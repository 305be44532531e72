"""Idempotency-Key on Azure: entities in the table of the answers, in partitions `key-HASH`, which no answer's id can be."""

import time
from collections.abc import Callable
from typing import Any

from handlers.functions.azure.entities import Entity, in_parts, of_parts
from handlers.functions.azure.guarding import guarded
from handlers.functions.azure.tables import Table
from handlers.functions.keys import Fields, StoredOnce

# Row key of what is kept with a key.
ROW = "key"
_VALUE, _WHAT = "value", "The table of answers"


class TableOnce(StoredOnce[str]):
    """Keys in a table; the mark of a row is its ETag."""

    def __init__(self, *, table: Table, keep_s: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(keep_s=keep_s, now=now)
        self._table = table

    def _create(self, row: str, fields: Fields) -> str | None:
        with guarded(_WHAT):
            return self._table.insert(_entity(row, fields))

    def _read(self, row: str) -> tuple[Fields, str] | None:
        with guarded(_WHAT):
            found = self._table.get(row, ROW)
        return None if found is None else ({**found.properties, _VALUE: of_parts(_VALUE, found.properties)}, found.etag)

    def _replace(self, row: str, fields: Fields, mark: str) -> str | None:
        with guarded(_WHAT):
            return self._table.replace(_entity(row, fields), etag=mark)

    def _remove(self, row: str, mark: str) -> None:
        with guarded(_WHAT):
            self._table.delete(row, ROW, etag=mark)


def _entity(row: str, fields: Fields) -> Entity:
    told: dict[str, Any] = {**fields, "ends": float(fields["ends"]), "expires": float(fields["expires"])}
    return Entity(row, ROW, {**told, **in_parts(_VALUE, told[_VALUE])} if _VALUE in told else told)

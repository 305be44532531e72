"""The entities of an event stack's results: one per object version, large results fetched from where they lie.

docs/architecture.md, contract 7, has their form.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from handlers.functions.azure.entities import key, of_parts
from handlers.functions.rows import LATEST
from pilotlight.cli.azure.storage import Login, of_tables, told
from pilotlight.cli.clouds import Row, VersionId

# Entities of several partitions are asked for one by one.
AT_ONCE = 16


class TableRows:
    """The table of a stack that is up."""

    def __init__(self, login: Login, outputs: Mapping[str, Any]) -> None:
        self.table = f"{str(outputs['resultsDatabase']).rstrip('/')}/{outputs['resultsTable']}"
        self._bucket, self._login = str(outputs["objectsBucket"]), login
        self._entities, self._data = login.table(str(outputs["resultsDatabase"]), str(outputs["resultsTable"])), of_tables(self.table)

    def those(self, wanted: Iterable[VersionId]) -> dict[VersionId, Row]:
        """The rows of these versions, as far as they are there."""
        with told(f"The table {self.table} can't be read", data=self._data), ThreadPoolExecutor(AT_ONCE) as pool:
            found = [one for one in pool.map(self._one, wanted) if one is not None]
        rows = [self._row(one) for one in found]
        return {(row.object, row.version): row for row in rows}

    def of(self, key_: str) -> list[Row]:
        """The rows of one object, its newest version first."""
        rows = self._where("PartitionKey eq @object", {"object": key(f"{self._bucket}/{key_}")})
        return sorted(rows, key=lambda row: row.sequencer, reverse=True)

    def some(self, limit: int) -> list[Row]:
        """Up to `limit` rows of any objects, the oldest first; which ones, where there are more, is the table's to say."""
        rows = self._where("version ne @latest", {"latest": LATEST}, limit)
        return sorted(rows, key=lambda row: (row.at, row.object))

    def _one(self, wanted: VersionId) -> Mapping[str, Any] | None:
        from azure.core.exceptions import ResourceNotFoundError

        object_, version = wanted
        try:
            found: Mapping[str, Any] = self._entities.get_entity(key(object_), key(version))
        except ResourceNotFoundError:
            return None
        return found

    def _where(self, query: str, parameters: Mapping[str, str], limit: int | None = None) -> list[Row]:
        found: list[Mapping[str, Any]] = []
        with told(f"The table {self.table} can't be read", data=self._data):
            for one in self._entities.query_entities(query, parameters=dict(parameters)):
                if one["version"] != LATEST:
                    found.append(one)
                if len(found) == limit:
                    break
        return [self._row(one) for one in found]

    def _row(self, fields: Mapping[str, Any]) -> Row:
        text = of_parts("result", fields)
        return Row(
            object=str(fields["object"]),
            version=str(fields["version"]),
            sequencer=str(fields.get("sequencer", "")),
            at=str(fields.get("at", "")),
            task=str(fields.get("task", "")),
            request_id=str(fields.get("requestId", "")),
            result=_parsed(self._fetched(str(fields["resultUri"])) if text is None else text),
        )

    def _fetched(self, uri: str) -> str:
        """The text of a result that is too large for an entity."""
        with told(f"The result {uri} can't be read", data="Blob"):
            return str(self._login.blob(uri).download_blob().readall().decode())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

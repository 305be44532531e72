"""The documents of an event stack's results: one per object generation, large results fetched from where they lie.

docs/architecture.md, contract 7, has their form.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from pilotlight.cli.clouds import Row, VersionId
from pilotlight.cli.gcp.clients import PATIENCE_S, Api, firestore, told

# The document that names an object's newest generation; it holds no result.
LATEST = "#latest"
# Documents in one request: each holds up to 248 KiB of a result, and an answer of gRPC's has its limits.
BATCH = 100


class FirestoreRows:
    """The collection of a stack that is up."""

    def __init__(self, twin: Mapping[str, str] | None, outputs: Mapping[str, Any]) -> None:
        self.table = f"{outputs['resultsDatabase']}/{outputs['resultsTable']}"
        self._bucket, self._twin = str(outputs["objectsBucket"]), twin
        self._database = firestore(twin, str(outputs["project"]), str(outputs["resultsDatabase"]))
        self._documents = self._database.collection(str(outputs["resultsTable"]))

    def those(self, wanted: Iterable[VersionId]) -> dict[VersionId, Row]:
        """The rows of these versions, as far as they are there."""
        documents = [self._documents.document(_name(*id_)) for id_ in wanted]
        found: dict[VersionId, Row] = {}
        with told(f"The documents of {self.table} can't be read"):
            for start in range(0, len(documents), BATCH):
                for one in self._database.get_all(documents[start : start + BATCH], timeout=PATIENCE_S):
                    if one.exists:
                        row = self._row(one.to_dict())
                        found[row.object, row.version] = row
        return found

    def of(self, key: str) -> list[Row]:
        """The rows of one object, its newest version first."""
        rows = self._where("object", "==", f"{self._bucket}/{key}")
        return sorted(rows, key=lambda row: row.sequencer, reverse=True)

    def some(self, limit: int) -> list[Row]:
        """Up to `limit` rows of any objects, the oldest first; which ones, where there are more, is the database's to say."""
        rows = self._where("version", "!=", LATEST, limit)
        return sorted(rows, key=lambda row: (row.at, row.object))

    def _where(self, field: str, operator: str, value: str, limit: int | None = None) -> list[Row]:
        from google.cloud.firestore_v1.base_query import FieldFilter

        query = self._documents.where(filter=FieldFilter(field, operator, value))
        with told(f"The documents of {self.table} can't be read"):
            found = [one.to_dict() for one in (query if limit is None else query.limit(limit)).stream(timeout=PATIENCE_S)]
        return [self._row(fields) for fields in found if fields["version"] != LATEST]

    def _row(self, fields: Mapping[str, Any]) -> Row:
        return Row(
            object=str(fields["object"]),
            version=str(fields["version"]),
            sequencer=str(fields.get("sequencer", "")),
            at=str(fields.get("at", "")),
            task=str(fields.get("task", "")),
            request_id=str(fields.get("requestId", "")),
            result=_parsed(str(fields["result"]) if "result" in fields else self._fetched(str(fields["resultUri"]))),
        )

    def _fetched(self, uri: str) -> str:
        """The text of a result that is too large for a document."""
        place = urlsplit(uri)
        path = f"/storage/v1/b/{quote(place.netloc, safe='')}/o/{quote(place.path.lstrip('/'), safe='')}"
        with told(f"The result {uri} can't be read"):
            return Api("storage", self._twin).answer("GET", path, params={"alt": "media"}).content.decode()


def _name(object_: str, version: str) -> str:
    return f"{hashlib.sha256(object_.encode()).hexdigest()}-{version}"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

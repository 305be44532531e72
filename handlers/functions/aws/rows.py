"""The rows of the results table: what they hold, and how they are read. docs/architecture.md, contract 7, lists the attributes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions.outcomes import Unavailable
from handlers.functions.versions import VersionId

LATEST = "#latest"
# DynamoDB's BatchGetItem takes 100 keys (DynamoDB API reference, BatchGetItem).
_KEYS = 100
_ROUNDS = 4
_PAUSE_S = 0.05
# attribute -> (its field, its type in DynamoDB's JSON)
_ATTRIBUTES = {
    "object": ("object", "S"),
    "version": ("version", "S"),
    "sequencer": ("sequencer", "S"),
    "etag": ("etag", "S"),
    "size": ("size", "N"),
    "task": ("task", "S"),
    "at": ("at", "S"),
    "requestId": ("request_id", "S"),
    "result": ("result", "S"),
    "resultUri": ("result_uri", "S"),
    "published": ("published", "BOOL"),
}
Item = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One result. `result` is its JSON, or `result_uri` the object that holds it; `published` is None where there is no queue."""

    object: str
    version: str
    sequencer: str
    etag: str
    size: int
    task: str
    at: str
    request_id: str
    result: str | None = None
    result_uri: str | None = None
    published: bool | None = None

    @property
    def id(self) -> VersionId:
        return self.object, self.version

    def item(self) -> Item:
        """The row in DynamoDB's JSON; what is None is not in it."""
        values = {name: (getattr(self, field), kind) for name, (field, kind) in _ATTRIBUTES.items()}
        return {name: {kind: str(value) if kind == "N" else value} for name, (value, kind) in values.items() if value is not None}

    def pointer(self) -> Item:
        """The row that says that this version is its object's newest."""
        return key((self.object, LATEST)) | {"latest": {"S": self.version}, "sequencer": {"S": self.sequencer}, "at": {"S": self.at}}


def of_item(item: Item) -> Row:
    """The row that an item holds."""
    values = {field: item[name][kind] for name, (field, kind) in _ATTRIBUTES.items() if name in item}
    return Row(**values | {"size": int(values["size"])})


def key(id_: VersionId) -> Item:
    return {"object": {"S": id_[0]}, "version": {"S": id_[1]}}


def read_states(client: Any, table: str, ids: Sequence[VersionId], *, consistent: bool) -> dict[VersionId, bool | None]:
    """For each of these that has a row what it says in `published`; None where it says nothing. Raises Unavailable."""
    names = {"#object": "object", "#version": "version"}
    asked = {"ProjectionExpression": "#object, #version, published", "ExpressionAttributeNames": names}
    items = _read(client, table, ids, {"ConsistentRead": consistent, **asked})
    return {(item["object"]["S"], item["version"]["S"]): item.get("published", {}).get("BOOL") for item in items}


def read_rows(client: Any, table: str, ids: Sequence[VersionId]) -> list[Row]:
    """The rows as they are at this moment, in no order. Raises Unavailable."""
    return [of_item(item) for item in _read(client, table, ids, {"ConsistentRead": True})]


def _read(client: Any, table: str, ids: Sequence[VersionId], how: dict[str, Any]) -> Iterator[Item]:
    for start in range(0, len(ids), _KEYS):
        waiting: Any = {table: {"Keys": [key(id_) for id_ in ids[start : start + _KEYS]], **how}}
        for attempt in range(_ROUNDS):
            time.sleep(_PAUSE_S * attempt)
            try:
                answer = client.batch_get_item(RequestItems=waiting)
            except (ClientError, BotoCoreError) as error:
                raise Unavailable(f"The results can't be read: {error}") from error
            yield from answer["Responses"].get(table, [])
            waiting = answer.get("UnprocessedKeys")
            if not waiting:
                break
        else:
            raise Unavailable("The results can't be read: the table answers only in part.")

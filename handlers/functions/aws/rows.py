"""The rows of the results table: what they hold, and how they are read. docs/architecture.md, contract 7, lists the attributes."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import rows
from handlers.functions.outcomes import Unavailable
from handlers.functions.versions import VersionId

# DynamoDB's BatchGetItem takes 100 keys (DynamoDB API reference, BatchGetItem).
_KEYS = 100
_ROUNDS = 4
_PAUSE_S = 0.05
# Types in DynamoDB's JSON; the others are texts.
_KINDS = {"size": "N", "published": "BOOL"}
Item = dict[str, dict[str, Any]]


class Row(rows.Row):
    """A result's row in DynamoDB's JSON."""

    def item(self) -> Item:
        return {name: _value(name, value) for name, value in self.attributes().items()}

    def pointer(self) -> Item:
        """The row that says that this version is its object's newest."""
        return {name: _value(name, value) for name, value in self.latest().items()}


def of_item(item: Item) -> Row:
    """The row that an item holds."""
    values = {name: next(iter(value.values())) for name, value in item.items()}
    return Row.of_attributes(values | {"size": int(values["size"])})


def _value(name: str, value: object) -> dict[str, Any]:
    kind = _KINDS.get(name, "S")
    return {kind: str(value) if kind == "N" else value}


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

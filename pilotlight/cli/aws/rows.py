"""The rows of an event stack's results table: one per object version, large results fetched from where they lie."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pilotlight.cli.aws.clients import client, told
from pilotlight.cli.clouds import Row, VersionId
from pilotlight.cli.session import Session

# The row that names an object's newest version; it holds no result.
LATEST = "#latest"
# DynamoDB API reference: BatchGetItem takes 100 keys.
BATCH = 100


class Rows:
    """The table of a stack that is up."""

    def __init__(self, session: Session, outputs: Mapping[str, Any]) -> None:
        region = str(outputs["region"])
        self.table, self.bucket = str(outputs["resultsTable"]), str(outputs["objectsBucket"])
        self._dynamodb, self._s3 = client("dynamodb", session, region), client("s3", session, region)

    def those(self, wanted: Iterable[VersionId]) -> dict[VersionId, Row]:
        """The rows of these versions, as far as they are there."""
        left = list(wanted)
        found: dict[VersionId, Row] = {}
        while left:
            keys = [{"object": {"S": object_}, "version": {"S": version}} for object_, version in left[:BATCH]]
            with told(f"The table {self.table} can't be read"):
                answer = self._dynamodb.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
            rows = [self._row(item) for item in answer["Responses"].get(self.table, [])]
            found |= {(row.object, row.version): row for row in rows}
            again = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            left = [(key["object"]["S"], key["version"]["S"]) for key in again] + left[BATCH:]
        return found

    def of(self, key: str) -> list[Row]:
        """The rows of one object, its newest version first."""
        with told(f"The table {self.table} can't be read"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self.table,
                KeyConditionExpression="#object = :object",
                ExpressionAttributeNames={"#object": "object"},
                ExpressionAttributeValues={":object": {"S": f"{self.bucket}/{key}"}},
                ConsistentRead=True,
            )
            return sorted(self._rows(pages), key=lambda row: row.sequencer, reverse=True)

    def some(self, limit: int) -> list[Row]:
        """Up to `limit` rows of any objects, the oldest first; which ones, where there are more, is the table's to say."""
        with told(f"The table {self.table} can't be read"):
            pages = self._dynamodb.get_paginator("scan").paginate(
                TableName=self.table,
                FilterExpression="#version <> :latest",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":latest": {"S": LATEST}},
            )
            found: list[Row] = []
            for row in self._rows(pages):
                found.append(row)
                if len(found) == limit:
                    break
            return sorted(found, key=lambda row: (row.at, row.object))

    def _rows(self, pages: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        for page in pages:
            for item in page["Items"]:
                if item["version"]["S"] != LATEST:
                    yield self._row(item)

    def _row(self, item: Mapping[str, Any]) -> Row:
        texts = {name: str(next(iter(value.values()))) for name, value in item.items()}
        return Row(
            object=texts["object"],
            version=texts["version"],
            sequencer=texts.get("sequencer", ""),
            at=texts.get("at", ""),
            task=texts.get("task", ""),
            request_id=texts.get("requestId", ""),
            result=_parsed(texts["result"] if "result" in texts else self._fetched(texts["resultUri"])),
        )

    def _fetched(self, uri: str) -> str:
        """The text of a result that is too large for a row."""
        place = urlsplit(uri)
        with told(f"The result {uri} can't be read"):
            body = self._s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"]
            return str(body.read().decode())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

"""One row per object version in DynamoDB, and one row per object that points to its newest version.

Why there is no lock: docs/decisions/0004-one-result-per-object-version.md.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import outcomes
from handlers.functions.aws.outbox import Outbox
from handlers.functions.aws.rows import Row, read_rows, read_states
from handlers.functions.aws.transactions import chunks, write
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.pipeline import PARALLEL
from handlers.functions.rows import INLINE_BYTES, large_name
from handlers.functions.versions import ObjectVersion, Result, VersionId


class TableResults:
    """Results in the table `table`, large ones in `bucket`; with an outbox every row is sent to its queue as well."""

    def __init__(self, dynamodb: Any, s3: Any, *, table: str, bucket: str, task: str, outbox: Outbox | None = None) -> None:
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table = table
        self._bucket = bucket
        self._task = task
        self._outbox = outbox
        self._writers = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="results")

    def settled(self, versions: Sequence[ObjectVersion]) -> dict[VersionId, Outcome]:
        """Those that have a row, sent by now where there is a queue. Raises Unavailable when the table can't be read."""
        return self._settled([version.id for version in versions], consistent=False)

    def record(self, results: Sequence[Result]) -> dict[VersionId, Outcome]:
        """A row for each result that has none, in as few transactions as they fit in, then the messages."""
        made = dict(zip((result.version.id for result in results), self._writers.map(self._row, results), strict=True))
        rows = [row for row in made.values() if isinstance(row, Row)]
        found = {id_: row for id_, row in made.items() if isinstance(row, Outcome)}
        for layer in _layers(rows):
            for written in self._writers.map(lambda part: write(self._dynamodb, self._table, part), chunks(layer)):
                found |= written
        if self._outbox is None:
            return found
        found |= self._outbox.send([row for row in rows if found[row.id].kind == "recorded"])
        # Another worker was first with these: what it may have left undone is done here.
        others = [row.id for row in rows if found[row.id].kind == "known"]
        try:
            return found | self._settled(others, consistent=True)
        except Unavailable as error:
            return found | dict.fromkeys(others, outcomes.of(error))

    def _settled(self, ids: Sequence[VersionId], *, consistent: bool) -> dict[VersionId, Outcome]:
        states = read_states(self._dynamodb, self._table, ids, consistent=consistent)
        found = dict.fromkeys(states, Outcome("known"))
        unsent = [id_ for id_, published in states.items() if published is False]
        if self._outbox is not None and unsent:
            rows = read_rows(self._dynamodb, self._table, unsent)
            found |= self._outbox.send([row for row in rows if row.published is False])
        return found

    def _row(self, result: Result) -> Row | Outcome:
        """The result's row, once what is too large for it is stored."""
        body, uri = result.body.encode(), None
        if len(body) > INLINE_BYTES:
            name = large_name(result.version, body)
            try:
                self._s3.put_object(Bucket=self._bucket, Key=name, Body=body, ContentType="application/json")
            except (ClientError, BotoCoreError) as error:
                return Outcome("failed", f"The result can't be stored: {error}")
            uri = f"s3://{self._bucket}/{name}"
        return Row.of(result, task=self._task, result_uri=uri, published=None if self._outbox is None else False)


def _layers(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows so that each part has one version of an object at most, and an older one comes in an earlier part.

    Two versions in one transaction would both write the object's pointer, which DynamoDB refuses.
    """
    layers: list[list[Row]] = []
    depth: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row.sequencer):
        place = depth[row.object] = depth.get(row.object, -1) + 1
        if place == len(layers):
            layers.append([])
        layers[place].append(row)
    return layers

"""Results as messages: the rows of the table are the outbox, from which each is sent at least once.

Source of the limits: SQS API reference, SendMessageBatch (10 messages and, for a queue as it is by default, 262,144 bytes).
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import outcomes, rows
from handlers.functions.aws.rows import Row, key
from handlers.functions.aws.transactions import LOST, MAX_ROWS, transact
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.versions import VersionId

MAX_MESSAGES = 10
MAX_BYTES = 262_144
# Another worker that was sent the same object may mark it at the same moment.
_ROUNDS = 4
_PAUSE_S = 0.05


class Outbox:
    """The queue `queue_url` behind the rows of `table`."""

    def __init__(self, sqs: Any, dynamodb: Any, *, queue_url: str, table: str) -> None:
        self._sqs = sqs
        self._dynamodb = dynamodb
        self._queue_url = queue_url
        self._table = table

    def send(self, rows: Sequence[Row]) -> dict[VersionId, Outcome]:
        """Send a message for each row and mark it. What could not be sent or marked is a failure, to be sent again."""
        failed: dict[VersionId, Outcome] = {}
        for messages in _batches(rows):
            failed |= self._send(messages)
        sent = [row for row in rows if row.id not in failed]
        for start in range(0, len(sent), MAX_ROWS):
            failed |= self._mark(sent[start : start + MAX_ROWS])
        return failed

    def _send(self, messages: Sequence[tuple[Row, str]]) -> dict[VersionId, Outcome]:
        entries = [{"Id": str(place), "MessageBody": body} for place, (_, body) in enumerate(messages)]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            return dict.fromkeys((row.id for row, _ in messages), outcomes.of(Unavailable(f"The result can't be sent: {error}")))
        return {
            messages[int(entry["Id"])][0].id: Outcome(
                "failed", f"The result can't be sent: {entry.get('Code')}: {entry.get('Message', '')}"
            )
            for entry in answer.get("Failed", [])
        }

    def _mark(self, rows: Sequence[Row]) -> dict[VersionId, Outcome]:
        waiting = list(rows)
        for attempt in range(_ROUNDS):
            time.sleep(_PAUSE_S * attempt)
            try:
                reasons = transact(self._dynamodb, [self._marked(row) for row in waiting])
            except Unavailable as error:
                return dict.fromkeys((row.id for row in waiting), outcomes.of(error))
            # A row that is gone needs no mark.
            waiting = [row for row, reason in zip(waiting, reasons, strict=False) if reason != LOST]
            if not waiting:
                return {}
        return dict.fromkeys((row.id for row in waiting), Outcome("failed", "The result was sent and can't be marked so."))

    def _marked(self, row: Row) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self._table,
                "Key": key(row.id),
                "UpdateExpression": "SET published = :sent",
                "ConditionExpression": "attribute_exists(#object)",
                "ExpressionAttributeNames": {"#object": "object"},
                "ExpressionAttributeValues": {":sent": {"BOOL": True}},
            }
        }


def message(row: Row) -> str:
    """A result's message as SQS takes it."""
    return _allowed(rows.message(row))


def _allowed(text: str) -> str:
    """JSON without the two characters that it may hold as they are and a message may not (SQS API reference, SendMessage)."""
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _batches(rows: Sequence[Row]) -> Iterator[list[tuple[Row, str]]]:
    batch: list[tuple[Row, str]] = []
    size = 0
    for row in rows:
        body = message(row)
        weight = len(body.encode())
        if batch and (len(batch) == MAX_MESSAGES or size + weight > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((row, body))
        size += weight
    if batch:
        yield batch

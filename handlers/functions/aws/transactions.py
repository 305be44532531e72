"""Rows of results in as few transactions as they fit in; each is written once, whoever tries.

Source of the limits and of the reasons of a cancellation: DynamoDB API reference, TransactWriteItems.
"""

import random
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import outcomes
from handlers.functions.aws.rows import Row
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.versions import VersionId

# 100 actions, two a row, and 4 MB; less than that, for what a row has beside its result.
MAX_ROWS = 50
MAX_BYTES = 3_000_000
# Rounds in a row that bring nothing on: another transaction holds an item, or the table has no capacity left.
_ROUNDS = 6
_PAUSE_S = 0.03
LOST = "ConditionalCheckFailed"
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "None"}


def chunks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in parts that fit a transaction each."""
    parts: list[list[Row]] = []
    size = 0
    for row in rows:
        weight = len((row.result or "").encode())
        if not parts or len(parts[-1]) == MAX_ROWS or size + weight > MAX_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += weight
    return parts


def write(client: Any, table: str, rows: Sequence[Row]) -> dict[VersionId, Outcome]:
    """Write each row that is not there, and with it the pointer to its version where that is its object's newest.

    A row and its pointer are written together or not at all. No two rows may be of one object.
    """
    found: dict[VersionId, Outcome] = {}
    pointing = {row.id: row for row in rows}
    waiting = dict(pointing)
    idle = 0
    while waiting:
        actions = [(row, pointer) for row in waiting.values() for pointer in ((False, True) if row.id in pointing else (False,))]
        try:
            reasons = transact(client, [_pointer(table, row) if pointer else _row(table, row) for row, pointer in actions])
        except Unavailable as error:
            return found | dict.fromkeys(waiting, outcomes.of(error))
        if not reasons:
            return found | dict.fromkeys(waiting, Outcome("recorded"))
        before = len(waiting), len(pointing)
        for (row, pointer), reason in zip(actions, reasons, strict=True):
            if reason == LOST:
                # Its version has a row already; or only the pointer lost, to a newer version, and the row goes alone.
                (pointing if pointer else waiting).pop(row.id, None)
                if not pointer:
                    found[row.id] = Outcome("known")
            elif reason not in _PASSING:
                waiting.pop(row.id, None)
                found[row.id] = Outcome("failed", f"The result can't be written: {reason}.")
        idle = idle + 1 if (len(waiting), len(pointing)) == before else 0
        if idle == _ROUNDS:
            return found | dict.fromkeys(waiting, Outcome("failed", "The result can't be written: others write the same rows."))
        time.sleep(random.uniform(0, _PAUSE_S * 2**idle) if idle else 0)  # noqa: S311 (spread, no secret)
    return found


def transact(client: Any, actions: Sequence[dict[str, Any]]) -> list[str]:
    """Nothing when all was written, else why nothing was: a code for each action. Raises Unavailable."""
    try:
        client.transact_write_items(TransactItems=actions)
    except ClientError as error:
        response: Any = error.response
        if response["Error"].get("Code") == "TransactionCanceledException" and response.get("CancellationReasons"):
            return [str(reason.get("Code")) for reason in response["CancellationReasons"]]
        raise Unavailable(f"The result can't be written: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"The result can't be written: {error}") from error
    return []


def _row(table: str, row: Row) -> dict[str, Any]:
    names = {"#object": "object"}
    return {"Put": _put(table, row.item()) | {"ConditionExpression": "attribute_not_exists(#object)", "ExpressionAttributeNames": names}}


def _pointer(table: str, row: Row) -> dict[str, Any]:
    condition = "attribute_not_exists(#object) OR #sequencer < :sequencer"
    names = {"#object": "object", "#sequencer": "sequencer"}
    values = {":sequencer": {"S": row.sequencer}}
    bound = {"ConditionExpression": condition, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return {"Put": _put(table, row.pointer()) | bound}


def _put(table: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"TableName": table, "Item": item}

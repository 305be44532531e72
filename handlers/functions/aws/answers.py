"""Answers that come later, on AWS: bodies in S3, rows in DynamoDB, the worker's messages in SQS.

Requests lie under `requests/ID`, answers under `answers/ID`; both expire by the bucket's lifecycle, rows by the table's TTL on
`expires`. Reads of a row are consistent, so that a client that was just told an address finds it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions.answers import Ending, Row
from handlers.functions.outcomes import Unavailable

# What one call may take: a caller waits behind it, and the second attempt goes over a new connection.
CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 2
ATTEMPTS = 2
Values = dict[str, dict[str, str]]
ID, STATE, EXPIRES = "id", "status", "expires"
ATTEMPTS_END, LAST_ATTEMPT_ENDS = "attemptsEnd", "lastAttemptEnds"
# Errors that are answers in themselves. S3 gives the first one only to who may list the bucket, else 403 (GetObject, API reference);
# the last one says that the object is there (PutObject with If-None-Match, API reference).
_ANSWERS = ("NoSuchKey", "ConditionalCheckFailedException", "PreconditionFailed")


def make_client(service: str) -> Any:
    """The one client of a service in this process, impatient enough for a call that a client waits for."""
    import boto3  # here, so that tests of everything else need no region
    from botocore.config import Config

    boto: Any = boto3  # its types know services by literal names only
    retries: Any = {"total_max_attempts": ATTEMPTS, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries, tcp_keepalive=True)
    return boto.client(service, config=config)


class AwsAnswerStore:
    """An AnswerStore; a worker's has no queue to send to."""

    def __init__(self, *, table: str, bucket: str, dynamodb: Any, s3: Any, queue_url: str = "", sqs: Any = None) -> None:
        self._table, self._bucket, self._queue_url = table, bucket, queue_url
        self._dynamodb, self._s3, self._sqs = dynamodb, s3, sqs

    def put_request(self, answer_id: str, body: bytes) -> None:
        self._put(f"requests/{answer_id}", body)

    def request(self, answer_id: str) -> bytes | None:
        return self._get(f"requests/{answer_id}")

    def put_answer(self, answer_id: str, body: str) -> None:
        """Once: of two workers the first one is believed, and what was fetched does not change."""
        try:
            self._put(f"answers/{answer_id}", body.encode(), IfNoneMatch="*")
        except ClientError:
            return

    def answer(self, answer_id: str) -> str | None:
        body = self._get(f"answers/{answer_id}")
        return None if body is None else body.decode()

    def put_row(self, row: Row) -> None:
        item = {ID: {"S": row.id}, STATE: {"S": "pending"}, "owner": {"S": row.owner}, "requestId": {"S": row.request_id}}
        numbers = {"at": {"N": f"{row.at:.3f}"}, EXPIRES: {"N": str(row.expires)}}
        with _guarded("DynamoDB"):
            self._dynamodb.put_item(TableName=self._table, Item=item | numbers)

    def row(self, answer_id: str) -> Row | None:
        with _guarded("DynamoDB"):
            found = self._dynamodb.get_item(TableName=self._table, Key={ID: {"S": answer_id}}, ConsistentRead=True)
        return _row(found["Item"]) if "Item" in found else None

    def send(self, answer_id: str, request_id: str) -> None:
        body = json.dumps({"id": answer_id, "requestId": request_id})
        with _guarded("SQS"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)

    def put_end(self, answer_id: str, ends: float, *, last: bool) -> None:
        self._update(answer_id, f"SET {LAST_ATTEMPT_ENDS if last else ATTEMPTS_END} = :ends", {":ends": {"N": f"{ends:.3f}"}})

    def waits(self) -> bool:
        waiting = "ApproximateNumberOfMessages"
        with _guarded("SQS"):
            found = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=[waiting])
        return int(found["Attributes"][waiting]) > 0

    def settle(self, answer_id: str, ending: Ending, expires: int) -> bool:
        """A `done` row stays as it is: of two workers the first one is believed, and a failure after it changes nothing."""
        values: Values = {
            ":state": {"S": ending.state},
            ":code": {"N": str(ending.status)},
            ":type": {"S": ending.content_type},
            ":expires": {"N": str(expires)},
        }
        setting = "SET #status = :state, answerStatus = :code, contentType = :type, expires = :expires"
        ends = f"{ATTEMPTS_END}, {LAST_ATTEMPT_ENDS}"
        if ending.document is None:
            return self._update(answer_id, f"{setting} REMOVE problem, {ends}", values)
        return self._update(answer_id, f"{setting}, problem = :problem REMOVE {ends}", {**values, ":problem": {"S": ending.document}})

    def _update(self, answer_id: str, expression: str, values: Values) -> bool:
        try:
            with _guarded("DynamoDB"):
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={ID: {"S": answer_id}},
                    UpdateExpression=expression,
                    ConditionExpression="attribute_exists(id) AND #status <> :done",
                    ExpressionAttributeNames={"#status": STATE},
                    ExpressionAttributeValues={**values, ":done": {"S": "done"}},
                )
        except ClientError:
            return False
        return True

    def _put(self, key: str, body: bytes, **condition: str) -> None:
        with _guarded("S3"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **condition)

    def _get(self, key: str) -> bytes | None:
        try:
            with _guarded("S3"):
                body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError:
            return None
        return body


@contextmanager
def _guarded(service: str) -> Iterator[None]:
    """Turns an error into Unavailable; the ClientErrors that are answers stay."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        if code in _ANSWERS:
            raise
        raise Unavailable(f"{service}: {code}: {error.response['Error'].get('Message', '')}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{service}: {type(error).__name__}: {error}") from error


def _row(item: dict[str, Any]) -> Row:
    state = item[STATE]["S"]
    ending = None
    if state in ("done", "failed"):
        document = item.get("problem", {}).get("S")
        ending = Ending(state=state, status=int(item["answerStatus"]["N"]), content_type=item["contentType"]["S"], document=document)
    return Row(
        id=item[ID]["S"],
        owner=item["owner"]["S"],
        request_id=item["requestId"]["S"],
        at=float(item["at"]["N"]),
        expires=int(item[EXPIRES]["N"]),
        ending=ending,
        attempts_end=_seconds(item, ATTEMPTS_END),
        last_attempt_ends=_seconds(item, LAST_ATTEMPT_ENDS),
    )


def _seconds(item: dict[str, Any], name: str) -> float | None:
    return float(item[name]["N"]) if name in item else None

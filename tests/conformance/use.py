"""How a deployed stack is used, by pattern and not by platform: one text in, its answer out; and many at a steady rate."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from boto3.dynamodb.types import TypeDeserializer

from tests.support.clients import client
from tests.support.deployment import Deployment, post
from tests.support.load import at_a_steady_rate, calling

# From a cold start to the row, on a machine that is busy with other tests.
RESULT_S = 60


@dataclass
class Done:
    """What a steady use was answered: how many were right, and what the others said."""

    right: int = 0
    failed: list[str] = field(default_factory=list)


class Use(Protocol):
    def answer(self, text: str) -> Any:
        """The model's outputs for one text. Fails the test when none comes."""

    def steadily(self, per_second: float) -> Any:
        """A context in which texts go in at a fixed rate; it gives a `Done` that is complete when the context has ended."""


class ApiUse:
    """POST /predict."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs

    def answer(self, text: str) -> Any:
        answer = post(self._outputs, {"inputs": text})
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]

    @contextmanager
    def steadily(self, per_second: float) -> Iterator[Done]:
        done = Done()
        with calling(self._outputs, per_second=per_second) as calls:
            yield done
        done.right = calls.statuses.get(200, 0)
        done.failed = [f"{status} x {calls.statuses[status]}: {body}" for status, body in calls.failed.items()]


class EventsUse:
    """An object in the bucket, its row in the table."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        self._s3, self._dynamodb, self._sqs = (client(deployment.variables(), name) for name in ("s3", "dynamodb", "sqs"))

    def answer(self, text: str) -> Any:
        row = self._row(*self._put(text))
        assert row is not None, f"no row within {RESULT_S} s"
        if "result" in row:
            return json.loads(row["result"])["outputs"]
        bucket, _, key = row["resultUri"].removeprefix("s3://").partition("/")
        return json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())["outputs"]

    @contextmanager
    def steadily(self, per_second: float) -> Iterator[Done]:
        done = Done()
        with at_a_steady_rate(lambda: self._put("a steady uploader"), per_second=per_second) as uploads:
            yield done
        done.failed = [repr(error) for error in uploads.errors]
        for identity in uploads.results:
            if self._row(*identity) is None:
                done.failed.append(f"{identity} has no row")
            else:
                done.right += 1
        if dead := self._dead():
            done.failed.append(f"{dead} dead letters")

    def _put(self, text: str) -> tuple[str, str]:
        bucket, key = self._outputs["objectsBucket"], f"{uuid.uuid4()}.txt"
        version = self._s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/plain")["VersionId"]
        return f"{bucket}/{key}", version

    def _row(self, name: str, version: str) -> dict[str, Any] | None:
        read, deadline = TypeDeserializer().deserialize, time.monotonic() + RESULT_S
        asked = {"TableName": self._outputs["resultsTable"], "Key": {"object": {"S": name}, "version": {"S": version}}}
        while time.monotonic() < deadline:
            item = self._dynamodb.get_item(**asked, ConsistentRead=True).get("Item")
            if item is not None:
                return {attribute: read(value) for attribute, value in item.items()}
            time.sleep(0.1)
        return None

    def _dead(self) -> int:
        asked = {"QueueUrl": self._outputs["deadLetterQueueUrl"], "AttributeNames": ["ApproximateNumberOfMessages"]}
        return int(self._sqs.get_queue_attributes(**asked)["Attributes"]["ApproximateNumberOfMessages"])


def use_of(pattern: str, deployment: Deployment, outputs: Mapping[str, Any]) -> Use:
    """The use of a stack of this pattern."""
    return ApiUse(outputs) if pattern == "api" else EventsUse(deployment, outputs)

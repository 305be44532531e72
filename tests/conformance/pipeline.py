"""A deployed event pipeline as its users see it: objects in, rows and messages out, dead letters. Each cloud has its own half."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from tests.storm.verdict import LATEST, WAITING, dead_letters, newest, rows_of
from tests.support.clients import client
from tests.support.deployment import Deployment

# From a cold start to the row, on a machine that is busy with other tests.
RESULT_S = 60
Identity = tuple[str, str]


class Pipeline(ABC):
    """One stack that is up."""

    @abstractmethod
    def put(self, key: str, body: bytes, content_type: str = "text/plain") -> Identity:
        """Upload an object; gives what its row is found by."""

    @abstractmethod
    def assert_gone(self) -> None:
        """Where objects went in is not there any more, in the words that the cloud has for that."""

    @abstractmethod
    def look(self, identity: Identity) -> dict[str, Any] | None:
        """The version's row if it is there."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Every row, those that point to an object's newest version included."""

    @abstractmethod
    def live(self) -> dict[str, str]:
        """bucket/key -> the version that the bucket itself has as the newest, of every object."""

    @abstractmethod
    def newest(self, name: str) -> str | None:
        """The version of an object (`bucket/key`) that its rows say is the newest; None without any."""

    @abstractmethod
    def messages(self) -> list[dict[str, Any]]:
        """Every result in the queue of results, taken out of it."""

    @abstractmethod
    def dead(self) -> list[Identity]:
        """The versions among the dead letters, which stay there."""

    @abstractmethod
    def fetched(self, uri: str) -> bytes:
        """A result that is too large for a row."""

    def row(self, identity: Identity) -> dict[str, Any] | None:
        """The version's row, waited for; None when it does not come."""
        deadline = time.monotonic() + RESULT_S
        while time.monotonic() < deadline:
            if (row := self.look(identity)) is not None:
                return row
            time.sleep(0.1)
        return None

    def answer(self, row: Mapping[str, Any]) -> Any:
        """The model's outputs that a row or a message holds or names."""
        held = row.get("result")
        if held is None:
            held = self.fetched(row["resultUri"])
        return (json.loads(held) if isinstance(held, str | bytes) else held)["outputs"]


class AwsPipeline(Pipeline):
    """S3, SQS and DynamoDB."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any], **patience: int) -> None:
        """`patience` is that of its clients (`tests.support.clients`)."""
        self._outputs = outputs
        variables = deployment.variables()
        self._s3, self._dynamodb, self._sqs = (client(variables, name, **patience) for name in ("s3", "dynamodb", "sqs"))

    def put(self, key: str, body: bytes, content_type: str = "text/plain") -> Identity:
        bucket = self._outputs["objectsBucket"]
        version = self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)["VersionId"]
        return f"{bucket}/{key}", version

    def assert_gone(self) -> None:
        with pytest.raises(ClientError) as raised:
            self.put("anyone.txt", b"anyone?")
        assert raised.value.response["Error"]["Code"] == "NoSuchBucket", raised.value

    def look(self, identity: Identity) -> dict[str, Any] | None:
        asked = {"TableName": self._outputs["resultsTable"], "Key": {"object": {"S": identity[0]}, "version": {"S": identity[1]}}}
        item = self._dynamodb.get_item(**asked, ConsistentRead=True).get("Item")
        return None if item is None else {attribute: TypeDeserializer().deserialize(value) for attribute, value in item.items()}

    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self._dynamodb, self._outputs["resultsTable"])

    def live(self) -> dict[str, str]:
        return newest(self._s3, self._outputs["objectsBucket"])

    def newest(self, name: str) -> str | None:
        row = self.look((name, LATEST))
        return None if row is None else str(row["latest"])

    def fetched(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def messages(self) -> list[dict[str, Any]]:
        url, found = self._outputs["resultsQueueUrl"], []
        while taken := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in taken:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def dead(self) -> list[Identity]:
        return dead_letters(self._sqs, self._outputs["deadLetterQueueUrl"])

    def waiting(self, queue: str = "queueUrl") -> int:
        """Messages that wait or are under way, in the queue of that output."""
        found = self._sqs.get_queue_attributes(QueueUrl=self._outputs[queue], AttributeNames=list(WAITING))["Attributes"]
        return sum(int(number) for number in found.values())

    @property
    def unseen_s(self) -> int:
        """Seconds after which a message whose attempt left no word is seen again."""
        asked = {"QueueUrl": self._outputs["queueUrl"], "AttributeNames": ["VisibilityTimeout"]}
        return int(self._sqs.get_queue_attributes(**asked)["Attributes"]["VisibilityTimeout"])


def pipeline_of(deployment: Deployment, outputs: Mapping[str, Any]) -> Pipeline:
    """The half of the cloud that the stack is in."""
    if str(outputs["platform"]).startswith("gcp-"):
        # Imported here: its clients take a second to import.
        from tests.conformance.pipeline_gcp import GooglePipeline

        return GooglePipeline(deployment, outputs)
    if str(outputs["platform"]).startswith("azure-"):
        from tests.conformance.pipeline_azure import AzurePipeline

        return AzurePipeline(deployment, outputs)
    return AwsPipeline(deployment, outputs)

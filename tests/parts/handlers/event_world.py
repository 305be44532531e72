"""AWS in this process for the event function: buckets, table and queue of moto, and a model that can be told to fail."""

import functools
import itertools
import json
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote_plus

import boto3
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from handlers.functions import problems
from handlers.functions.aws.batches import BatchFunction
from handlers.functions.aws.clients import Clients
from handlers.functions.aws.event_settings import EventSettings
from handlers.functions.environment import Environment

BUCKET, RESULTS_BUCKET, TABLE = "mine-objects", "mine-results", "mine-results"
# As in the ready stacks.
UNSEEN_S = 768
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@dataclass(frozen=True)
class Answer:
    body: bytes
    cold_start: dict


class Model:
    """Answers one vector a text, [its length]; texts that begin with "bad" are refused, "broken" ones fail the model."""

    def __init__(self, *, max_answer_bytes=1 << 20):
        self.requests = []
        self.failing = None
        self.cold_start = {}
        self.max_answer_bytes = max_answer_bytes

    def invoke(self, body, *, request_id, budget_s):
        asked = json.loads(body)
        self.requests.append(asked)
        if self.failing is not None:
            raise self.failing
        texts = asked["inputs"]
        if isinstance(texts, dict):
            return Answer(b'{"outputs":[0.25]}', {})
        for text in texts:
            if text.startswith("bad"):
                raise problems.InputRefused(f"{text} is not what the model takes.")
            if text.startswith("broken"):
                raise problems.ModelFailed("The model failed to answer.")
        answer = json.dumps({"outputs": [[len(text)] for text in texts]}, separators=(",", ":")).encode()
        if len(answer) > self.max_answer_bytes:
            raise problems.AnswerTooLarge("The answer is too large.")
        cold_start, self.cold_start = self.cold_start, {}
        return Answer(answer, cold_start)

    @property
    def texts(self):
        return [request["inputs"] for request in self.requests]


class Context:
    """The part of Lambda's context that the function reads."""

    aws_request_id = "lambda-request"

    def __init__(self, remaining_ms=60_000):
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self):
        return self.remaining_ms


@functools.cache
def client(service):
    """One client for all tests, since each takes a quarter of a second to make; moto looks into every request anyway."""
    return boto3.client(service, **KEYS)


class OneAtATime:
    """A client for one thread at a time: moto copies its tables for a transaction, which can't bear a second writer."""

    def __init__(self, client):
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name):
        call = getattr(self._client, name)

        def alone(**arguments):
            with self._lock:
                return call(**arguments)

        return alone


class World:
    """What the function finds on AWS, as a test arranges and reads it."""

    def __init__(self, *, versioned=True, clients=None):
        made = clients or {name: client(name) for name in ("s3", "dynamodb", "sqs")}
        self.s3, self.dynamodb, self.sqs = made["s3"], OneAtATime(made["dynamodb"]), made["sqs"]
        for bucket in (BUCKET, RESULTS_BUCKET):
            self.s3.create_bucket(Bucket=bucket)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "object", "KeyType": "HASH"}, {"AttributeName": "version", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("object", "version")],
            BillingMode="PAY_PER_REQUEST",
        )
        self.queue_url = self.sqs.create_queue(QueueName="mine-results")["QueueUrl"]
        self.events_url = self.sqs.create_queue(QueueName="mine-events", Attributes={"VisibilityTimeout": str(UNSEEN_S)})["QueueUrl"]
        self.model = Model()
        self._sequencers = itertools.count(0x62E99A88DC407460)

    def variables(self, results="table"):
        """What the stack tells the function."""
        return {
            "EVENTS_QUEUE_URL": self.events_url,
            "EVENTS_UNSEEN_S": str(UNSEEN_S),
            "RESULTS": results,
            "RESULTS_TABLE": TABLE,
            "RESULTS_BUCKET": RESULTS_BUCKET,
            "RESULTS_QUEUE_URL": self.queue_url,
            "SERVICE": "mine",
        }

    def function(
        self, *, clients=None, results="table", task="sentence-embedding", max_body_bytes=4096, max_inputs=256, timeout_s=10, **variables
    ):
        """The function as its handler makes it, over these clients and this model."""
        environment = Environment(self.variables(results) | variables)
        limits = {"max_inputs": max_inputs, "max_body_bytes": max_body_bytes, "timeout_s": timeout_s}
        settings = EventSettings.read(environment, task=task, **limits)
        environment.check()
        clients = clients or Clients(s3=self.s3, dynamodb=self.dynamodb, sqs=self.sqs, pauses=self.sqs)
        return BatchFunction(settings, clients, self.model)

    def put(self, key, body="some text", content_type=None):
        """Store an object; returns the record of S3's notification for it."""
        body = body if isinstance(body, bytes) else body.encode()
        extra = {"ContentType": content_type} if content_type else {}
        stored = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **extra)
        found = {"key": quote_plus(key, safe="/"), "size": len(body), "eTag": stored["ETag"].strip('"')}
        found |= {"sequencer": f"{next(self._sequencers):016X}"} | ({"versionId": stored["VersionId"]} if "VersionId" in stored else {})
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper()},
            "s3": {"bucket": {"name": BUCKET}, "object": found},
        }

    def taken(self, *bodies, attempt=1):
        """The records of these messages when they are received for the `attempt`th time, as a mapping hands them over."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.events_url, MessageBody=body)
        for _ in range(attempt):
            for waiting in events_queue()._messages:
                waiting.visible_at = 0
            asked = {"MaxNumberOfMessages": 10, "AttributeNames": ["ApproximateReceiveCount"]}
            found = []
            while more := self.sqs.receive_message(QueueUrl=self.events_url, **asked).get("Messages"):
                found += more
        assert len(found) == len(bodies)
        return [
            message(attempt=each["Attributes"]["ApproximateReceiveCount"], body=each["Body"], message_id=each["MessageId"])
            | {"receiptHandle": each["ReceiptHandle"]}
            for each in found
        ]

    def rows(self):
        """(key, version) -> row of plain values, the pointers among them."""
        items = self.dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
        plain = [{name: next(iter(value.values())) for name, value in item.items()} for item in items]
        return {(row["object"].removeprefix(f"{BUCKET}/"), row["version"]): row for row in plain}

    def sent(self):
        """The bodies of all messages in the queue for results."""
        bodies = []
        while found := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in found]
        return bodies


def events_queue():
    """moto's own record of the queue of events."""
    return sqs_backends[DEFAULT_ACCOUNT_ID][KEYS["region_name"]].queues["mine-events"]


def unseen_s():
    """Message id -> seconds until that message of the queue of events is seen again."""
    now_ms = time.time() * 1000
    return {waiting.id: (waiting.visible_at - now_ms) / 1000 for waiting in events_queue()._messages}


@contextmanager
def world(**options):
    with mock_aws():
        yield World(**options)


def message(*records, attempt=1, body=None, message_id=None):
    """An SQS record as Lambda hands it over."""
    return {
        "messageId": message_id or str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": json.dumps({"Records": records}) if body is None else body,
        "attributes": {"ApproximateReceiveCount": str(attempt)},
        "eventSource": "aws:sqs",
    }


def batch(*messages):
    return {"Records": list(messages)}


def failed(answer):
    """The ids of the messages that come again."""
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

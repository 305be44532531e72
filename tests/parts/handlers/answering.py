"""The function and the worker of asynchronous answers over in-process S3, DynamoDB and SQS, with a model of the test's own."""

import json
import threading
from contextlib import contextmanager

import boto3
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from handlers.functions.answers import Answers
from handlers.functions.attempts import Attempts
from handlers.functions.aws.answers import AwsAnswerStore
from handlers.functions.aws.api import GatewayFunction
from handlers.functions.aws.idempotency import PowertoolsOnce
from handlers.functions.aws.settings import AnswerSettings, LambdaSettings
from handlers.functions.aws.worker import Worker
from handlers.functions.deferral import Deferral
from handlers.functions.endpoint import EndpointAnswer
from tests.parts.handlers.events import rest_event
from tests.parts.handlers.test_api_function import PLAIN, Context

TABLE, BUCKET, QUEUE, DEAD = "mine-answers", "mine-answers-1", "mine-answers", "mine-answers-dead"
OUTPUTS = b'{"outputs":[[[0.5]]]}'
SERVICES = ("s3", "dynamodb", "sqs")
DAY_S = 86_400
OWNER = "key-1"
MAX_ATTEMPTS = 3
ATTEMPTS = Attempts(most=MAX_ATTEMPTS, unseen_s=168)


class Model:
    """An endpoint: answers, or raises, what it is given, one after the other; the last one for ever."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes) or [OUTPUTS]
        self.calls = []
        self.budgets = []

    def invoke(self, body, *, request_id, budget_s):
        self.calls.append((json.loads(body), request_id))
        self.budgets.append(budget_s)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if callable(outcome) and not isinstance(outcome, type):
            outcome = outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return EndpointAnswer(outcome, {})


class Held:
    """An outcome that is there when the test says so."""

    def __init__(self, outcome=OUTPUTS):
        self.outcome, self.asked, self.go = outcome, threading.Event(), threading.Event()

    def __call__(self):
        self.asked.set()
        assert self.go.wait(20)
        return self.outcome


class Cloud:
    """Bucket, table, queue and dead letters of one test, and what is made of them."""

    def __init__(self, clients):
        self.s3, self.dynamodb, self.sqs = (clients[name] for name in SERVICES)
        for name in SERVICES:
            get_backend(name).reset()
        self.s3.create_bucket(Bucket=BUCKET)
        self.dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.dead_url = self.sqs.create_queue(QueueName=DEAD)["QueueUrl"]
        dead_arn = self.sqs.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(MAX_ATTEMPTS)})
        attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "0"}
        self.queue_url = self.sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]
        self.settings = AnswerSettings(table=TABLE, bucket=BUCKET, queue_url=self.queue_url, keep_s=DAY_S, attempts=ATTEMPTS)
        self.store = AwsAnswerStore(table=TABLE, bucket=BUCKET, dynamodb=self.dynamodb, s3=self.s3, queue_url=self.queue_url, sqs=self.sqs)

    def function(self, model, *, wait_s=5.0, store=None, **variables):
        settings = LambdaSettings.from_environment(PLAIN | {"MAX_BODY_BYTES": "4194304"} | variables)
        once = PowertoolsOnce(table=TABLE, dynamodb=self.dynamodb, keep_s=DAY_S)
        answers = Answers(store=store or self.store, keep_s=DAY_S, attempts=ATTEMPTS, service=settings.service)
        return GatewayFunction(settings, model, init_ms=1.0, deferral=Deferral(answers, once, wait_s))

    def worker(self, model, **variables):
        settings = LambdaSettings.from_environment(PLAIN | variables)
        clients = {"dynamodb": self.dynamodb, "s3": self.s3, "sqs": self.sqs}
        return Worker(settings, self.settings, model, clients)

    def receive(self):
        """An event of what the queue holds, as a mapping would make it; None when it holds nothing."""
        found = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages", [])
        records = [
            {"messageId": item["MessageId"], "receiptHandle": item["ReceiptHandle"], "body": item["Body"], "attributes": item["Attributes"]}
            for item in found
        ]
        return {"Records": records} if records else None

    def work(self, worker, context=None):
        """One round of a mapping: a batch to the worker, and what it did not name as failed deleted. Its answer."""
        event = self.receive()
        if event is None:
            return None
        answer = worker.handle(event, context or Context())
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for record in event["Records"]:
            if record["messageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"])
        return answer

    def again(self):
        """End the pause of every message that failed."""
        for queue in sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues.values():
            for message in [*queue._messages, *queue.pending_messages]:
                message.visible_at = 0

    def waiting(self, url=None):
        found = self.sqs.get_queue_attributes(QueueUrl=url or self.queue_url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def rows(self):
        return self.dynamodb.scan(TableName=TABLE)["Items"]

    def row(self, answer_id):
        return self.dynamodb.get_item(TableName=TABLE, Key={"id": {"S": answer_id}}).get("Item")

    def keys(self):
        return sorted(item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []))

    def change(self, answer_id, **values):
        """Set numbers of a row, as time would."""
        for name, value in values.items():
            self.dynamodb.update_item(
                TableName=TABLE,
                Key={"id": {"S": answer_id}},
                UpdateExpression="SET #name = :value",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":value": {"N": str(value)}},
            )


@contextmanager
def mocked():
    """Clients of services in this process, for the tests of a module: to make them takes longer than most tests."""
    with mock_aws():
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        yield {name: boto3.client(name, **keys) for name in SERVICES}


def event(body=None, *, owner=OWNER, path="/predict", method="POST", **headers):
    """A REST event of a caller with a key."""
    made = rest_event({"inputs": "cold"} if body is None else body, method=method, **{"X-Forwarded-Proto": "https"} | headers)
    made["path"] = path
    made["requestContext"] |= {"path": f"/live{path}", "identity": {"apiKeyId": owner}}
    return made


def looked(answer_id, *, owner=OWNER):
    """The event of a GET of an answer."""
    return event("", owner=owner, path=f"/results/{answer_id}", method="GET")

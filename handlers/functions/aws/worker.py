"""The worker of asynchronous answers: messages of the queue -> endpoint -> answers.

handlers.functions.aws.worker.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import os
from collections.abc import Mapping
from typing import Any

from handlers.functions.answer_worker import AnswerWorker
from handlers.functions.api import Endpoint
from handlers.functions.aws import events_http
from handlers.functions.aws.answers import AwsAnswerStore, make_client
from handlers.functions.aws.endpoint import SageMakerEndpoint
from handlers.functions.aws.endpoint import make_client as make_endpoint_client
from handlers.functions.aws.pauses import Pauses
from handlers.functions.aws.settings import AnswerSettings, LambdaSettings
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.settings import FunctionSettings


class Worker:
    """One process of the worker."""

    def __init__(self, settings: FunctionSettings, kept: AnswerSettings, endpoint: Endpoint, clients: Mapping[str, Any]) -> None:
        self._pauses = Pauses(clients["sqs"], kept.queue_url, kept.attempts) if kept.queue_url else None
        store = AwsAnswerStore(table=kept.table, bucket=kept.bucket, dynamodb=clients["dynamodb"], s3=clients["s3"])
        most = events_http.MAX_ANSWER_BYTES
        self._work = AnswerWorker(store, endpoint, settings, keep_s=kept.keep_s, attempts=kept.attempts, max_answer_bytes=most)

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The partial batch answer: only messages that it names come again (Lambda developer guide, ReportBatchItemFailures)."""
        failed = [{"itemIdentifier": record["messageId"]} for record in event["Records"] if not self._done(record, context)]
        return {"batchItemFailures": failed}

    def _done(self, record: Mapping[str, Any], context: LambdaContext) -> bool:
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        done = self._work.done(record["body"], attempt=attempt, message_id=record["messageId"], seconds_left=lambda: seconds_left(context))
        if not done and self._pauses is not None:
            self._pauses.begin([(record["receiptHandle"], attempt)])
        return done


@functools.cache
def _worker() -> Worker:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    environment = Environment(os.environ)
    kept = AnswerSettings.read(environment, needed=True)
    settings = LambdaSettings.read(environment, kept)
    environment.check()
    assert kept is not None  # it is needed
    endpoint = SageMakerEndpoint(settings.endpoint_name, make_endpoint_client(settings.endpoint_timeout_s))
    clients = {name: make_client(name) for name in ("dynamodb", "s3", "sqs")}
    return Worker(settings, kept, endpoint, clients)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one batch of the queue of answers."""
    return _worker().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _worker()

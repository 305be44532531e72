"""The worker of asynchronous answers: messages of the queue -> endpoint -> answers.

handlers.functions.aws.worker.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import os
import random
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import logs
from handlers.functions.answer_worker import AnswerWorker
from handlers.functions.api import Endpoint
from handlers.functions.aws import events_http
from handlers.functions.aws.answers import AwsAnswerStore, make_client
from handlers.functions.aws.endpoint import SageMakerEndpoint
from handlers.functions.aws.endpoint import make_client as make_endpoint_client
from handlers.functions.aws.settings import AnswerSettings, LambdaSettings
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.settings import FunctionSettings

# A message that failed is seen again after 10 s, then 40, 160 and so on, instead of after the queue's whole visibility timeout,
# which has to be long enough for a call under way. SQS lets a message be hidden for twelve hours at most from its receipt.
FIRST_PAUSE_S, PAUSE_FACTOR, LONGEST_PAUSE_S = 10, 4, 900


class Worker:
    """One process of the worker."""

    def __init__(
        self, settings: FunctionSettings, kept: AnswerSettings, max_attempts: int, endpoint: Endpoint, clients: Mapping[str, Any]
    ) -> None:
        self._max_attempts = max_attempts
        self._queue_url, self._sqs = kept.queue_url, clients["sqs"]
        store = AwsAnswerStore(table=kept.table, bucket=kept.bucket, dynamodb=clients["dynamodb"], s3=clients["s3"])
        limits = {"max_attempts": max_attempts, "max_answer_bytes": events_http.MAX_ANSWER_BYTES}
        self._work = AnswerWorker(store, endpoint, settings, keep_s=kept.keep_s, **limits)

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The partial batch answer: only messages that it names come again (Lambda developer guide, ReportBatchItemFailures)."""
        failed = [{"itemIdentifier": record["messageId"]} for record in event["Records"] if not self._done(record, context)]
        return {"batchItemFailures": failed}

    def _done(self, record: Mapping[str, Any], context: LambdaContext) -> bool:
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        done = self._work.done(record["body"], attempt=attempt, message_id=record["messageId"], seconds_left=lambda: seconds_left(context))
        if not done:
            self._pause(record["receiptHandle"], attempt)
        return done

    def _pause(self, receipt: str, attempt: int) -> None:
        """Say when a failed message is seen again; at once after its last attempt, since then it is moved to the dead letters."""
        if not self._queue_url:
            return
        longest = min(FIRST_PAUSE_S * PAUSE_FACTOR ** min(attempt - 1, 10), LONGEST_PAUSE_S)
        # Half of it by chance, so that messages that failed together do not come back together.
        pause = 0 if attempt >= self._max_attempts else round(random.uniform(longest / 2, longest))  # noqa: S311
        try:
            self._sqs.change_message_visibility(QueueUrl=self._queue_url, ReceiptHandle=receipt, VisibilityTimeout=pause)
        except (BotoCoreError, ClientError) as error:
            # Then it is seen again when the queue's own timeout is over.
            logs.write("pause_failed", level="WARNING", message=str(error))


@functools.cache
def _worker() -> Worker:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    environment = Environment(os.environ)
    kept = AnswerSettings.read(environment, needed=True)
    settings = LambdaSettings.read(environment, kept)
    max_attempts = environment.whole("MAX_ATTEMPTS", 5, least=1, most=1000)
    environment.check()
    assert kept is not None  # it is needed
    endpoint = SageMakerEndpoint(settings.endpoint_name, make_endpoint_client(settings.endpoint_timeout_s))
    clients = {name: make_client(name) for name in ("dynamodb", "s3", "sqs")}
    return Worker(settings, kept, max_attempts, endpoint, clients)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one batch of the queue of answers."""
    return _worker().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _worker()

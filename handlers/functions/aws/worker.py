"""The worker of asynchronous answers: messages of the queue -> endpoint -> answers.

handlers.functions.aws.worker.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import os
from collections.abc import Mapping
from typing import Any

from handlers.functions import logs, metrics
from handlers.functions.answer_work import AnswerWork, TryAgain
from handlers.functions.aws.answers import AwsAnswerStore, make_client
from handlers.functions.aws.pauses import Pauses
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.endpoint import Endpoint
from handlers.functions.endpoint import make_client as make_endpoint_client
from handlers.functions.environment import Environment
from handlers.functions.settings import AnswerSettings, FunctionSettings

# What stays to keep an answer that took all of its time; when that is too little, the message comes again.
STORE_S = 1.0
DONE, FAILED, ATTEMPTS_FAILED = "AnswersDone", "AnswersFailed", "AnswerAttemptsFailed"


class Worker:
    """One process of the worker."""

    def __init__(self, settings: FunctionSettings, kept: AnswerSettings, endpoint: Endpoint, clients: Mapping[str, Any]) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._attempts = kept.attempts
        self._pauses = Pauses(clients["sqs"], kept.queue_url, kept.attempts) if kept.queue_url else None
        store = AwsAnswerStore(table=kept.table, bucket=kept.bucket, dynamodb=clients["dynamodb"], s3=clients["s3"])
        self._work = AnswerWork(store=store, predict=self._predict, keep_s=kept.keep_s, attempts=kept.attempts)

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The partial batch answer: only messages that it names come again (Lambda developer guide, ReportBatchItemFailures)."""
        failed = [{"itemIdentifier": record["messageId"]} for record in event["Records"] if not self._done(record, context)]
        return {"batchItemFailures": failed}

    def _done(self, record: Mapping[str, Any], context: LambdaContext) -> bool:
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        try:
            state = self._work.attempt(record["body"], attempt=attempt, remaining_s=lambda: seconds_left(context) - STORE_S)
        except Exception as error:  # noqa: BLE001  (the rest of the batch is to go on)
            self._failed(record, attempt, error)
            return False
        metrics.count(self._settings.service, {DONE: int(state == "done"), FAILED: int(state == "failed"), ATTEMPTS_FAILED: 0})
        return True

    def _failed(self, record: Mapping[str, Any], attempt: int, error: Exception) -> None:
        request_id, answer_id = (error.request_id, error.answer_id) if isinstance(error, TryAgain) else (None, None)
        if not isinstance(error, TryAgain):
            logs.write_fault("worker_fault", error, message_id=record["messageId"])
        # By the answer's id `pilotlight replay` finds the reason.
        told = {"answer": answer_id, "message_id": record["messageId"], "attempt": attempt, "max_attempts": self._attempts.most}
        logs.write("answer_attempt_failed", level="WARNING", request_id=request_id, reason=str(error), **told)
        last = attempt >= self._attempts.most
        metrics.count(self._settings.service, {DONE: 0, FAILED: int(last), ATTEMPTS_FAILED: 1}, request_id=request_id)
        if self._pauses is not None:
            self._pauses.begin([(record["receiptHandle"], attempt)])

    def _predict(self, body: bytes, request_id: str, seconds: float) -> str:
        budget_s = min(self._settings.endpoint_timeout_s, seconds)
        answer = self._endpoint.invoke(body, request_id=request_id, budget_s=budget_s)
        stages = {f"endpoint-{name}": ms for name, ms in answer.cold_start.items()}
        if stages:
            logs.write("cold_start", request_id=request_id, stages=stages)
            metrics.cold_start(self._settings.service, stages, request_id=request_id)
        return answer.text()


@functools.cache
def _worker() -> Worker:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    environment = Environment(os.environ)
    kept = AnswerSettings.read(environment, needed=True)
    settings = FunctionSettings.read(environment, kept)
    environment.check()
    assert kept is not None  # it is needed
    endpoint = Endpoint(settings.endpoint_name, make_endpoint_client(settings.endpoint_timeout_s))
    clients = {name: make_client(name) for name in ("dynamodb", "s3", "sqs")}
    return Worker(settings, kept, endpoint, clients)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one batch of the queue of answers."""
    return _worker().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _worker()

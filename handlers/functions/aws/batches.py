"""Batches of SQS messages that tell of objects in S3: what the event function does with one, wherever its model is.

The answer is a partial one: only the messages of objects without a result come again, and after the queue's maxReceiveCount
go to its dead letters (Lambda developer guide, "Handling errors for an SQS event source").
"""

from collections.abc import Mapping
from typing import Any

from handlers.functions import logs, metrics, outcomes
from handlers.functions.aws.clients import PAUSE_CONNECT_TIMEOUT_S, PAUSE_READ_TIMEOUT_S, Clients
from handlers.functions.aws.event_settings import EventSettings
from handlers.functions.aws.objects import S3Objects
from handlers.functions.aws.outbox import Outbox
from handlers.functions.aws.pauses import Pauses
from handlers.functions.aws.results import TableResults
from handlers.functions.aws.s3_events import created, is_sqs
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.outcomes import Refused
from handlers.functions.pipeline import Pipeline
from handlers.functions.versions import Delivery, Model, ObjectVersion

# The longest that one call may take which sets pauses; the answer to Lambda must go out after it.
_PAUSE_S = PAUSE_CONNECT_TIMEOUT_S + PAUSE_READ_TIMEOUT_S


class BatchFunction:
    """One process of the function: a batch of messages in, the ids of those that must come again out."""

    def __init__(self, settings: EventSettings, clients: Clients, model: Model) -> None:
        outbox = None
        if settings.queue_url is not None:
            outbox = Outbox(clients.sqs, clients.dynamodb, queue_url=settings.queue_url, table=settings.table)
        task = settings.pipeline.task
        results = TableResults(clients.dynamodb, clients.s3, table=settings.table, bucket=settings.bucket, task=task, outbox=outbox)
        store = S3Objects(clients.s3, max_bytes=settings.pipeline.max_object_bytes)
        self._pipeline = Pipeline(store, model, results, settings.pipeline)
        longest_s = settings.attempts.unseen_s
        self._pauses = Pauses(clients.pauses, settings.events_url, settings.attempts, longest_s=longest_s)
        self._service = settings.pipeline.service

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The partial answer. Raises ValueError for an event that is not SQS's, so that it is not taken for done."""
        if not is_sqs(event):
            raise ValueError("The event is no batch of SQS messages: connect the function to the queue that S3 notifies.")
        messages = {message["messageId"]: message for message in event["Records"]}
        named = {message_id: self._created(message) for message_id, message in messages.items()}
        ended = self._pipeline.run(
            [Delivery(version, _attempt(messages[id_])) for id_, versions in named.items() for version in versions or ()],
            batch_id=context.aws_request_id,
            remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
        )
        left = [id_ for id_, versions in named.items() if versions is None or not all(ended[item.id].done for item in versions)]
        # Also what is refused for good: the sooner its attempts are over, the sooner it is a dead letter that somebody sees.
        again = [(messages[id_]["receiptHandle"], _attempt(messages[id_])) for id_ in left]
        self._pauses.begin(again, has_time=lambda: seconds_left(context) > _PAUSE_S)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in left]}

    def _created(self, message: Mapping[str, Any]) -> list[ObjectVersion] | None:
        """The versions that a message tells of, None for one that is no event of S3."""
        try:
            return created(message["body"], message["messageId"])
        except Exception as error:  # noqa: BLE001  (whatever one message holds, the others of its batch are worked on)
            reason = {"reason": str(error), "permanent": isinstance(error, Refused), "attempt": _attempt(message)}
            logs.write("message", level="ERROR", request_id=message["messageId"], outcome=outcomes.of(error).kind, **reason)
            metrics.count(self._service, {metrics.OBJECTS_FAILED: 1}, request_id=message["messageId"])
            return None


def _attempt(message: Mapping[str, Any]) -> int:
    return int(message.get("attributes", {}).get("ApproximateReceiveCount", 1))

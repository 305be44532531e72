"""When a message of SQS whose attempt failed is seen again: sooner than the queue's visibility timeout says."""

from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions import logs
from handlers.functions.attempts import LONGEST_PAUSE_S, Attempts, drawn_s

# SQS API reference, ChangeMessageVisibilityBatch.
MAX_MESSAGES = 10
# A failed message by its receipt handle, and the attempt that failed, from 1 on.
Failed = tuple[str, int]


class Pauses:
    """Pauses of the messages of one queue, `longest_s` at the most."""

    def __init__(self, sqs: Any, queue_url: str, attempts: Attempts, *, longest_s: int = LONGEST_PAUSE_S) -> None:
        self._sqs, self._queue_url = sqs, queue_url
        self._attempts, self._longest_s = attempts, longest_s

    def begin(self, failed: Sequence[Failed], *, has_time: Callable[[], bool] = lambda: True) -> None:
        """Ask for every pause, as long as `has_time`. Never raises for SQS: a message without a pause waits for the queue's timeout."""
        for start in range(0, len(failed), MAX_MESSAGES):
            if not has_time():
                logs.write("pause_failed", level="WARNING", message=f"No time was left to set {len(failed) - start} pauses.")
                return
            self._ask(failed[start : start + MAX_MESSAGES])

    def _ask(self, failed: Sequence[Failed]) -> None:
        entries = [
            {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": self._drawn_s(attempt)}
            for place, (receipt, attempt) in enumerate(failed)
        ]
        try:
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            logs.write("pause_failed", level="WARNING", message=str(error))
            return
        for entry in answer.get("Failed", []):
            logs.write("pause_failed", level="WARNING", message=f"{entry['Code']}: {entry.get('Message', '')}")

    def _drawn_s(self, attempt: int) -> int:
        """None after the last attempt, since then the message is moved to the dead letters."""
        return drawn_s(min(self._attempts.pause_s(attempt), self._longest_s))

"""The dead letters of a stack: how many, and what they are about, without taking one away."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from pilotlight.cli.aws.clients import client, told
from pilotlight.cli.aws.moves import move
from pilotlight.cli.aws.queues import counts
from pilotlight.cli.clouds import DEAD, DeadLetter, Look, VersionId
from pilotlight.cli.session import Session

# Who looks at a message takes it for a moment; it is given back at the end, and after this many seconds in any case.
HELD_S = 20
# SQS API reference: ReceiveMessage and ChangeMessageVisibilityBatch take ten at a time.
BATCH = 10
# A long poll asks all of a queue's servers: an empty answer is then the truth.
POLL_S = 1


class SqsDeadLetters:
    """The dead-letter queue that a stack's outputs name."""

    def __init__(self, session: Session, outputs: Mapping[str, Any]) -> None:
        self.url = str(outputs[DEAD])
        self.sqs = client("sqs", session, str(outputs["region"]))

    def look(self, limit: int) -> Look:
        """Up to `limit` of them, and about how many there are."""
        count = self.count()
        return Look(count=count, letters=self.peek(limit) if count else [])

    def count(self) -> int:
        """About how many there are; SQS counts to the minute."""
        with told(f"The queue {self.url} can't be read"):
            return sum(counts(self.sqs, self.url))

    def arn(self) -> str:
        with told(f"The queue {self.url} can't be read"):
            return str(self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])

    def move(self, rate: int | None) -> dict[str, Any]:
        """SQS's own move, followed to its end."""
        return {**move(self.sqs, self.arn(), rate), "left": self.count()}

    def peek(self, limit: int) -> list[DeadLetter]:
        """Up to `limit` of them, given back before this returns."""
        found: dict[str, DeadLetter] = {}
        with told(f"The queue {self.url} can't be read"):
            try:
                while len(found) < limit:
                    answer = self.sqs.receive_message(
                        QueueUrl=self.url,
                        MaxNumberOfMessages=min(BATCH, limit - len(found)),
                        VisibilityTimeout=HELD_S,
                        WaitTimeSeconds=POLL_S,
                        MessageSystemAttributeNames=["SentTimestamp"],
                    )
                    letters = [_letter(message) for message in answer.get("Messages", [])]
                    all_known = all(letter.message_id in found for letter in letters)
                    # One that comes again has a new receipt, and only with that can it be given back.
                    found |= {letter.message_id: letter for letter in letters}
                    if all_known:
                        break
            finally:
                self._give_back(list(found.values()))
        return list(found.values())

    def _give_back(self, letters: list[DeadLetter]) -> None:
        for start in range(0, len(letters), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for number, letter in enumerate(letters[start : start + BATCH])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)


def _letter(message: Mapping[str, Any]) -> DeadLetter:
    try:
        body = json.loads(message["Body"])
    except ValueError:
        body = None
    content: Mapping[str, Any] = body if isinstance(body, dict) else {}
    return DeadLetter(
        message_id=str(message["MessageId"]),
        about=tuple(_versions(content)),
        answer=str(content["id"]) if isinstance(content.get("id"), str) else None,
        sent=int(message.get("Attributes", {}).get("SentTimestamp", 0)),
        receipt=str(message["ReceiptHandle"]),
    )


def _versions(content: Mapping[str, Any]) -> list[VersionId]:
    """The object versions of an S3 event notification (S3 user guide, event message structure: keys are URL-encoded)."""
    found = []
    for record in content.get("Records") or []:
        try:
            place = record["s3"]
            name = f"{place['bucket']['name']}/{unquote_plus(place['object']['key'])}"
            found.append((name, str(place["object"].get("versionId", "null"))))
        except (KeyError, TypeError):
            continue
    return found

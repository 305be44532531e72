"""A queue, a message and a queue's figures, as the twin's SQS keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Queue:
    """`attributes` are the settable ones, as texts in the API's words. Times are seconds since the epoch, by the twin's clock."""

    arn: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    created: float
    modified: float
    purged: float

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]

    def seconds(self, attribute: str) -> int:
        return int(self.attributes[attribute])

    @property
    def policies(self) -> list[str]:
        """The queue's resource policy, if it has one."""
        return [self.attributes["Policy"]] if self.attributes.get("Policy") else []

    @property
    def redrive(self) -> tuple[str, int] | None:
        """(ARN of the dead-letter queue, receives that a message may have), or None."""
        text = self.attributes.get("RedrivePolicy")
        if not text:
            return None
        policy = json.loads(text)
        return str(policy["deadLetterTargetArn"]), int(policy["maxReceiveCount"])


@dataclass(frozen=True, kw_only=True)
class Message:
    """`receipt` is None until it was received; `source` is the queue that sent it to the dead letters, if one did."""

    number: int
    id: str
    body: str
    attributes: Mapping[str, Any]
    sender: str
    sent: float
    received: int
    first_received: float | None
    receipt: str | None
    source: str | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Messages of a queue now; `oldest_s` is the age of the oldest, in seconds.

    One that was handed out three times is no longer counted there (SQS developer guide, "Available CloudWatch metrics").
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_s: float


def handle_of(message: Message) -> str:
    """The receipt handle that a client is given."""
    return f"{message.number}.{message.receipt}"

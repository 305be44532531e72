"""Queues whose failures land in dead letters, encrypted with keys of the service.

The SDK's types stand in quotes: schedules know this module too, and most stacks with them have no queue to load its part of the SDK for.
"""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import Place, Statement, allow, document
from components.aws.watch import Alarm
from components.limits import MESSAGE_RETENTION_S
from components.timeouts import KEPT_S

# A consumer of one's own has the default of the service.
OWN_VISIBILITY_S = 30
OLD_VISIBILITIES = 3


def from_bucket(place: Place, queue: str, bucket: str) -> Mapping[str, Any]:
    """Only S3 may send, and only for one bucket of this account."""
    condition = {"ArnEquals": {"aws:SourceArn": place.bucket(bucket)}, "StringEquals": {"aws:SourceAccount": place.account}}
    return document(allow("sqs:SendMessage", place.arn("sqs", queue), Principal={"Service": "s3.amazonaws.com"}, Condition=condition))


def consume(place: Place, queue: str) -> Statement:
    """What Lambda's poller needs of the function's role (Lambda developer guide, permissions for SQS)."""
    return allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], place.arn("sqs", queue))


def queue_with_dead_letters(
    name: str,
    queue: str,
    place: Place,
    parent: pulumi.Resource,
    *,
    max_attempts: int,
    keep: bool,
    visibility_s: int = OWN_VISIBILITY_S,
) -> "tuple[aws.sqs.Queue, aws.sqs.Queue]":
    """A queue, and the one that takes what was handed out `max_attempts` times in vain; no other queue may use that one. With
    `keep` both are protected, since messages are work that nobody has done.

    Both name each other by ARNs built from names, so that neither exists for a moment without the other's rule.
    """
    dead_name = f"{queue}-dead"
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [place.arn("sqs", queue)]}
    redrive = {"deadLetterTargetArn": place.arn("sqs", dead_name), "maxReceiveCount": max_attempts}
    dead = dead_letter_queue(name, dead_name, parent, keep=keep, allowed=json.dumps(allowed))
    made = aws.sqs.Queue(
        f"{name}-queue",
        name=queue,
        message_retention_seconds=KEPT_S,
        visibility_timeout_seconds=visibility_s,
        sqs_managed_sse_enabled=True,
        redrive_policy=json.dumps(redrive),
        # SQS refuses to name a queue for dead letters that is not there.
        opts=pulumi.ResourceOptions(parent=parent, protect=keep, depends_on=[dead]),
    )
    return made, dead


def dead_letter_queue(name: str, queue: str, parent: pulumi.Resource, *, keep: bool = False, allowed: str | None = None) -> "aws.sqs.Queue":
    """What could not be done, for as long as SQS keeps it; `allowed` says which queues may leave it there."""
    return aws.sqs.Queue(
        f"{name}-dead",
        name=queue,
        message_retention_seconds=MESSAGE_RETENTION_S.high,
        sqs_managed_sse_enabled=True,
        redrive_allow_policy=allowed,
        opts=pulumi.ResourceOptions(parent=parent, protect=keep),
    )


def queue_alarm(
    role: str, text: str, queue: pulumi.Output[str], metric: str = "ApproximateNumberOfMessagesVisible", threshold: float = 0
) -> Alarm:
    """Messages at all, unless `metric` says otherwise. A queue that rests for six hours has no figures: what was told of it stays."""
    return Alarm(
        role=role,
        text=text,
        namespace="AWS/SQS",
        metric=metric,
        dimensions={"QueueName": queue},
        statistic="Maximum",
        threshold=threshold,
        without_data="ignore",
    )


def queue_alarms(role: str, queue: "aws.sqs.Queue", dead: "aws.sqs.Queue", visibility_s: int) -> list[Alarm]:
    """Dead letters at all, and messages that wait for longer than their processing explains.

    Messages that were handed out three times don't count as old (SQS developer guide, available CloudWatch metrics), so that a
    broken one is told as a dead letter only.
    """
    late = OLD_VISIBILITIES * visibility_s
    return [
        queue_alarm(f"{role}-dead-letters", "Messages could not be processed: see why, then replay them.", dead.name),
        queue_alarm(f"{role}-age", "Messages wait for long.", queue.name, "ApproximateAgeOfOldestMessage", late),
    ]

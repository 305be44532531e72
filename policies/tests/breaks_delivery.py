"""Breaks of the rules about messages."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, made, part

_DEAD = '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:dead", "maxReceiveCount": 1}'

BREAKS = (
    Break(
        "visibility-covers-function",
        "aws-rest",
        t.QUEUE,
        {"visibilityTimeoutSeconds": 161},
        "has visibilityTimeoutSeconds 161: set it to 162",
        name="answers-queue",
    ),
    Break("visibility-covers-function", "aws-events", t.MAPPING, {"maximumBatchingWindowInSeconds": 60}, "or more"),
    Break(
        "queue-has-dead-letters", "aws-rest", t.QUEUE, {"redrivePolicy": GONE}, "answers-queue has no redrivePolicy", name="answers-queue"
    ),
    Break(
        "dead-letters-outlive-messages", "aws-rest", t.QUEUE, {"messageRetentionSeconds": 345_600}, "set it to 1209600", name="answers-dead"
    ),
    Break(
        "receives-are-bounded",
        "aws-rest",
        t.QUEUE,
        {"redrivePolicy": part("maxReceiveCount", 1)},
        "maxReceiveCount is 1: set it to 2 to 100",
        name="answers-queue",
    ),
    Break(
        "receives-are-bounded",
        "aws-rest",
        t.QUEUE,
        {"redrivePolicy": part("maxReceiveCount", 101)},
        "maxReceiveCount is 101",
        name="answers-queue",
    ),
    Break(
        "receives-are-bounded", "aws-rest", "", {}, "maxReceiveCount is 1", added=made(t.REDRIVE, queueUrl="https://q", redrivePolicy=_DEAD)
    ),
    Break("retries-are-bounded", "azure-events", t.EVENT_SUBSCRIPTION, {"retryPolicy": GONE}, "maxDeliveryAttempts is missing"),
    Break(
        "retries-are-bounded",
        "gcp-api",
        t.SUBSCRIPTION,
        {"deadLetterPolicy.maxDeliveryAttempts": GONE},
        "set it to 100 or less",
        name="worker-subscription",
    ),
    Break("retries-are-bounded", "gcp-api", t.CRON_JOB, {"retryConfig.retryCount": 101}, "retryCount is 101"),
    Break("retries-are-bounded", "aws-rest", t.SCHEDULE, {"target.retryPolicy": GONE}, "maximumRetryAttempts is missing"),
    Break("retries-are-bounded", "aws-rest", t.EVENT_INVOKE, {"maximumRetryAttempts": GONE}, "maximumRetryAttempts is missing"),
    Break("retries-are-bounded", "azure-api", t.JOB, {"configuration.replicaRetryLimit": GONE}, "replicaRetryLimit is missing"),
    Break("batches-fail-in-part", "aws-rest", t.MAPPING, {"functionResponseTypes": []}, 'lacks "ReportBatchItemFailures"'),
    Break("readers-are-bounded", "aws-rest", t.MAPPING, {"scalingConfig": GONE}, "set it to 2 to 1000"),
    Break(
        "push-waits-for-service",
        "gcp-api",
        t.SUBSCRIPTION,
        {"ackDeadlineSeconds": 10},
        "ackDeadlineSeconds is 10: set it to",
        name="worker-subscription",
    ),
    Break(
        "push-has-dead-letters",
        "gcp-api",
        t.SUBSCRIPTION,
        {"deadLetterPolicy": GONE},
        "deadLetterTopic is missing",
        name="worker-subscription",
    ),
    Break(
        "push-has-dead-letters",
        "gcp-events",
        t.SUBSCRIPTION,
        {"topic": "projects/p/topics/other"},
        "a topic for what failed",
        name="dead-subscription",
    ),
    Break("subscription-does-not-expire", "gcp-api", t.SUBSCRIPTION, {"expirationPolicy": GONE}, 'set it to ""'),
    Break(
        "event-grid-has-dead-letters",
        "azure-events",
        t.EVENT_SUBSCRIPTION,
        {"deadLetterWithResourceIdentity": GONE},
        "set it to a container",
    ),
    Break("calls-nobody-waits-for-are-kept", "aws-rest", t.EVENT_INVOKE, {"destinationConfig": GONE}, "set it to the ARN of a queue"),
    Break(
        "calls-nobody-waits-for-are-kept",
        "aws-rest",
        t.EVENT_INVOKE,
        {},
        "floor-invoke calls it and does not wait",
        name="floor-async",
        gone=True,
    ),
    Break("calls-nobody-waits-for-are-kept", "aws-events", t.EVENT_INVOKE, {}, "calls it and does not wait", name="ping-async", gone=True),
    Break(
        "calls-nobody-waits-for-are-kept",
        "aws-rest",
        "",
        {},
        "destinationConfig.onFailure.destinationArn is missing",
        added=made(t.MAPPING, eventSourceArn="arn:aws:kinesis:r:1:stream/s"),
    ),
    Break("calls-nobody-waits-for-are-kept", "aws-rest", t.SCHEDULE, {"target.deadLetterConfig": GONE}, "set it to the ARN of a queue"),
    Break("calls-nobody-waits-for-are-kept", "aws-rest", t.TOPIC_SUBSCRIPTION, {"redrivePolicy": GONE}, "redrivePolicy is missing"),
)

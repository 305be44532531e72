"""What lies before and behind the function of an event stack on AWS by hand: objects and their queue, rows and large results."""

import pulumi
import pulumi_aws as aws

from benchmarks.handwritten.model import function_alarms, mapping
from benchmarks.handwritten.site import (
    account,
    after,
    allow,
    arn,
    bucket,
    bucket_name,
    policy,
    prefix,
    queue_alarms,
    queues,
    settings,
    table_alarms,
    tags,
)

# The longest that a batch may take, with a cold start in it; a message stays hidden for six of these.
FUNCTION_S = 128 if settings.endpoint.platform == "aws-sagemaker" else 125
events = settings.events
if events is None:
    raise pulumi.RunError("events: missing.")

objects, results = bucket_name("objects"), bucket_name("results")
read_objects = [
    allow(["s3:GetObject", "s3:GetObjectVersion"], f"arn:aws:s3:::{objects}/*"),
    allow("s3:ListBucket", f"arn:aws:s3:::{objects}"),
]
store, secured = bucket("events-objects", objects)
queue, dead = queues("events-objects", f"{prefix}-events", 6 * FUNCTION_S)
from_s3 = allow(
    "sqs:SendMessage",
    arn("sqs", f"{prefix}-events"),
    Principal={"Service": "s3.amazonaws.com"},
    Condition={"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{objects}"}, "StringEquals": {"aws:SourceAccount": account}},
)
lets_s3 = aws.sqs.QueuePolicy("events-objects-from-bucket", queue_url=queue.url, policy=policy(from_s3))
notification = aws.s3.BucketNotification(
    "events-objects-notification",
    bucket=store.bucket,
    queues=[
        aws.s3.BucketNotificationQueueArgs(
            id=f"created-{number}", queue_arn=queue.arn, events=["s3:ObjectCreated:*"], filter_prefix=events.prefix, filter_suffix=suffix
        )
        for number, suffix in enumerate(events.suffixes)
    ],
    opts=after(lets_s3, *secured),
)

large, kept = bucket("events-results", results)
table = aws.dynamodb.Table(
    "events-results-table",
    name=f"{prefix}-results",
    billing_mode="PAY_PER_REQUEST",
    hash_key="object",
    range_key="version",
    attributes=[aws.dynamodb.TableAttributeArgs(name=name, type="S") for name in ("object", "version")],
    point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=False),
    deletion_protection_enabled=False,
    tags=tags,
)
rights = [
    allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], arn("sqs", f"{prefix}-events")),
    allow("sqs:ChangeMessageVisibility", arn("sqs", f"{prefix}-events")),
    *read_objects,
    allow(["dynamodb:BatchGetItem", "dynamodb:PutItem"], arn("dynamodb", f"table/{prefix}-results")),
    allow("s3:PutObject", f"arn:aws:s3:::{results}/results/*"),
]
variables: dict[str, pulumi.Input[str]] = {
    "EVENTS_QUEUE_URL": queue.url,
    "EVENTS_UNSEEN_S": str(6 * FUNCTION_S),
    "MAX_ATTEMPTS": "5",
    "MIN_OBJECT_BYTES": str(events.min_object_bytes),
    "MAX_OBJECT_BYTES": str(events.max_object_bytes),
    "RESULTS": "table",
    "RESULTS_TABLE": table.name,
    "RESULTS_BUCKET": results,
}
ready = [notification, table, large, *kept]


def delivered_to(alias: aws.lambda_.Alias, timeout_s: int | None = FUNCTION_S) -> None:
    """Batches for the function, alarms (of a model's function without its timeout), and the outputs that both stacks have."""
    assert events is not None
    mapping("events-delivery-mapping", queue, alias, events.batch_size, events.max_concurrency, events.batch_window_seconds)
    function_alarms("events-watch-function", alias, timeout_s, "function")
    queue_alarms("events-watch-events", queue, dead, 3 * 6 * FUNCTION_S)
    table_alarms("events-watch-results-table", table, "TransactWriteItems")
    pulumi.export("objectsBucket", objects)
    pulumi.export("queueUrl", queue.url)
    pulumi.export("deadLetterQueueUrl", dead.url)
    pulumi.export("resultsTable", table.name)
    pulumi.export("resultsBucket", results)
    pulumi.export("functionName", alias.function_name)

"""Where the results of the event pipeline go: one row per object version, large results beside it, messages if wanted."""

import pulumi
import pulumi_aws as aws

from components.args import EventArgs
from components.aws.buckets import private_bucket, versioned
from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, allow
from components.aws.queues import queue_alarm, queue_with_dead_letters
from components.aws.watch import Alarm, repeated

RESULTS = "results"
# Attributes of a result's row; the row `#latest` of an object points to its newest version.
OBJECT, VERSION = "object", "version"
# How often a consumer of the results queue may give a message back.
RECEIVES = 10


class ResultStore(pulumi.ComponentResource):
    """A table, which makes every result the only one of its object version, a bucket for results that don't fit a row, and with
    `results: [queue]` a queue for consumers of one's own, with dead letters behind it."""

    table: pulumi.Output[str]
    bucket: str
    queue_url: pulumi.Output[str] | None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AwsContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ResultStore", name, None, opts)
        self._names, self._results = home.names, args.results
        self.bucket = home.bucket_name(RESULTS)
        bucket, _ = private_bucket(name, self.bucket, home.place, home.keep, self)
        versioned(name, bucket, self)
        table = table_of(f"{name}-table", home.names.named(RESULTS), OBJECT, VERSION, home.keep, self)
        self.database, self.table, self.queue_url = None, table.name, None
        self.log_groups = []
        self.alarms = table_alarms(RESULTS, table.name, "TransactWriteItems")
        if "queue" in args.results:
            queue, dead = queue_with_dead_letters(name, home.names.named(RESULTS), home.place, self, max_attempts=RECEIVES, keep=home.keep)
            self.queue_url = queue.url
            # How long results may wait is their consumer's to say, so only the dead letters are watched.
            # `pilotlight replay` is for objects; results have been sent, and it is their own consumer that gave them up.
            text = "Results were given up by their consumer: see why, then move them back (aws sqs start-message-move-task)."
            self.alarms.append(queue_alarm(f"{RESULTS}-dead-letters", text, dead.name))
        self.register_outputs({"table": self.table, "bucket": self.bucket, "queueUrl": self.queue_url})

    def rights_of_writer(self, place: Place) -> list[Statement]:
        """Write rows and results, send messages and mark them sent; a transaction needs the rights of what is in it."""
        bucket = self._names.bucket(place.account, place.region, RESULTS)
        rows, sent = ["dynamodb:BatchGetItem", "dynamodb:PutItem"], []
        if self.queue_url is not None:
            rows.append("dynamodb:UpdateItem")
            sent.append(allow("sqs:SendMessage", place.arn("sqs", self._names.named(RESULTS))))
        table = place.arn("dynamodb", f"table/{self._names.named(RESULTS)}")
        return [allow(rows, table), allow("s3:PutObject", place.bucket(bucket, f"/{RESULTS}/*")), *sent]

    def variables_of_writer(self) -> dict[str, pulumi.Input[str]]:
        """Where the function leaves results."""
        queue: dict[str, pulumi.Input[str]] = {} if self.queue_url is None else {"RESULTS_QUEUE_URL": self.queue_url}
        return {"RESULTS_TABLE": self.table, "RESULTS_BUCKET": self.bucket, "RESULTS": ",".join(self._results), **queue}


def table_of(
    name: str, table: str, key: str, sort: str | None, keep: bool, parent: pulumi.Resource, ttl: str | None = None
) -> aws.dynamodb.Table:
    """A table that bills per request and rests for free, encrypted with the service's own key.

    With `keep` it can be restored to any second of the last 35 days, and nobody deletes it by accident.
    """
    keys = [key] if sort is None else [key, sort]
    return aws.dynamodb.Table(
        name,
        name=table,
        billing_mode="PAY_PER_REQUEST",
        hash_key=key,
        range_key=sort,
        attributes=[aws.dynamodb.TableAttributeArgs(name=each, type="S") for each in keys],
        ttl=None if ttl is None else aws.dynamodb.TableTtlArgs(attribute_name=ttl, enabled=True),
        point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=keep),
        deletion_protection_enabled=keep,
        opts=pulumi.ResourceOptions(parent=parent, protect=keep),
    )


def table_alarms(role: str, table: pulumi.Output[str], operation: str) -> list[Alarm]:
    """Writes that are throttled, and errors of the service in the operation without which nothing is done.

    Dimensions: DynamoDB developer guide, metrics and dimensions (throttle events per table, system errors per table and operation).
    """

    def alarm(part: str, text: str, metric: str, **more: str) -> Alarm:
        dimensions: dict[str, pulumi.Input[str]] = {"TableName": table, **more}
        return repeated(role=f"{role}-table-{part}", text=text, namespace="AWS/DynamoDB", metric=metric, dimensions=dimensions)

    return [
        alarm("throttles", "The table refuses writes.", "WriteThrottleEvents"),
        alarm("errors", "The table fails.", "SystemErrors", Operation=operation),
    ]

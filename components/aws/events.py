"""The beginning of the event pipeline: a bucket, the queue that is told of its new objects, the function's hold on that queue."""

import json

import pulumi
import pulumi_aws as aws

from components.args import EventArgs
from components.aws.buckets import private_bucket, versioned
from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, allow, read_versions
from components.aws.queues import consume, from_bucket, queue_alarms, queue_with_dead_letters
from components.aws.watch import Alarm

OBJECTS, QUEUE = "objects", "events"
CREATED = "s3:ObjectCreated:*"


class ObjectSource(pulumi.ComponentResource):
    """A private bucket with versions; each new object that passes the filters becomes a message.

    What can't be processed lies among the dead letters for two weeks, from where it can be sent again.
    """

    bucket: str
    objects_url: None
    queue_arn: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AwsContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ObjectSource", name, None, opts)
        self._names, self._args = home.names, args
        self.bucket = home.bucket_name(OBJECTS)
        self._uri = f"s3://{self.bucket}/{args.prefix or ''}"
        bucket, secured = private_bucket(name, self.bucket, home.place, home.keep, self)
        versions = versioned(name, bucket, self)
        visibility_s = args.timeouts.visibility_s
        queue, dead = queue_with_dead_letters(
            name, home.names.named(QUEUE), home.place, self, max_attempts=args.max_attempts, keep=home.keep, visibility_s=visibility_s
        )
        policy = aws.sqs.QueuePolicy(
            f"{name}-from-bucket",
            queue_url=queue.url,
            policy=json.dumps(from_bucket(home.place, home.names.named(QUEUE), self.bucket)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.s3.BucketNotification(
            f"{name}-notification",
            bucket=bucket.bucket,
            queues=filters(queue.arn, args),
            # S3 tries the queue when it is told of it; events must name a version from the first one on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, *secured, *versions]),
        )
        self.queue_arn, self.queue_url, self.dead_letter_url, self.replay_topic = queue.arn, queue.url, dead.url, None
        self.objects_url = None
        self.log_groups = []
        self.alarms = queue_alarms("events", queue, dead, visibility_s)
        self.register_outputs({"bucket": self.bucket, "queueUrl": self.queue_url, "deadLetterUrl": self.dead_letter_url})

    def rights_of_reader(self, place: Place) -> list[Statement]:
        """Read the objects that start the pipeline."""
        return read_versions(place, self._names.bucket(place.account, place.region, OBJECTS), self._args.prefix or "")

    def rights_of_consumer(self, place: Place) -> list[Statement]:
        """Take messages and say when one that failed is seen again, and read the objects that they tell of."""
        pauses = allow("sqs:ChangeMessageVisibility", place.arn("sqs", self._names.named(QUEUE)))
        return [consume(place, self._names.named(QUEUE)), pauses, *self.rights_of_reader(place)]

    def variables_of_reader(self) -> dict[str, pulumi.Input[str]]:
        """Which objects the model server takes by reference."""
        return {"INPUTS_URI": self._uri, "MAX_OBJECT_BYTES": str(self._args.max_object_bytes)}

    def variables_of_consumer(self) -> dict[str, pulumi.Input[str]]:
        """Where messages come from and how often each, and which objects the function takes."""
        return {
            "EVENTS_QUEUE_URL": self.queue_url,
            "EVENTS_UNSEEN_S": str(self._args.timeouts.visibility_s),
            "MAX_ATTEMPTS": str(self._args.max_attempts),
            "MIN_OBJECT_BYTES": str(self._args.min_object_bytes),
            "MAX_OBJECT_BYTES": str(self._args.max_object_bytes),
        }


def filters(queue: pulumi.Input[str], args: EventArgs) -> list[aws.s3.BucketNotificationQueueArgs]:
    """One entry per suffix, since a filter has one; S3 has a single notification per bucket, so all stand in it."""
    return [
        aws.s3.BucketNotificationQueueArgs(
            id=f"created-{position}", queue_arn=queue, events=[CREATED], filter_prefix=args.prefix, filter_suffix=suffix
        )
        for position, suffix in enumerate(args.suffixes or (None,))
    ]

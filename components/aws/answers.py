"""Where requests wait whose answers come later: their bodies, whose they are, and the queue to the worker."""

import json

import pulumi
import pulumi_aws as aws

from components.args import AnswersArgs
from components.aws.buckets import expiring, private_bucket
from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, allow, document
from components.aws.queues import consume, queue_alarms, queue_with_dead_letters
from components.aws.results import table_alarms, table_of
from components.aws.watch import Alarm
from components.contract import Principal

ANSWERS = "answers"
REQUESTS = "requests"
ATTEMPTS = 5
KEY, EXPIRES = "id", "expires"


class AnswerStore(pulumi.ComponentResource):
    """A bucket and a table that forget, and a queue with dead letters behind it.

    Nothing here outlives `keepHours` by much: the bucket expires by days, the table within a few of them; what is over is not
    shown before it is gone. So nothing is kept when the stack goes either, whatever `dataRetention` says.
    """

    database: None
    table: pulumi.Output[str]
    bucket: str
    queue_arn: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]
    replay_topic: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AwsContext, args: AnswersArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:AnswerStore", name, None, opts)
        self._names, self._place, self._keep_hours = home.names, home.place, args.keep_hours
        self.bucket = home.bucket_name(ANSWERS)
        bucket, _ = private_bucket(name, self.bucket, home.place, False, self)
        expiring(name, bucket, expiry_days(args.keep_hours), self)
        table = table_of(f"{name}-table", home.names.named(ANSWERS), KEY, None, False, self, EXPIRES)
        visibility_s = self._unseen_s = args.timeouts.visibility_s
        queue, dead = queue_with_dead_letters(
            name, home.names.named(ANSWERS), home.place, self, max_attempts=ATTEMPTS, keep=False, visibility_s=visibility_s
        )
        self.table, self.queue_arn, self.queue_url, self.dead_letter_url = table.name, queue.arn, queue.url, dead.url
        self.database, self.replay_topic = None, None
        self.log_groups = []
        self.alarms = [*queue_alarms(ANSWERS, queue, dead, visibility_s), *table_alarms(ANSWERS, table.name, "PutItem")]
        self.register_outputs({"table": self.table, "queueUrl": self.queue_url, "deadLetterUrl": self.dead_letter_url})

    def variables(self) -> dict[str, pulumi.Input[str]]:
        """What the function that hands over and gives answers is told, and its worker: where they are, and how often one is tried."""
        return {
            "ANSWERS_TABLE": self.table,
            "ANSWERS_BUCKET": self.bucket,
            "ANSWERS_QUEUE_URL": self.queue_url,
            "ANSWERS_KEEP_HOURS": str(self._keep_hours),
            "ANSWERS_UNSEEN_S": str(self._unseen_s),
            "MAX_ATTEMPTS": str(ATTEMPTS),
        }

    def grant_caller(self, principal: Principal) -> aws.iam.RolePolicy:
        """Let one role hand requests over and give answers."""
        return aws.iam.RolePolicy(
            f"{principal.name}-answers",
            role=principal.identity,
            policy=json.dumps(document(*self._rights_of_caller(self._place))),
            opts=pulumi.ResourceOptions(parent=principal.parent),
        )

    def _rights_of_caller(self, place: Place) -> list[Statement]:
        """Store a request, tell the worker, see whether messages wait, read an answer.

        Rows and answers are also those of the idempotency keys.
        """
        return [
            *(allow("s3:PutObject", self._objects(place, folder)) for folder in (REQUESTS, ANSWERS)),
            allow("s3:GetObject", self._objects(place, ANSWERS)),
            self._listing(place),
            allow(["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], self._rows(place)),
            allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], place.arn("sqs", self._names.named(ANSWERS))),
        ]

    def rights_of_worker(self, place: Place) -> list[Statement]:
        """Take messages and say when one that failed is seen again, read a request, store its answer and how it ended."""
        return [
            consume(place, self._names.named(ANSWERS)),
            allow("sqs:ChangeMessageVisibility", place.arn("sqs", self._names.named(ANSWERS))),
            allow("s3:GetObject", self._objects(place, REQUESTS)),
            allow("s3:PutObject", self._objects(place, ANSWERS)),
            self._listing(place),
            allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], self._rows(place)),
        ]

    def _objects(self, place: Place, folder: str) -> str:
        return place.bucket(self._names.bucket(place.account, place.region, ANSWERS), f"/{folder}/*")

    def _listing(self, place: Place) -> Statement:
        """Who may list is told that an object is gone, else that it is forbidden (S3 API reference, GetObject)."""
        return allow("s3:ListBucket", place.bucket(self._names.bucket(place.account, place.region, ANSWERS)))

    def _rows(self, place: Place) -> str:
        return place.arn("dynamodb", f"table/{self._names.named(ANSWERS)}")


def expiry_days(keep_hours: int) -> int:
    """Days after which the bucket forgets: `keep_hours` from an answer on, whose request may be a day of retries older."""
    return -(-keep_hours // 24) + 1

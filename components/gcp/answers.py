"""Where requests wait whose answers come later: their bodies, whose they are, and the topic to the worker."""

import pulumi
import pulumi_gcp as gcp

from components.args import AnswersArgs
from components.gcp.buckets import READER, WRITER, grant, private_bucket
from components.gcp.context import GcpContext
from components.gcp.databases import database, expiring, may_use
from components.gcp.topics import may_publish, pulled, topic, waiting
from components.gcp.watch import Alarm

ANSWERS, REQUESTS, DEAD = "answers", "requests", "answers-dead"
# With the pauses between them about forty minutes: a push that no instance has room for counts as one too.
ATTEMPTS = 10


class AnswerStore(pulumi.ComponentResource):
    """A bucket and a database that forget, and a topic whose work ends among dead letters if nothing else helps.

    Nothing here outlives `keepHours` by much: the bucket expires by days, documents go within a day; what is over is not shown before
    it is gone. So nothing is kept when the stack goes either, whatever `dataRetention` says.
    """

    database: pulumi.Output[str]
    table: pulumi.Output[str]
    queue_url: None
    dead_letter_url: pulumi.Output[str]
    replay_topic: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, args: AnswersArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:AnswerStore", name, None, opts)
        self._home, self._args = home, args
        self._bucket = private_bucket(name, home, ANSWERS, self, keep=False, expire_days=expiry_days(args.keep_hours))
        self._database = database(name, home, ANSWERS, self, keep=False)
        expiring(f"{name}-expiry", self._database, ANSWERS, self)
        self.topic, self.dead = topic(name, home, ANSWERS, self), topic(f"{name}-dead", home, DEAD, self)
        self.letters = pulled(f"{name}-dead", home, DEAD, self.dead, self, keep=False)
        # Until the worker's subscription is there, what is published is lost.
        self.taken: list[gcp.pubsub.Subscription] = []
        self.database, self.table = self._database.name, pulumi.Output.from_input(ANSWERS)
        self.queue_url, self.dead_letter_url, self.replay_topic = None, self.letters.id, self.topic.id
        self.log_groups = []
        self.alarms = [waiting("answers-dead-letters", "Answers could not be made: see why, then replay them.", self.letters.name)]
        self.register_outputs({"database": self.database, "table": self.table, "deadLetterUrl": self.dead_letter_url})

    def variables_of_caller(self) -> dict[str, pulumi.Input[str]]:
        """What the function is told that hands over and gives answers."""
        return {**self.variables_of_worker(), "ANSWERS_TOPIC": self.topic.id, "AUTH_MODE": self._args.auth_mode}

    def variables_of_worker(self) -> dict[str, pulumi.Input[str]]:
        """Where the worker finds requests and leaves answers, and after which attempt a message is a dead letter."""
        return {
            "ANSWERS_DATABASE": self.database,
            "ANSWERS_COLLECTION": self.table,
            "ANSWERS_BUCKET": self._bucket.name,
            "ANSWERS_KEEP_HOURS": str(self._args.keep_hours),
            "MAX_ATTEMPTS": str(ATTEMPTS),
        }

    def grant_caller(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one account store a request, tell the worker, read an answer; rows and answers are also those of the idempotency keys."""
        return [
            may_use(f"{name}-keeps-rows", self._home, self._database, who, parent),
            grant(f"{name}-writes-requests", self._bucket, WRITER, who, parent, folder=REQUESTS),
            grant(f"{name}-writes-answers", self._bucket, WRITER, who, parent, folder=ANSWERS),
            grant(f"{name}-reads-answers", self._bucket, READER, who, parent, folder=ANSWERS),
            may_publish(f"{name}-hands-over", self.topic, who, parent),
        ]

    def grant_worker(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one account read a request, store its answer and how it ended. It sees answers, too: what is there already may be refused as
        forbidden, and only who looks knows that it is its own."""
        return [
            may_use(f"{name}-keeps-rows", self._home, self._database, who, parent),
            grant(f"{name}-reads-requests", self._bucket, READER, who, parent, folder=REQUESTS),
            grant(f"{name}-writes-answers", self._bucket, WRITER, who, parent, folder=ANSWERS),
            grant(f"{name}-reads-answers", self._bucket, READER, who, parent, folder=ANSWERS),
        ]


def expiry_days(keep_hours: int) -> int:
    """Days after which the bucket forgets: `keep_hours` from an answer on, whose request may be a day of retries older."""
    return -(-keep_hours // 24) + 1

"""Where the results of the event pipeline go: one document per object generation, large results beside it, messages if wanted."""

import pulumi

from components.args import EventArgs
from components.gcp.buckets import WRITER, grant, private_bucket
from components.gcp.context import GcpContext
from components.gcp.databases import database, expiring, may_use, unindexed
from components.gcp.topics import may_publish, pulled, topic
from components.gcp.watch import Alarm

RESULTS, RESULT = "results", "result"
# Where the function counts the attempts of an event, which Eventarc does not tell (`handlers/functions/gcp/attempts.py`).
ATTEMPTS = f"{RESULTS}-attempts"


class ResultStore(pulumi.ComponentResource):
    """A database, which makes every result the only one of its object generation, a bucket for results that don't fit a document, and
    with `results: [queue]` a topic with a subscription for consumers of one's own."""

    database: pulumi.Output[str]
    table: pulumi.Output[str]
    bucket: str
    queue_url: pulumi.Output[str] | None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ResultStore", name, None, opts)
        self._home, self._results = home, args.results
        self._bucket = private_bucket(name, home, RESULTS, self, keep=home.keep)
        self._database = database(name, home, RESULTS, self, keep=home.keep)
        unindexed(f"{name}-result", self._database, RESULTS, RESULT, self)
        # Attempts are no results: what is left of them goes by itself.
        expiring(f"{name}-attempts", self._database, ATTEMPTS, self)
        self._topic, self.queue_url = None, None
        if "queue" in args.results:
            self._topic = topic(f"{name}-queue", home, RESULTS, self)
            self.queue_url = pulled(f"{name}-queue", home, RESULTS, self._topic, self, keep=home.keep).id
        self.database, self.bucket = self._database.name, home.bucket_name(RESULTS)
        self.table = pulumi.Output.from_input(RESULTS)
        self.log_groups, self.alarms = [], []
        self.register_outputs({"database": self.database, "table": self.table, "bucket": self.bucket, "queueUrl": self.queue_url})

    def grant_writer(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one account write documents, add large results, and publish messages."""
        granted: list[pulumi.Resource] = [
            may_use(f"{name}-writes-documents", self._home, self._database, who, parent),
            grant(f"{name}-writes-results", self._bucket, WRITER, who, parent),
        ]
        return granted if self._topic is None else [*granted, may_publish(f"{name}-publishes", self._topic, who, parent)]

    def variables_of_writer(self) -> dict[str, pulumi.Input[str]]:
        """Where the function leaves results."""
        sent: dict[str, pulumi.Input[str]] = {} if self._topic is None else {"RESULTS_TOPIC": self._topic.id}
        return {
            "RESULTS": ",".join(self._results),
            "RESULTS_DATABASE": self.database,
            "RESULTS_COLLECTION": self.table,
            "RESULTS_BUCKET": self._bucket.name,
            **sent,
        }

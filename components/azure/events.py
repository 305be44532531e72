"""The beginning of the event pipeline: a container for objects, the queue that is told of them, and the dead letters."""

import pulumi
import pulumi_azure_native as azure

from components.args import EventArgs
from components.azure.context import AzureContext
from components.azure.letters import Letters
from components.azure.roles import BLOB_READER, QUEUE_TAKER
from components.azure.storage import Account
from components.azure.watch import Alarm, waiting

WORK, OBJECTS, EVENTS, DEAD_EVENTS = "work", "objects", "events", "dead-events"
# Events that could not be worked off within an hour wait for longer than that.
OLD_S = 3600


class ObjectSource(pulumi.ComponentResource):
    """A storage account with the objects' container, whose new blobs Event Grid tells of (`delivery.py`), and the queue of those events.

    A blob has no versions here: what Event Grid tells of an object is its ETag, by which it is read, or not any more.
    """

    bucket: str
    objects_url: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]
    replay_topic: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AzureContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ObjectSource", name, None, opts)
        self._args = args
        self.account = Account(name, home, WORK, self, keep=home.keep)
        self.objects, self.dead_events = self.account.container(OBJECTS), self.account.container(DEAD_EVENTS)
        self.events = self.account.queue(EVENTS)
        self.letters = Letters(f"{name}-letters", home, self, keep=home.keep)
        self.bucket, self.objects_url = OBJECTS, self.account.url(self.objects)
        self.queue_url, self.dead_letter_url, self.replay_topic = self.account.url(self.events), self.letters.url, None
        self.log_groups = []
        self.alarms = [
            *self.letters.alarms("events-dead-letters", "Objects could not be processed: see why, then replay them."),
            waiting(
                "events-age", "Events wait for long.", self.account.queues(), most=args.max_concurrency * OLD_S // args.timeouts.function_s
            ),
        ]
        self.register_outputs({"bucket": self.bucket, "objectsUrl": self.objects_url, "queueUrl": self.queue_url})

    def grant_reader(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one identity read the objects that start the pipeline."""
        return [self.account.let(f"{name}-reads-objects", BLOB_READER, who, self.objects, OBJECTS, parent)]

    def grant_consumer(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one identity read them, take events from their queue, and leave dead letters."""
        return [
            *self.grant_reader(name, who, parent),
            self.account.let(f"{name}-takes-events", QUEUE_TAKER, who, self.events, EVENTS, parent),
            self.letters.let(f"{name}-buries", who, parent),
        ]

    def variables_of_reader(self) -> dict[str, pulumi.Input[str]]:
        """Which objects the model server takes by reference."""
        prefix = pulumi.Output.format("{0}/{1}", self.objects_url, self._args.prefix or "")
        return {"INPUTS_URI": prefix, "MAX_OBJECT_BYTES": str(self._args.max_object_bytes)}

    def variables_of_consumer(self) -> dict[str, pulumi.Input[str]]:
        """Where the function finds events, which objects it takes, how often it tries, and where it leaves what it could not process.

        Event Grid compares the ends of names without their case where there are several (its documentation, event filtering), so that
        the function looks again.
        """
        args = self._args
        named = {"OBJECT_PREFIX": args.prefix or "", "OBJECT_SUFFIXES": ",".join(args.suffixes)}
        return {
            "EVENTS_QUEUE_URL": self.queue_url,
            "OBJECTS_URL": self.objects_url,
            "VISIBILITY_S": str(args.timeouts.visibility_s),
            "MIN_OBJECT_BYTES": str(args.min_object_bytes),
            "MAX_OBJECT_BYTES": str(args.max_object_bytes),
            "MAX_ATTEMPTS": str(args.max_attempts),
            "DEAD_LETTER_QUEUE_URL": self.dead_letter_url,
            **{key: value for key, value in named.items() if value},
        }

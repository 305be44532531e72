"""The beginning of the event pipeline: a bucket, the dead letters of what could not be processed, and the way back from there."""

import pulumi

from components.args import EventArgs
from components.gcp.buckets import READER, grant, private_bucket
from components.gcp.context import GcpContext
from components.gcp.topics import may_publish, pulled, topic, waiting
from components.gcp.watch import Alarm

OBJECTS, DEAD, REPLAY = "objects", "dead", "replay"


class ObjectSource(pulumi.ComponentResource):
    """A private bucket with versions, whose new objects Eventarc tells of (`event_function.py`).

    What can't be processed lies among the dead letters for two weeks. From there it is sent again through the topic `replay`.
    """

    bucket: str
    objects_url: None
    queue_url: None
    dead_letter_url: pulumi.Output[str]
    replay_topic: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ObjectSource", name, None, opts)
        self._args = args
        self.held = private_bucket(name, home, OBJECTS, self, keep=home.keep)
        self._dead = topic(f"{name}-dead", home, DEAD, self)
        letters = pulled(f"{name}-dead", home, DEAD, self._dead, self, keep=home.keep)
        self.replayed = topic(f"{name}-replay", home, REPLAY, self)
        self.bucket = home.bucket_name(OBJECTS)
        self.objects_url, self.queue_url, self.dead_letter_url, self.replay_topic = None, None, letters.id, self.replayed.id
        self.log_groups = []
        text = "Objects could not be processed: see why, then replay them."
        self.alarms = [waiting("events-dead-letters", text, letters.name)]
        self.register_outputs({"bucket": self.bucket, "deadLetterUrl": self.dead_letter_url, "replayTopic": self.replay_topic})

    def grant_reader(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one account read the objects that start the pipeline."""
        return [grant(f"{name}-reads-objects", self.held, READER, who, parent)]

    def grant_consumer(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one account read them, and leave dead letters."""
        return [*self.grant_reader(name, who, parent), may_publish(f"{name}-buries", self._dead, who, parent)]

    def variables_of_reader(self) -> dict[str, pulumi.Input[str]]:
        """Which objects the model server takes by reference."""
        prefix = pulumi.Output.format("gs://{0}/{1}", self.held.name, self._args.prefix or "")
        return {"INPUTS_URI": prefix, "MAX_OBJECT_BYTES": str(self._args.max_object_bytes)}

    def variables_of_consumer(self) -> dict[str, pulumi.Input[str]]:
        """Which objects the function takes, how often it tries, and where it leaves what it could not process.

        A trigger knows the bucket alone (Eventarc documentation, event filters), so that the function sorts out the rest by name.
        """
        args = self._args
        named = {"OBJECT_PREFIX": args.prefix or "", "OBJECT_SUFFIXES": ",".join(args.suffixes)}
        return {
            "MIN_OBJECT_BYTES": str(args.min_object_bytes),
            "MAX_OBJECT_BYTES": str(args.max_object_bytes),
            "MAX_ATTEMPTS": str(args.max_attempts),
            "DEAD_LETTER_TOPIC": self._dead.id,
            **{key: value for key, value in named.items() if value},
        }

"""What the role `events` is told by its environment; the table of variables is in docs/architecture.md, contract 7."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.api import MAX_INPUTS
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.places import Place, place
from handlers.functions.azure.settings import MOST_BYTES
from handlers.functions.call_settings import endpoint_url
from handlers.functions.environment import Environment
from handlers.functions.pipeline import PipelineSettings

RESULTS = ("table", "queue", "table,queue", "queue,table")
# 10 MiB, as in the stacks' settings.
MAX_OBJECT_BYTES = 10_485_760
# Who keeps the table of results: Azure Storage, or Cosmos DB.
SERVICES = ("storage", "cosmos")
# A result is held as outputs, as text and as bytes: an eighth of the memory is left for those of all messages at a time.
MEMORY_SHARE = 8
# What stays beside the model's time to read an object and to record its result.
AROUND_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSettings:
    """Where events come from, where results and dead letters go, and what the pipeline is to do; `queue` is None where results are rows
    only, `cosmos`: the table is one of Cosmos DB.

    A subscription of Event Grid's knows one prefix and no sizes, and events may have been there before it changed: so `prefix` and
    `suffixes` (all names, where there is none) are checked here as well.
    """

    events: Place
    dead: Place
    objects: Place
    table: Place
    cosmos: bool
    large: Place
    queue: Place | None
    prefix: str
    suffixes: tuple[str, ...]
    endpoint_url: str
    consumer: ConsumerSettings
    pipeline: PipelineSettings

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "EventSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        timeout_s = settings.endpoint_timeout_s(environment, default=60)
        taking = ConsumerSettings.read(environment, timeout_s + AROUND_S)
        sends = "queue" in environment.choice("RESULTS", RESULTS).split(",")
        found = cls(
            events=place(environment, "EVENTS_QUEUE_URL", "the queue of events"),
            dead=place(environment, "DEAD_LETTER_QUEUE_URL", "the queue for events without a result"),
            objects=place(environment, "OBJECTS_URL", "the container of the objects"),
            table=place(environment, "RESULTS_TABLE_URL", "the table for results"),
            cosmos=environment.choice("RESULTS_TABLE_SERVICE", SERVICES) == "cosmos",
            large=place(environment, "RESULTS_CONTAINER_URL", "the container for large results"),
            queue=place(environment, "RESULTS_QUEUE_URL", "the queue for results") if sends else None,
            prefix=environment.text("OBJECT_PREFIX") or "",
            suffixes=tuple(filter(None, (environment.text("OBJECT_SUFFIXES") or "").split(","))),
            endpoint_url=endpoint_url(environment),
            consumer=taking,
            pipeline=_pipeline(environment, timeout_s, taking.concurrency),
        )
        environment.check()
        return found

    def takes(self, key: str) -> bool:
        """Whether objects of that name start the pipeline."""
        return key.startswith(self.prefix) and (not self.suffixes or key.endswith(self.suffixes))


def _pipeline(environment: Environment, timeout_s: float, concurrency: int) -> PipelineSettings:
    memory_mb = environment.whole("MEMORY_MB", 512, least=128, most=1 << 20)
    return PipelineSettings(
        min_object_bytes=environment.whole("MIN_OBJECT_BYTES", 1, least=0, most=1 << 40),
        max_object_bytes=environment.whole("MAX_OBJECT_BYTES", MAX_OBJECT_BYTES, least=1, most=1 << 30),
        max_result_bytes=memory_mb * 1024**2 // (MEMORY_SHARE * concurrency),
        max_inputs=MAX_INPUTS,
        max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=64, most=MOST_BYTES),
        timeout_s=timeout_s,
        task=settings.task(environment),
        service=environment.text("SERVICE"),
    )

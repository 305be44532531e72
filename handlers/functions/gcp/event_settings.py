"""What the role `events` is told by its environment; the table of variables is in docs/architecture.md, contract 7."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.api import MAX_INPUTS
from handlers.functions.call_settings import endpoint_url, request_timeout_s
from handlers.functions.environment import Environment
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, topic
from handlers.functions.pipeline import PipelineSettings
from handlers.web.settings import ServerSettings

RESULTS = ("table", "queue", "table,queue", "queue,table")
# 10 MiB, as in the stacks' settings.
MAX_OBJECT_BYTES = 10_485_760
# A result is held as outputs, as text and as bytes: an eighth of the memory is left for those of all requests at a time.
MEMORY_SHARE = 8
# What stays beside the model's time to read an object, to record its result and to answer.
AROUND_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSettings:
    """Where results and dead letters go, and what the pipeline is to do; `topic` is None where results are documents only.

    A trigger of Eventarc's knows a bucket and no names in it, so `prefix` and `suffixes` (all names, where there is none) are checked
    here.
    """

    project: str
    database: str
    collection: str
    bucket: str
    topic: str | None
    dead_letter_topic: str
    max_attempts: int
    prefix: str
    suffixes: tuple[str, ...]
    endpoint_url: str
    request_timeout_s: float
    server: ServerSettings
    pipeline: PipelineSettings

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "EventSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        server = ServerSettings.read(environment, concurrency=8)
        timeout_s = settings.endpoint_timeout_s(environment, default=60)
        sends = "queue" in environment.choice("RESULTS", RESULTS).split(",")
        found = cls(
            project=environment.required("GOOGLE_CLOUD_PROJECT", "the project of the database and the topics"),
            database=environment.required("RESULTS_DATABASE", "the name of the Firestore database for results"),
            collection=environment.required("RESULTS_COLLECTION", "the collection of the results"),
            bucket=environment.required("RESULTS_BUCKET", "the name of the bucket for large results"),
            topic=topic(environment, "RESULTS_TOPIC", "the topic for results") if sends else None,
            dead_letter_topic=topic(environment, "DEAD_LETTER_TOPIC", "the topic for events without a result"),
            max_attempts=environment.whole("MAX_ATTEMPTS", 3, least=1, most=1000),
            prefix=environment.text("OBJECT_PREFIX") or "",
            suffixes=tuple(filter(None, (environment.text("OBJECT_SUFFIXES") or "").split(","))),
            endpoint_url=endpoint_url(environment),
            request_timeout_s=request_timeout_s(environment, timeout_s + AROUND_S),
            server=server,
            pipeline=_pipeline(environment, timeout_s, server.concurrency),
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
        max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=64, most=MAX_ANSWER_BYTES),
        timeout_s=timeout_s,
        task=settings.task(environment),
        service=environment.text("SERVICE"),
    )

"""What the event function is told by its environment; the table of variables is in docs/architecture.md, contract 7."""

from dataclasses import dataclass

from handlers.functions.attempts import Attempts
from handlers.functions.environment import Environment
from handlers.functions.pipeline import PipelineSettings

RESULTS = ("table", "queue", "table,queue", "queue,table")
# 10 MiB, as in the stacks' settings.
MAX_OBJECT_BYTES = 10_485_760
# A result is held as outputs, as text and as bytes: an eighth of the function's memory is left for it.
MEMORY_SHARE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSettings:
    """The queue that messages come from and how often it gives one, where results go, and what the pipeline is to do.

    `queue_url` is None where results are rows only.
    """

    events_url: str
    attempts: Attempts
    table: str
    bucket: str
    queue_url: str | None
    pipeline: PipelineSettings

    @classmethod
    def read(cls, environment: Environment, *, task: str, max_inputs: int, max_body_bytes: int, timeout_s: float) -> "EventSettings":
        """With what the model takes. Mistakes are collected: the caller checks the environment."""
        results = environment.choice("RESULTS", RESULTS)
        sends = "queue" in results.split(",")
        # Lambda's own variable (Lambda developer guide, "Defined runtime environment variables").
        memory_mb = environment.whole("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 512, least=128, most=1 << 20)
        environment.required("EVENTS_UNSEEN_S", "the seconds that the queue of events hides a message for")
        return cls(
            events_url=environment.required("EVENTS_QUEUE_URL", "the URL of the queue of events"),
            attempts=Attempts.read(environment, "EVENTS_UNSEEN_S"),
            table=environment.required("RESULTS_TABLE", "the name of the DynamoDB table for results"),
            bucket=environment.required("RESULTS_BUCKET", "the name of the bucket for large results"),
            queue_url=environment.required("RESULTS_QUEUE_URL", "the URL of the queue for results") if sends else None,
            pipeline=PipelineSettings(
                min_object_bytes=environment.whole("MIN_OBJECT_BYTES", 1, least=0, most=1 << 40),
                max_object_bytes=environment.whole("MAX_OBJECT_BYTES", MAX_OBJECT_BYTES, least=1, most=1 << 30),
                max_result_bytes=memory_mb * 1024**2 // MEMORY_SHARE,
                max_inputs=max_inputs,
                max_body_bytes=max_body_bytes,
                timeout_s=timeout_s,
                task=task,
                service=environment.text("SERVICE"),
            ),
        )

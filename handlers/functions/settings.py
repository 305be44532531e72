"""What the functions in front of an endpoint are told by their environment; the table is in docs/architecture.md, contract 3."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.functions import requests
from handlers.functions.attempts import Attempts
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.environment import Environment

_ANSWERS = ("ANSWERS_TABLE", "ANSWERS_BUCKET", "ANSWERS_QUEUE_URL", "ANSWERS_KEEP_HOURS", "ANSWERS_UNSEEN_S")
LEAST_KEEP_HOURS, MOST_KEEP_HOURS = 24, 8760


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSettings:
    """Where answers that come later are kept, for how many seconds, and how often one is tried; a worker may do without the queue's URL."""

    table: str
    bucket: str
    queue_url: str
    keep_s: int
    attempts: Attempts

    @classmethod
    def read(cls, environment: Environment, *, needed: bool) -> "AnswerSettings | None":
        """None where no variable is set, unless they are `needed`. Mistakes are collected in the environment."""
        if not needed and not any(environment.text(name) for name in _ANSWERS):
            return None
        hours = environment.required("ANSWERS_KEEP_HOURS", f"the hours that answers are kept, {LEAST_KEEP_HOURS} at least")
        keep = environment.whole("ANSWERS_KEEP_HOURS", LEAST_KEEP_HOURS, least=LEAST_KEEP_HOURS, most=MOST_KEEP_HOURS) if hours else 0
        environment.required("ANSWERS_UNSEEN_S", "the seconds that the queue of answers hides a message for")
        queue = "the URL of the queue of answers"
        return cls(
            table=environment.required("ANSWERS_TABLE", "the name of the table of answers"),
            bucket=environment.required("ANSWERS_BUCKET", "the name of the bucket of answers"),
            queue_url=environment.text("ANSWERS_QUEUE_URL") or "" if needed else environment.required("ANSWERS_QUEUE_URL", queue),
            keep_s=keep * 3600,
            attempts=Attempts.read(environment, "ANSWERS_UNSEEN_S"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSettings:
    """Endpoint to call, how long it may take in seconds, the largest body in bytes, the task that it serves.

    `answers` where they may come later; `service` is the metrics' dimension, None for no metrics.
    """

    endpoint_name: str
    endpoint_timeout_s: float
    max_body_bytes: int
    task: str
    answers: AnswerSettings | None = None
    service: str | None = None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "FunctionSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        answers = AnswerSettings.read(environment, needed=False)
        # What is handed over needs its share of the endpoint's time.
        settings = cls.read(environment, answers, least_s=0.1 if answers is None else HAND_OVER_S + 0.1)
        environment.check()
        return settings

    @classmethod
    def read(cls, environment: Environment, answers: AnswerSettings | None, *, least_s: float = 0.1) -> "FunctionSettings":
        """`least_s` bounds the endpoint's time. Mistakes are collected in the environment."""
        return cls(
            endpoint_name=environment.required("ENDPOINT_NAME", "the name of the SageMaker endpoint"),
            endpoint_timeout_s=environment.seconds("ENDPOINT_TIMEOUT_S", 25, least=least_s, most=900),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=1, most=6_291_556),
            task=environment.choice("MODEL_TASK", requests.PARAMETERS),
            answers=answers,
            service=environment.text("SERVICE"),
        )

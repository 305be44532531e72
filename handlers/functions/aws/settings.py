"""What AWS's functions in front of an endpoint are told by their environment; the table is in docs/architecture.md, contract 3."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.attempts import Attempts
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.environment import Environment
from handlers.functions.settings import FunctionSettings

_ANSWERS = ("ANSWERS_TABLE", "ANSWERS_BUCKET", "ANSWERS_QUEUE_URL", "ANSWERS_KEEP_HOURS", "ANSWERS_UNSEEN_S")


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
        keep_s = settings.keep_s(environment)
        environment.required("ANSWERS_UNSEEN_S", "the seconds that the queue of answers hides a message for")
        queue = "the URL of the queue of answers"
        return cls(
            table=environment.required("ANSWERS_TABLE", "the name of the table of answers"),
            bucket=environment.required("ANSWERS_BUCKET", "the name of the bucket of answers"),
            queue_url=environment.text("ANSWERS_QUEUE_URL") or "" if needed else environment.required("ANSWERS_QUEUE_URL", queue),
            keep_s=keep_s,
            attempts=Attempts.read(environment, "ANSWERS_UNSEEN_S"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LambdaSettings(FunctionSettings):
    """The endpoint to call by its name, and where answers may come later where they are kept."""

    endpoint_name: str
    answers: AnswerSettings | None = None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "LambdaSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        answers = AnswerSettings.read(environment, needed=False)
        # What is handed over needs its share of the endpoint's time.
        read = cls.read(environment, answers, least_s=0.1 if answers is None else HAND_OVER_S + 0.1)
        environment.check()
        return read

    @classmethod
    def read(cls, environment: Environment, answers: AnswerSettings | None, *, least_s: float = 0.1) -> "LambdaSettings":
        """`least_s` bounds the endpoint's time. Mistakes are collected in the environment."""
        return cls(
            endpoint_name=environment.required("ENDPOINT_NAME", "the name of the SageMaker endpoint"),
            endpoint_timeout_s=settings.endpoint_timeout_s(environment, least_s=least_s),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=1, most=6_291_556),
            task=settings.task(environment),
            answers=answers,
            service=environment.text("SERVICE"),
        )

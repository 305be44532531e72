"""What Azure's functions are told by their environment; the table is in docs/architecture.md, contract 3."""

from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.attempts import Attempts
from handlers.functions.azure.places import Place, place
from handlers.functions.environment import Environment
from handlers.web.settings import ServerSettings

# What surely goes through API Management's Consumption tier (subscription and service limits: buffered payload, read 2026-11).
MAX_ANSWER_BYTES = 2 * 1024**2
# Of a body or an answer, whatever the environment says: a request is held in memory.
MOST_BYTES = 32 * 1024**2
# Container Apps ends a replica 30 s after SIGTERM ("Application lifecycle management", shutdown); the last two are for last words.
_DRAIN_S = 28.0
_ANSWERS = ("ANSWERS_TABLE_URL", "ANSWERS_CONTAINER_URL", "ANSWERS_QUEUE_URL", "ANSWERS_KEEP_HOURS")
# "Get Messages", visibilitytimeout.
_MOST_UNSEEN_S = 7 * 24 * 3600


def server(environment: Environment, *, concurrency: int = 80) -> ServerSettings:
    """How the HTTP server behaves. Mistakes are collected in the environment, as with all of these."""
    return ServerSettings.read(environment, concurrency=concurrency, drain_s=_DRAIN_S)


def max_answer_bytes(environment: Environment) -> int:
    """MAX_ANSWER_BYTES: the largest answer that is sent."""
    return environment.whole("MAX_ANSWER_BYTES", MAX_ANSWER_BYTES, least=1, most=MOST_BYTES)


def attempts(environment: Environment) -> Attempts:
    """MAX_ATTEMPTS, and VISIBILITY_S: for how long a message that was taken is seen by nobody else, unless that is renewed."""
    environment.required("VISIBILITY_S", "the seconds that a message is hidden for")
    unseen_s = environment.whole("VISIBILITY_S", 30, least=1, most=_MOST_UNSEEN_S)
    return Attempts(most=environment.whole("MAX_ATTEMPTS", 5, least=1, most=1000), unseen_s=unseen_s)


def collect_spans(environment: Environment) -> None:
    """APPLICATIONINSIGHTS_CONNECTION_STRING: where spans go from now on."""
    if environment.text("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        # Here, since most stacks have no traces, and no cold start of theirs is to pay for any.
        from handlers.functions.azure import insights

        insights.start(environment)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSettings:
    """Where answers that come later are kept, for how many seconds, and how often one is tried."""

    table: Place
    container: Place
    queue: Place
    keep_s: int
    attempts: Attempts

    @classmethod
    def wanted(cls, environment: Environment) -> bool:
        """Whether any of their variables is set."""
        return any(environment.text(name) for name in _ANSWERS)

    @classmethod
    def read(cls, environment: Environment) -> "AnswerSettings":
        """Mistakes are collected in the environment."""
        return cls(
            table=place(environment, "ANSWERS_TABLE_URL", "the table of answers"),
            container=place(environment, "ANSWERS_CONTAINER_URL", "the container of requests and answers"),
            queue=place(environment, "ANSWERS_QUEUE_URL", "the queue of answers to come"),
            keep_s=settings.keep_s(environment),
            attempts=attempts(environment),
        )

"""What Google Cloud's functions are told by their environment; the table is in docs/architecture.md, contract 3."""

import re
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.attempts import Attempts
from handlers.functions.deadline import MARGIN_S
from handlers.functions.environment import Environment
from handlers.functions.gcp.callers import AUTH_MODES
from handlers.functions.settings import FunctionSettings

_ANSWERS = ("ANSWERS_DATABASE", "ANSWERS_COLLECTION", "ANSWERS_BUCKET", "ANSWERS_TOPIC", "ANSWERS_KEEP_HOURS")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_URL = re.compile(r"https?://[^/?#\s]+[^?#\s]*")
# HTTP/1 to a Cloud Run service and back, and API Gateway's messages: 32 MB (quotas pages of both, read 2026-11), less the headers.
MAX_ANSWER_BYTES = 32 * 1024**2 - 65_536
# After which a push that nobody answered comes again, at the latest (Pub/Sub, "Extend ack time").
_ACK_S = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How the function's HTTP server behaves: `concurrency` requests at a time, times in seconds."""

    port: int
    bind_host: str
    concurrency: int
    body_timeout_s: float
    drain_s: float

    @classmethod
    def read(cls, environment: Environment, *, concurrency: int = 80) -> "ServerSettings":
        """`concurrency` is what it is unless the environment says otherwise. Mistakes are collected in the environment."""
        return cls(
            port=environment.whole("PORT", 8080, least=1, most=65_535),
            # Every address: a container is reached from outside of itself, and what may reach it is the platform's business.
            bind_host=environment.text("BIND_HOST") or "0.0.0.0",  # noqa: S104
            # Cloud Run's own bounds, and its default ("Maximum concurrent requests per instance").
            concurrency=environment.whole("CONCURRENCY", concurrency, least=1, most=1000),
            body_timeout_s=environment.seconds("BODY_TIMEOUT_S", 20, least=0.1, most=3600),
            # Cloud Run ends an instance 10 s after SIGTERM ("Container runtime contract").
            drain_s=environment.seconds("DRAIN_S", 8, least=0, most=3600),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CallSettings(FunctionSettings):
    """The endpoint's URL, which is also the audience of the tokens for it; how long an answer to a caller may take in all."""

    endpoint_url: str
    request_timeout_s: float

    @classmethod
    def read(cls, environment: Environment, *, least_s: float = 0.1) -> "CallSettings":
        """`least_s` bounds the endpoint's time. Mistakes are collected in the environment."""
        timeout_s = settings.endpoint_timeout_s(environment, least_s=least_s)
        return cls(
            endpoint_url=endpoint_url(environment),
            endpoint_timeout_s=timeout_s,
            request_timeout_s=request_timeout_s(environment, timeout_s + MARGIN_S),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=1, most=MAX_ANSWER_BYTES),
            task=settings.task(environment),
            service=environment.text("SERVICE"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSettings:
    """Where answers that come later are kept, for how many seconds, and how often one is tried.

    `topic` is empty for a worker, `auth` how callers are known.
    """

    project: str
    database: str
    collection: str
    bucket: str
    topic: str
    keep_s: int
    attempts: Attempts
    auth: str

    @classmethod
    def wanted(cls, environment: Environment) -> bool:
        """Whether any of their variables is set."""
        return any(environment.text(name) for name in _ANSWERS)

    @classmethod
    def read(cls, environment: Environment, *, sends: bool) -> "AnswerSettings":
        """For who hands over (`sends`), or for the worker. Mistakes are collected in the environment."""
        return cls(
            project=environment.required("GOOGLE_CLOUD_PROJECT", "the project of the database of answers"),
            database=environment.required("ANSWERS_DATABASE", "the name of the Firestore database of answers"),
            collection=environment.required("ANSWERS_COLLECTION", "the collection of the answers"),
            bucket=environment.required("ANSWERS_BUCKET", "the name of the bucket of answers"),
            topic=topic(environment, "ANSWERS_TOPIC", "the topic of answers to come") if sends else "",
            keep_s=settings.keep_s(environment),
            # As the subscription has it, which counts: 5 at least (Pub/Sub, "Handle message failures").
            attempts=Attempts(most=environment.whole("MAX_ATTEMPTS", 5, least=1, most=100), unseen_s=_ACK_S),
            auth=environment.choice("AUTH_MODE", AUTH_MODES) if sends else "",
        )


def topic(environment: Environment, name: str, what: str) -> str:
    """A topic's full name."""
    shape = f"{what}, projects/PROJECT/topics/TOPIC"
    return environment.matching(name, _TOPIC, shape) or environment.required(name, shape)


def request_timeout_s(environment: Environment, default: float) -> float:
    """REQUEST_TIMEOUT_S; a mistake is collected in the environment, as with all of these."""
    return environment.seconds("REQUEST_TIMEOUT_S", default, least=0.1, most=3600)


def endpoint_url(environment: Environment) -> str:
    """ENDPOINT_URL, without a slash at its end."""
    what = "the URL of the endpoint's service, https://…"
    return (environment.matching("ENDPOINT_URL", _URL, what) or environment.required("ENDPOINT_URL", what)).rstrip("/")

"""What Google Cloud's functions are told by their environment; the table is in docs/architecture.md, contract 3."""

import re
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.attempts import Attempts
from handlers.functions.environment import Environment
from handlers.functions.gcp.callers import AUTH_MODES

_ANSWERS = ("ANSWERS_DATABASE", "ANSWERS_COLLECTION", "ANSWERS_BUCKET", "ANSWERS_TOPIC", "ANSWERS_KEEP_HOURS")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
# HTTP/1 to a Cloud Run service and back, and API Gateway's messages: 32 MB (quotas pages of both, read 2026-11), less the headers.
MAX_ANSWER_BYTES = 32 * 1024**2 - 65_536
# After which a push that nobody answered comes again, at the latest (Pub/Sub, "Extend ack time").
_ACK_S = 600


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

"""What those who take messages from a queue are told by their environment; the table is in docs/architecture.md, contract 3."""

from dataclasses import dataclass

from handlers.functions.attempts import Attempts
from handlers.functions.azure.settings import attempts
from handlers.functions.call_settings import request_timeout_s
from handlers.functions.environment import Environment

# Container Apps ends a replica 30 s after SIGTERM ("Application lifecycle management", shutdown); the rest is for the last question to the
# queue and for what has to be given back.
_DRAIN_S = 22.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerSettings:
    """`concurrency` messages at a time; the seconds that work on one may take, and those that are left to finish after the order to
    leave."""

    attempts: Attempts
    concurrency: int
    timeout_s: float
    drain_s: float

    @classmethod
    def read(cls, environment: Environment, timeout_s: float) -> "ConsumerSettings":
        """Work may take `timeout_s` unless REQUEST_TIMEOUT_S says otherwise. Mistakes are collected in the environment."""
        return cls(
            attempts=attempts(environment),
            concurrency=environment.whole("CONCURRENCY", 8, least=1, most=1000),
            timeout_s=request_timeout_s(environment, timeout_s),
            drain_s=environment.seconds("DRAIN_S", _DRAIN_S, least=0, most=600),
        )

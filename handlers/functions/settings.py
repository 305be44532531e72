"""What every function in front of an endpoint is told by its environment; the table is in docs/architecture.md, contract 3."""

from dataclasses import dataclass

from handlers.functions.environment import Environment
from handlers.functions.parameters import PARAMETERS

LEAST_KEEP_HOURS, MOST_KEEP_HOURS = 24, 8760


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSettings:
    """How long the endpoint may take in seconds, the largest body in bytes, the task that it serves.

    `service` is the metrics' dimension, None for no metrics.
    """

    endpoint_timeout_s: float
    max_body_bytes: int
    task: str
    service: str | None = None


def endpoint_timeout_s(environment: Environment, *, default: float = 25, least_s: float = 0.1) -> float:
    """ENDPOINT_TIMEOUT_S; a mistake is collected in the environment, as with all of these."""
    return environment.seconds("ENDPOINT_TIMEOUT_S", default, least=least_s, most=900)


def task(environment: Environment) -> str:
    """MODEL_TASK."""
    return environment.choice("MODEL_TASK", PARAMETERS)


def keep_s(environment: Environment) -> int:
    """ANSWERS_KEEP_HOURS, in seconds."""
    hours = environment.required("ANSWERS_KEEP_HOURS", f"the hours that answers are kept, {LEAST_KEEP_HOURS} at least")
    return 3600 * (environment.whole("ANSWERS_KEEP_HOURS", LEAST_KEEP_HOURS, least=LEAST_KEEP_HOURS, most=MOST_KEEP_HOURS) if hours else 0)

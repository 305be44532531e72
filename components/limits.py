"""What the services allow: numbers, the page that states each, and the month it was noted here. Pure; the twin uses them too."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Range:
    """The whole numbers from `low` to `high`, `step` apart, in `unit`; with a step of 0 the fractions as well."""

    low: int
    high: int
    step: int = 1
    unit: str = ""
    source: str
    noted: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and (self.step == 0 or (value - self.low) % self.step == 0)

    def allowed(self) -> str:
        """The range in words: "1 to 200", "1024, 2048 or 3072 MB"."""
        steps = [str(value) for value in range(self.low, self.high + 1, self.step)] if self.step > 1 else []
        text = _either(steps) if steps else f"{self.low} to {self.high}"
        return f"{text} {self.unit}".strip()

    def problem(self, value: float) -> str | None:
        """What to use instead of `value`, or None when it is allowed."""
        return None if value in self else f"use {self.allowed()}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The values of a closed list, in `unit`."""

    values: tuple[int, ...]
    unit: str = ""
    source: str
    noted: str

    def __contains__(self, value: float) -> bool:
        return value in self.values

    def allowed(self) -> str:
        """The list in words."""
        return f"{_either(map(str, self.values))} {self.unit}".strip()

    def problem(self, value: float) -> str | None:
        """What to use instead of `value`, or None when it is allowed."""
        return None if value in self else f"use {self.allowed()}"


def _either(values: Iterable[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}" if most else last


_SERVERLESS = "SageMaker API reference, ProductionVariantServerlessConfig"
SAGEMAKER_MEMORY_MB = Range(low=1024, high=6144, step=1024, unit="MB", source=_SERVERLESS, noted="2026-11")
SAGEMAKER_CONCURRENCY = Range(low=1, high=200, source=_SERVERLESS, noted="2026-11")
_INVOKE = "SageMaker developer guide, invoke a serverless endpoint"
SAGEMAKER_PAYLOAD_BYTES = Range(low=0, high=4 * 1024**2, unit="bytes", source=_INVOKE, noted="2026-11")
SAGEMAKER_INVOCATION_S = Range(low=1, high=60, unit="s", source=_INVOKE, noted="2026-11")
SAGEMAKER_START_S = Range(low=0, high=180, unit="s", source=_INVOKE + " (download and first /ping)", noted="2026-11")
SAGEMAKER_DISK_BYTES = Range(low=0, high=5 * 1024**3, unit="bytes", source="SageMaker guide, serverless endpoints", noted="2026-11")

_LAMBDA = "Lambda developer guide, quotas"
LAMBDA_MEMORY_MB = Range(low=128, high=10_240, unit="MB", source=_LAMBDA, noted="2026-11")
LAMBDA_TIMEOUT_S = Range(low=1, high=900, unit="s", source=_LAMBDA, noted="2026-11")
LAMBDA_PAYLOAD_BYTES = Range(low=0, high=6 * 1024**2, unit="bytes", source=_LAMBDA, noted="2026-11")
LAMBDA_EPHEMERAL_MB = Range(low=512, high=10_240, unit="MB", source=_LAMBDA, noted="2026-11")
LAMBDA_INIT_S = Range(low=0, high=10, unit="s", source=_LAMBDA + " (on demand)", noted="2026-11")
# The account's quota (1000 by default, 100 of which stay unreserved) is what the account itself judges.
LAMBDA_RESERVED = Range(low=1, high=10_000, source="Lambda developer guide, reserved concurrency", noted="2026-11")

_GATEWAY = "API Gateway developer guide, quotas"
REST_TIMEOUT_MS = Range(low=50, high=29_000, unit="ms", source=_GATEWAY + " (REST, default quota)", noted="2026-11")
HTTP_TIMEOUT_MS = Range(low=50, high=30_000, unit="ms", source=_GATEWAY + " (HTTP)", noted="2026-11")
GATEWAY_PAYLOAD_BYTES = Range(low=0, high=10 * 1024**2, unit="bytes", source=_GATEWAY, noted="2026-11")
GATEWAY_RATE = Range(low=1, high=10_000, step=0, unit="requests a second", source=_GATEWAY + " (account, per region)", noted="2026-11")
GATEWAY_BURST = Range(low=1, high=5_000, unit="requests", source=_GATEWAY + " (account, per region)", noted="2026-11")
GATEWAY_QUOTA = Range(low=1, high=2**31 - 1, unit="requests a day", source="API Gateway API, QuotaSettings", noted="2026-11")

# What is left of the 6 MB of an event: the body lies in it as JSON, which escapes quotes and adds headers.
LAMBDA_BODY_BYTES = Range(low=0, high=4 * 1024**2, unit="bytes", source=_LAMBDA + " (6 MB a request)", noted="2026-11")

_MAPPING = "Lambda API reference, CreateEventSourceMapping"
BATCH_SIZE = Range(low=1, high=10_000, unit="messages", source=_MAPPING, noted="2026-11")
BATCH_WITHOUT_WINDOW = Range(low=1, high=10, unit="messages", source=_MAPPING, noted="2026-11")
BATCH_WINDOW_S = Range(low=0, high=300, unit="s", source=_MAPPING, noted="2026-11")
MAPPING_CONCURRENCY = Range(low=2, high=1_000, source="Lambda API reference, ScalingConfig", noted="2026-11")

_SQS = "SQS API reference, SetQueueAttributes"
VISIBILITY_S = Range(low=0, high=43_200, unit="s", source=_SQS, noted="2026-11")
MESSAGE_RETENTION_S = Range(low=60, high=1_209_600, unit="s", source=_SQS, noted="2026-11")
# Of an event queue three at least: an object that ends the process is kept apart from its neighbours from its second delivery on, once from
# each end (handlers/functions/waves.py), so that each neighbour is done by the third.
MAX_RECEIVES = Range(low=3, high=1_000, unit="times", source="SQS developer guide, dead-letter queues (1 to 1000)", noted="2026-11")

LOG_RETENTION_DAYS = Choice(
    values=(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
    unit="days",
    source="CloudWatch Logs API reference, PutRetentionPolicy",
    noted="2026-11",
)

# The same reference says ten elsewhere (its type Notification, and the length of the list): the smaller number is right in either case.
BUDGET_NOTIFICATIONS = Range(low=1, high=5, unit="notifications", source="Budgets API reference, CreateBudget", noted="2026-11")

_NAMES = "API references of the services, name patterns"
BUDGET_NAME = Range(low=1, high=100, unit="characters", source=_NAMES, noted="2026-11")
BUCKET_NAME = Range(low=3, high=63, unit="characters", source=_NAMES, noted="2026-11")
ENDPOINT_NAME = Range(low=1, high=63, unit="characters", source=_NAMES, noted="2026-11")
FUNCTION_NAME = Range(low=1, high=64, unit="characters", source=_NAMES, noted="2026-11")
REPOSITORY_NAME = Range(low=2, high=256, unit="characters", source=_NAMES, noted="2026-11")
ROLE_NAME = Range(low=1, high=64, unit="characters", source=_NAMES, noted="2026-11")
SCHEDULE_NAME = Range(low=1, high=64, unit="characters", source=_NAMES, noted="2026-11")
TOPIC_NAME = Range(low=1, high=256, unit="characters", source=_NAMES, noted="2026-11")

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


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The regions that have something, as the page listed them when it was noted."""

    names: tuple[str, ...]
    source: str
    noted: str

    def problem(self, region: str) -> str | None:
        """What to use instead of `region`, or None when it is listed."""
        return None if region in self.names else f"use {_either(self.names)}"


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

_RUN = "Cloud Run documentation, quotas and limits"
CLOUD_RUN_TIMEOUT_S = Range(low=1, high=3_600, unit="s", source="Cloud Run documentation, request timeout", noted="2026-11")
CLOUD_RUN_START_S = Range(low=0, high=240, unit="s", source=_RUN, noted="2026-11")
CLOUD_RUN_REQUEST_BYTES = Range(low=0, high=32 * 1024**2, unit="bytes", source=_RUN + " (HTTP/1)", noted="2026-11")
CLOUD_RUN_REQUESTS = Range(low=1, high=1_000, unit="requests on one instance", source=_RUN, noted="2026-11")
# The provider's reference has the same bounds, as shares, and 0 for what is not looked at.
_SCALING = "Cloud Run documentation, custom scaling controls for services"
CLOUD_RUN_TARGET = Range(low=10, high=95, unit="%, or 0", source=_SCALING, noted="2026-11")
# What a region grants a project is its own to judge; more than this is asked for.
CLOUD_RUN_INSTANCES = Range(low=1, high=1_000, unit="instances", source=_RUN, noted="2026-11")
# An instance that nobody asks is kept for up to 15 minutes, with a GPU for up to 10: a ping that comes later finds none.
_IDLE = "Cloud Run documentation, instance autoscaling"
CLOUD_RUN_PING_MINUTES = Range(low=1, high=14, unit="minutes", source=_IDLE, noted="2026-11")
CLOUD_RUN_GPU_PING_MINUTES = Range(low=1, high=9, unit="minutes", source=_IDLE + ": with a GPU", noted="2026-11")
_RUN_CPU = "Cloud Run documentation, CPU limits"
CLOUD_RUN_CPU = Choice(values=(1, 2, 4, 6, 8), unit="vCPU", source=_RUN_CPU, noted="2026-11")
# 512 MiB is the least of the second generation, in which GPUs and everything but the smallest instances run.
CLOUD_RUN_MEMORY_MB = Range(low=512, high=32_768, unit="MiB", source="Cloud Run documentation, memory limits", noted="2026-11")
CLOUD_RUN_FIRST_GENERATION_MB = Range(low=128, high=32_768, unit="MiB", source="Cloud Run documentation, memory limits", noted="2026-11")
CLOUD_RUN_CPU_MEMORY_MB = {
    cpu: Range(low=low, high=high, unit="MiB", source=_RUN_CPU, noted="2026-11")
    for cpu, low, high in ((1, 512, 4_096), (2, 512, 8_192), (4, 2_048, 16_384), (6, 4_096, 24_576), (8, 4_096, 32_768))
}
_RUN_GPU = "Cloud Run documentation, GPU support for services"
CLOUD_RUN_L4_CPU = Choice(values=(4, 6, 8), unit="vCPU", source=_RUN_GPU, noted="2026-11")
CLOUD_RUN_L4_MEMORY_MB = Range(low=16_384, high=32_768, unit="MiB", source=_RUN_GPU, noted="2026-11")
# asia-south1 has it by invitation only.
CLOUD_RUN_L4_REGIONS = Regions(
    names=("asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4"), source=_RUN_GPU + ", 2025-06", noted="2026-11"
)

_API_GATEWAY = "API Gateway documentation (Google), quotas and limits"
# Read as decimal megabytes, because the page does not say which it means.
API_GATEWAY_PAYLOAD_BYTES = Range(low=0, high=32_000_000, unit="bytes", source=_API_GATEWAY + " (32 megabytes)", noted="2026-11")
# The page states the default alone. Longer deadlines than a minute were met with 504 (gemma-facet/cloud-services issue 45, 2025-08). For
# gateways that stream, a preview that this program can't turn on, 3,600 s are documented, of plain requests too (API reference, Gateway:
# StreamingMode, 2026-11). The lower one is right in either case: a chain built on the other would promise answers that get lost.
API_GATEWAY_DEADLINE_DEFAULT_S = 15
API_GATEWAY_DEADLINE_S = Range(
    low=1,
    high=60,
    unit="s",
    source="x-google-backend.deadline as it was met, gemma-facet/cloud-services issue 45, 2025-08; a maximum of API Gateway is documented "
    "where it streams alone",
    noted="2026-11",
)
# 10,000,000 quota units per 100 s and project; a call takes two, one to check and one to report.
API_GATEWAY_RATE = Range(low=1, high=50_000, step=0, unit="requests a second", source=_API_GATEWAY + " (project)", noted="2026-11")
API_GATEWAY_REGIONS = Regions(
    names=(
        "asia-northeast1",
        "australia-southeast1",
        "europe-west1",
        "europe-west2",
        "us-central1",
        "us-east1",
        "us-east4",
        "us-west2",
        "us-west3",
        "us-west4",
    ),
    source="API Gateway documentation (Google), deployment model",
    noted="2026-11",
)

# What the model server itself takes (`handlers/settings.py`, which a test compares): it is in every image of this repository.
_SERVER = "Pilotlight's model server, docs/architecture.md"
SERVER_BATCH = Range(low=1, high=1024, unit="inputs", source=_SERVER, noted="2026-11")
# Half of the shortest deadline that a prediction can have.
SERVER_BATCH_WAIT_MS = Range(low=0, high=500, unit="ms", source=_SERVER, noted="2026-11")
SERVER_WORKERS = Range(low=1, high=64, unit="processes", source=_SERVER, noted="2026-11")
# As many requests wait where nobody says otherwise.
SERVER_QUEUE = 64

_PUBSUB = "Pub/Sub API, projects.subscriptions"
PUBSUB_ACK_S = Range(low=10, high=600, unit="s", source=_PUBSUB + ": ackDeadlineSeconds", noted="2026-11")
PUBSUB_RETENTION_S = Range(low=600, high=2_678_400, unit="s", source=_PUBSUB + ": messageRetentionDuration", noted="2026-11")
# As many as fit into the day for which Eventarc keeps an event, 10 s after the first and up to 600 s after the later ones.
EVENTARC_ATTEMPTS = Range(low=1, high=140, unit="times", source="Eventarc documentation, retry events", noted="2026-11")
EVENTARC_RETENTION_S = Range(low=0, high=86_400, unit="s", source="Eventarc documentation, retry events", noted="2026-11")

# Names on Google Cloud.
BILLING_BUDGET_NAME = Range(low=1, high=60, unit="characters", source="Cloud Billing Budget API v1, Budget: displayName", noted="2026-11")
DATABASE_NAME = Range(low=4, high=63, unit="characters", source="Firestore API, databases.create: databaseId", noted="2026-11")
GATEWAY_ID = Range(low=1, high=63, unit="characters", source="API Gateway documentation (Google), API and gateway ids", noted="2026-11")
GCS_BUCKET_NAME = Range(low=3, high=63, unit="characters", source="Cloud Storage documentation, bucket names", noted="2026-11")
JOB_NAME = Range(low=1, high=500, unit="characters", source="Cloud Scheduler API, jobs.create: name", noted="2026-11")
REGISTRY_NAME = Range(low=1, high=63, unit="characters", source="Artifact Registry documentation, repository names", noted="2026-11")
RUN_SERVICE_NAME = Range(low=1, high=49, unit="characters", source="Cloud Run API v2, services.create: serviceId", noted="2026-11")
SERVICE_ACCOUNT_ID = Range(low=6, high=30, unit="characters", source="IAM API, serviceAccounts.create: accountId", noted="2026-11")
LABEL = Range(low=0, high=63, unit="characters", source="Resource Manager documentation, requirements for labels", noted="2026-11")
TRIGGER_NAME = Range(low=1, high=63, unit="characters", source="Eventarc API, triggers.create: triggerId", noted="2026-11")
# What the model server takes beside its model: 132 MB resident with MiniLM's 87 MB (benchmarks/results/cold-start.json), rounded up.
SERVER_MB = 64

"""What a service is made of, told without any cloud: the settings, checked, as the components take them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from components.limits import SERVER_QUEUE
from components.limits_azure import API_MANAGEMENT_DEFAULT_TIER
from components.timeouts import Chain, Hops, QueueChain
from components.warming_plan import Plan

Retention = Literal["keep", "delete"]


@dataclass(frozen=True, kw_only=True)
class ModelArtifact:
    """A packaged model in the cache: the archive's path, its SHA-256 and its size in bytes."""

    path: Path
    sha256: str
    size: int
    task: str


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """The model server's image: `uri` by digest, or a build of `target` for `platform` under the registry tag `tag`.

    `registry` is the tier of the stack's own registry, where there are tiers. `context` is the checkout as seen from the program's
    folder, which is `stacks/` unless told otherwise: relative, because absolute paths would go into the state."""

    uri: str | None = None
    target: str = "cpu"
    platform: str = "linux/amd64"
    builder: str | None = None
    tag: str = "build"
    registry: str = "basic"
    context: str = ".."

    @property
    def dockerfile(self) -> str:
        return f"{self.context}/containers/Dockerfile"


@dataclass(frozen=True, kw_only=True)
class WarmingArgs:
    """The warming plan with the rules that are in force, and the instant whose floor the program declares (aware of its offset)."""

    plan: Plan
    now: datetime


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Dollars a month; mails at each share of them (1.0 is all), and whether the warming floor is dropped beyond. `now` is in the month
    that it begins with, for a cloud that asks for one (aware of its offset)."""

    monthly_usd: float
    alert_at: tuple[float, ...]
    drop_warming: bool
    email: str | None
    now: datetime


@dataclass(frozen=True, kw_only=True)
class InstanceArgs:
    """One instance of a platform that runs several requests on each: vCPUs, GPU, requests at a time; whether it is reached from
    its own network only, and whether GPUs are kept in another zone as well; at how many percent of its requests and of its vCPUs there is
    another one (None: the platform's own, 0: not by that); for how many seconds the last one stays after a request (None: as above)."""

    cpu: float
    gpu: str | None
    requests: int
    private: bool
    zonal_redundancy: bool
    scale_at_requests: int | None
    scale_at_cpu: int | None
    cooldown_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoadArgs:
    """How the model server computes what comes at the same time: inputs at once, milliseconds that those who wait are held for more, and
    processes; None: its own defaults."""

    batch_size: int | None = None
    batch_wait_ms: int | None = None
    workers: int | None = None

    def environment(self) -> dict[str, str]:
        told = {"BATCH_SIZE": self.batch_size, "BATCH_WAIT_MS": self.batch_wait_ms, "WORKERS": self.workers}
        return {name: str(value) for name, value in told.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """The endpoint's size: memory in MB, requests at a time (None: as many as the account's pool has left, where the platform
    has one), and the seconds and bytes that a request may take."""

    memory_mb: int
    max_concurrency: int | None
    instance: InstanceArgs | None = None
    cold_start_s: int
    max_body_bytes: int
    timeouts: Hops
    warming: WarmingArgs | None = None
    load: LoadArgs = LoadArgs()

    def environment(self, model_bytes: int) -> dict[str, str]:
        """What the model server is told, on every platform. The size of the packaged model is for policies, which see no artifact."""
        told = {
            "MAX_BODY_BYTES": str(self.max_body_bytes),
            "REQUEST_TIMEOUT_S": str(self.timeouts.model_s),
            "MODEL_BYTES": str(model_bytes),
        }
        if self.instance is not None and self.instance.requests > SERVER_QUEUE:
            # What the platform sends at a time must find a place.
            told["MAX_QUEUE"] = str(self.instance.requests)
        return told | self.load.environment()


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """The pattern's function: its zip (None: it comes in an image), memory in MB, the instances reserved for it (None: the account's
    pool), and the seconds between looks at its queue, where the platform looks (None: the platform's own)."""

    code: Path | None
    memory_mb: int
    reserved_concurrency: int | None
    polling_s: int | None
    task: str
    timeouts: Hops


@dataclass(frozen=True, kw_only=True)
class EventArgs:
    """Which objects start the pipeline, in batches of what size and wait, how many batches at a time, how often one is tried
    before it goes to the dead letters, and where results go: `results_table` is who keeps their rows, None for the cloud's own."""

    prefix: str | None
    suffixes: tuple[str, ...]
    min_object_bytes: int
    max_object_bytes: int
    batch_size: int
    batch_window_s: int
    max_concurrency: int
    max_attempts: int
    results: tuple[Literal["table", "queue"], ...]
    results_table: Literal["cosmos"] | None
    timeouts: QueueChain


@dataclass(frozen=True, kw_only=True)
class AnswersArgs:
    """Answers that come later: for how many hours they are kept, how many are made at a time, the chain of their worker, and how
    callers are known, whose answers are theirs alone."""

    auth_mode: Literal["api-key", "jwt", "iam"]
    keep_hours: int
    max_concurrency: int
    timeouts: QueueChain


# What a caller says of an answer that may come later, and what it is told of it, in headers: a page of another origin may send and see
# those alone that its gateway names.
LATER_ASKED, LATER_TOLD = ("idempotency-key", "prefer"), ("location", "retry-after", "idempotent-replayed")


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """Who may call, how often, and what is logged; `account_role` only where the gateway is a REST API, `publisher` (name and address) and
    `tier` only where it is API Management."""

    auth_mode: Literal["api-key", "jwt", "iam"]
    requests_per_second: float
    burst: int
    daily_quota: int | None = None
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    account_role: Literal["create", "existing"] | None = None
    publisher: tuple[str, str] | None = None
    tier: str = API_MANAGEMENT_DEFAULT_TIER
    # Whether answers may come later, from an address of their own.
    later: bool = False
    # Whether inputs need be no texts: those of a model of one's own.
    any_input: bool = False
    timeouts: Chain


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Where the stack's containers are placed: a network of the stack's own with these `addresses`, or the subnet of that id."""

    addresses: str | None = None
    subnet_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class HomeArgs:
    """What every part of a service shares: whose it is, what happens to its data, how long logs are kept (days), whether requests are
    traced, where a cloud is asked for that, and where what runs is placed: its network, where it is in one of the customer's, and its
    endpoint's GPU."""

    project: str
    stack: str
    data_retention: Retention
    log_retention_days: int
    tracing: bool = False
    network: NetworkArgs | None = None
    gpu: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    """What both patterns share: the model, where it runs, what watches it.

    alarms       whether there are any
    alarm_email  who is told of them; None: nobody
    """

    artifact: ModelArtifact
    image: ImageArgs
    endpoint: EndpointArgs
    function: FunctionArgs
    warming: WarmingArgs | None = None
    budget: BudgetArgs | None = None
    dashboard: bool = False
    alarms: bool = True
    alarm_email: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceArgs(ModelArgs):
    """One service of pattern 1; `answers` where those that take too long for the gateway come later."""

    gateway: GatewayArgs
    answers: AnswersArgs | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineArgs(ModelArgs):
    """One service of pattern 2."""

    events: EventArgs

"""The settings of a service, all of `pilotlight:service`. What one setting means for another is checked apart (`checks.py`)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from components.artifact import MAX_DRIFT, MOST_PRUNED
from components.limits_azure import API_MANAGEMENT_DEFAULT_TIER
from components.platforms import CLOUDS, ENDPOINTS
from stacks.parts import MAIL, MAIL_TEXT, Part, Source, Text
from stacks.settings_events import Answers, Events
from stacks.settings_warming import Budget, Rule

DIGEST = "sha256:[0-9a-f]{64}"
SUBNET = r"(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+$"
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]
GPUS = Source("Cloud Run documentation, GPU support for services; Container Apps documentation, workload profiles")
Tag = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Model(Part):
    """The model: where it comes from, what it answers, what runs it."""

    source: str = Field(
        pattern=r"^(pypi:[A-Za-z0-9][A-Za-z0-9._-]*|hf://[\w.-]+/[\w.-]+@[0-9a-f]{40}|[^:]+)$",
        description="use pypi:NAME, hf://ORG/NAME@COMMIT (40 hex digits, because a branch can move) or a folder",
    )
    task: Literal[
        "feature-extraction",
        "sentence-embedding",
        "text-classification",
        "token-classification",
        "zero-shot-classification",
        "text-generation",
        "image-classification",
        "custom",
    ]
    engine: Literal["onnx", "torch"] = "onnx"
    quantize: Literal["int8", "fp16"] | None = None
    prune: float = Field(default=0.0, ge=0, le=MOST_PRUNED, allow_inf_nan=False)
    max_drift: float = Field(default=MAX_DRIFT, gt=0, le=1, allow_inf_nan=False)


class Build(Part):
    """The image built from `containers/`."""

    target: Literal["cpu", "gpu", "gpu-torch"]
    platform: Literal["linux/amd64"] = "linux/amd64"
    builder: Text | None = None


class Image(Part):
    """Exactly one of the two: build it, or name it by digest. `registry` is the tier of the stack's own, where it has tiers."""

    build: Build | None = None
    uri: str | None = Field(
        default=None,
        pattern=rf"^\S+@{DIGEST}$",
        description="use <repository>@sha256:<64 hex digits>, because a tag can move to another image",
    )
    registry: Literal["basic", "premium"] = "basic"


class Endpoint(Part):
    """The platform that runs the model, and its size. The platform's limits are checked apart (`checks.py`)."""

    platform: str = Field(description=f"use {' or '.join(ENDPOINTS)}")
    memory_mb: int = 2048
    # null reserves nothing, where the platform can share what the account has (`PlatformFacts.shares_concurrency`).
    max_concurrency: int | None = 10
    # null: what the platform gives, or its GPU needs.
    cpu: int | float | None = None
    gpu: Annotated[Literal["l4", "t4", "a100"] | None, GPUS] = None
    requests_per_instance: int | None = None
    # Percent of use at which there is another instance; null: the platform's own, 0: not by that.
    scale_at_requests: int | None = None
    scale_at_cpu: int | None = None
    # For how long the last instance stays after a request; null: the platform's own.
    cooldown_seconds: int | None = None
    # null: the model server's own.
    batch_size: int | None = None
    batch_wait_ms: int | None = None
    workers: int | None = None
    private: bool = False
    zonal_redundancy: bool = False
    cold_start_seconds: int | None = Field(default=None, ge=0)
    predict_seconds: int = Field(default=10, ge=1)
    # null: 4 MiB, which every hop of every platform takes.
    max_body_bytes: int | None = Field(default=None, ge=1)


class Function(Part):
    """The pattern's function, where one stands in front of the endpoint."""

    memory_mb: int = 512
    reserved_concurrency: int | None = None
    polling_seconds: int | None = None


class Auth(Part):
    """Who may call and how often; `mode` decides which gateway is built."""

    mode: Literal["api-key", "jwt", "iam"]
    requests_per_second: float = Field(default=20, allow_inf_nan=False)
    burst: int = 40
    daily_quota: int | None = None
    # API Gateway takes https only (JWT authorizers, `issuer`); an issuer on this machine is for the local twin.
    issuer: str | None = Field(
        default=None,
        pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?)$",
        description="use the issuer's URL, https://…, as it stands in the tokens' `iss`",
    )
    audience: list[Text] | None = Field(default=None, min_length=1)
    scopes: list[Text] | None = Field(default=None, min_length=1)


class Gateway(Part):
    """Who publishes the API, which a gateway that is API Management must know, and that gateway's tier."""

    publisher_email: str = Field(pattern=MAIL, description=MAIL_TEXT)
    publisher_name: str = Field(min_length=1, max_length=100, description="use a name, 1 to 100 characters")
    tier: Literal["consumption", "developer", "basic", "standard", "basic-v2", "standard-v2"] = "consumption"


class Network(Part):
    """Exactly one of the two: a network of the stack's own with these addresses, or a subnet that is there."""

    addresses: str | None = Field(default=None, description="use a private range of addresses, /27 or larger: 10.8.0.0/26, say")
    subnet_id: str | None = Field(
        default=None,
        pattern=SUBNET,
        description="use a subnet's id, /subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Network/virtualNetworks/<name>/"
        "subnets/<name>",
    )


class Cors(Part):
    """Browsers of these origins may call; off by default."""

    allow_origins: list[Origin] = Field(min_length=1, description="use a list of origins, https://app.example.com, say")


class Logs(Part):
    """How long every log group of the stack keeps its lines."""

    retention_days: int = 30


class AccessLogs(Part):
    """Whose is the account-wide role that access logs of REST APIs go through."""

    account_role: Literal["create", "existing"]


class Alarms(Part):
    """Whether there are alarms, and who is told when one goes off; nobody, without an address."""

    enabled: bool = True
    email: str | None = Field(default=None, pattern=MAIL, description=MAIL_TEXT)


class Settings(Part):
    """The service, all of `pilotlight:service`: what starts it and where, its model and what runs it, who may call, what is kept."""

    pattern: Literal["api", "events"]
    cloud: str = Field(description=f"use {' or '.join(CLOUDS)}")
    model: Model
    image: Image
    endpoint: Endpoint
    function: Function = Function()
    network: Network | None = None
    # Which of these belong to which pattern stands in `PATTERN_SETTINGS`.
    auth: Auth | None = None
    gateway: Gateway | None = None
    cors: Cors | None = None
    answers: Answers | None = None
    events: Events | None = None
    warming: list[Rule] = Field(default_factory=list, max_length=10)
    budget: Budget | None = None
    dashboard: bool = False
    tracing: bool = False
    logs: Logs = Logs()
    access_logs: AccessLogs | None = None
    alarms: Alarms = Alarms()
    data_retention: Literal["keep", "delete"] = "keep"
    # S3 objects carry ten tags at most (S3 user guide, object tags), four of which are the standard ones (components/tags.py).
    tags: dict[Tag, Annotated[str, StringConstraints(max_length=256)]] = Field(default_factory=dict, max_length=6)

    @property
    def tier(self) -> str:
        """Of the gateway, where gateways have tiers."""
        return API_MANAGEMENT_DEFAULT_TIER if self.gateway is None else self.gateway.tier

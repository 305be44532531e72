"""What a service is made of, told without any cloud: the settings, checked, as the components take them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.timeouts import Chain

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
    """The model server's image: `uri` by digest, or a build of `target` for `platform` under the registry tag `tag`."""

    uri: str | None = None
    target: str = "cpu"
    platform: str = "linux/amd64"
    builder: str | None = None
    tag: str = "build"


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """The endpoint's size: memory in MB, requests at a time (None: as many as the account's pool has left, where the platform
    has one), and the seconds and bytes that a request may take."""

    memory_mb: int
    max_concurrency: int | None
    cold_start_s: int
    max_body_bytes: int
    timeouts: Chain

    def environment(self) -> dict[str, str]:
        """What the model server is told, on every platform."""
        return {"MAX_BODY_BYTES": str(self.max_body_bytes), "REQUEST_TIMEOUT_S": str(self.timeouts.model_s)}


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """The pattern's function: its zip, memory in MB, and the instances reserved for it (None: the account's pool)."""

    code: Path | None
    memory_mb: int
    reserved_concurrency: int | None
    task: str
    timeouts: Chain


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """Who may call, how often, and what is logged; `account_role` only where the gateway is a REST API."""

    auth_mode: Literal["api-key", "jwt", "iam"]
    requests_per_second: float
    burst: int
    daily_quota: int | None = None
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    account_role: Literal["create", "existing"] | None = None
    timeouts: Chain


@dataclass(frozen=True, kw_only=True)
class HomeArgs:
    """What every part of a service shares: whose it is, what happens to its data, how long logs are kept (days)."""

    project: str
    stack: str
    data_retention: Retention
    log_retention_days: int


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """One service of pattern 1; alarms are mailed to `alarm_email` where it is given."""

    artifact: ModelArtifact
    image: ImageArgs
    endpoint: EndpointArgs
    function: FunctionArgs
    gateway: GatewayArgs
    alarm_email: str | None = None

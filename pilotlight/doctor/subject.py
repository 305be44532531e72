"""What is examined: a stack, its settings, the place where it goes, and the clients that look there."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pilotlight.cli.clock import moved_to
from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import Project
from pilotlight.toolchain import Toolchain
from stacks.plan import now

if TYPE_CHECKING:
    from pilotlight.cli.azure.clients import ResourceManager
    from pilotlight.cli.azure.logins import Given
    from stacks.settings_service import Settings

# A check has five seconds (run.py): one connection and one answer must fit.
CONNECT_S, READ_S = 2.0, 2.5


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the credentials are: the account's id and the caller's ARN; on Google Cloud the project and the caller's address, on Azure the
    subscription and the caller's name."""

    account: str
    arn: str


class GoogleApis:
    """Google's APIs, made on first use: the twin's where its variables are given, else as the user is logged in."""

    def __init__(self, twin: Mapping[str, str] | None) -> None:
        self._twin, self._lock = twin, threading.Lock()
        self._made: dict[str, Any] = {}

    def of(self, name: str) -> Any:
        """An `Api` that gives up early. Thread-safe; raises NotServed, and CommandError without credentials or libraries."""
        from pilotlight.cli.gcp.clients import Api

        with self._lock:
            if name not in self._made:
                self._made[name] = Api(name, self._twin, timeout_s=READ_S)
            return self._made[name]


class AzureApis:
    """Azure Resource Manager, made on first use: the twin's where its variables are given, else as the provider signs in."""

    def __init__(self, twin: Mapping[str, str] | None, given: "Given") -> None:
        self._twin, self._lock = twin, threading.Lock()
        self.given = given
        self._made: ResourceManager | None = None

    def manager(self) -> "ResourceManager":
        """A client that gives up early. Thread-safe; raises NotServed."""
        from pilotlight.cli.azure.clients import ResourceManager

        with self._lock:
            if self._made is None:
                self._made = ResourceManager(self._twin, self.given, timeout_s=READ_S)
            return self._made


class Clients:
    """One SDK session, made on first use: as the variables of the twin say, else as the user's own configuration does."""

    def __init__(self, variables: Mapping[str, str], *, local: bool, profile: str | None) -> None:
        self._variables, self._local, self._profile = variables, local, profile
        self._lock = threading.Lock()
        self._session: Any = None
        self._made: dict[tuple[str, str], Any] = {}

    def of(self, service: str, region: str) -> Any:
        """A client that gives up early. Thread-safe; raises botocore's ProfileNotFound, NoRegionError and the like."""
        import botocore.config

        settings = botocore.config.Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
        with self._lock:
            if (service, region) not in self._made:
                where = {"endpoint_url": self._variables["AWS_ENDPOINT_URL"]} if self._local else {}
                self._made[service, region] = self.session().client(service, region_name=region, config=settings, **where)
            return self._made[service, region]

    def session(self) -> Any:
        """The boto3 session behind the clients."""
        import boto3

        if self._session is None and self._local:
            self._session = boto3.Session(
                aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
                aws_session_token=self._variables.get("AWS_SESSION_TOKEN") or None,
            )
        elif self._session is None:
            self._session = boto3.Session(profile_name=self._profile)
        return self._session


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`settings` is None where the stack's file has mistakes, `identity` until the credentials are known to be good.

    `problems` are those mistakes; `tools` is None where the engine is missing; `variables` is the whole environment of commands;
    `clients` are those of its cloud.
    """

    project: Project
    stack: str
    home: Home
    where: Where
    variables: Mapping[str, str]
    tools: Toolchain | None
    config: Mapping[str, Any]
    settings: "Settings | None"
    problems: str = ""
    clients: Any = field(repr=False)
    identity: Identity | None = None

    @property
    def local(self) -> bool:
        return self.where == "local"

    def moment(self) -> datetime:
        """The time where the stack goes: the twin's, where that was moved."""
        moved = moved_to(self.home.path) if self.local else None
        return datetime.fromisoformat(moved) if moved else now()

    @property
    def cloud(self) -> str:
        """Where everything of the stack but perhaps its endpoint lies."""
        return cloud_of(self.project, self.stack)

    @property
    def google_project(self) -> str:
        """The project on Google Cloud that the stack goes to; empty where none is said."""
        return str(self.config.get("gcp:project") or "")

    @property
    def region(self) -> str:
        """The region that the stack deploys to; empty where none is said."""
        if self.cloud == "gcp":
            return str(self.config.get("gcp:region") or "")
        if self.cloud == "azure":
            # As Azure answers it: `westeurope` for `West Europe`.
            return str(self.config.get("azure-native:location") or "").replace(" ", "").lower()
        return str(self.config.get("aws:region") or self.variables.get("AWS_REGION") or self.variables.get("AWS_DEFAULT_REGION") or "")

    @property
    def account(self) -> str:
        assert self.identity is not None
        return self.identity.account

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`: what ARNs begin with."""
        assert self.identity is not None
        return self.identity.arn.split(":")[1]


# The prefix of what a stack's file says for a cloud's provider.
_PROVIDERS: Mapping[str, str] = {"azure": "azure-native:", "gcp": "gcp:", "aws": "aws:"}


def cloud_of(project: Project, stack: str) -> str:
    """The cloud that a stack's file names; where it names none that is known, the one that it configures."""
    named = project.service(stack).get("cloud")
    if named in _PROVIDERS:
        return str(named)
    keys = [str(key) for key in project.stack_config(stack)]
    return next((cloud for cloud, prefix in _PROVIDERS.items() if any(key.startswith(prefix) for key in keys)), "aws")

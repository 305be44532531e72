"""What the twin knows of a resource type (`Row`) and of a request to a service (`AwsRequest`, `Service`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pilotlight.twin.settings import Settings
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

Properties = Mapping[str, Any]

# `replaces` of a type on which every change but one of its tags makes a new resource.
ALL_BUT_TAGS: frozenset[str] = frozenset({"*"})


class Refusal(Exception):
    """What the cloud would answer instead of doing it: its error code, its message, its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Halfway(Refusal):
    """A creation or an update that the cloud refused after it had done a part; `live` is the resource as it is now."""

    def __init__(self, refused: Refusal, live: Resource) -> None:
        super().__init__(refused.code, refused.message, refused.status)
        self.live = live


@dataclass(frozen=True, kw_only=True)
class Name:
    """The field that the provider fills with a generated name when the program gives none.

    joint    what stands between the resource's own name and the digits that make it unique
    digits   how many those are; 0 for a provider that copies the name, which then counts as if the program had
             given it; `naming.UUID` for a name that is nothing but them
    frees  whether the provider deletes a resource whose name the program gave before it makes the one that replaces it, also where that
           has another name: Pulumi's bridge does so for every type that states no `UniqueNameFields`, as none of pulumi-gcp's does here
    """

    field: str
    max_length: int
    pattern: str | None = None
    lower: bool = False
    joint: str = "-"
    digits: int = 7
    frees: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One resource type. Hooks get the twin and the resource; they raise `Refusal` for what the cloud refuses.

    id          from the complete properties (inputs + computed), the id in the provider's form
    replaces    input fields whose change replaces the resource, top-level ones or whole paths (`a.b`); `ALL_BUT_TAGS` for immutable types
    delete_first  whether the provider deletes what has a name of the program's before it replaces that; others do where the name stays
    computed    (twin, inputs) -> outputs that the cloud computes; pure, called at creation and at update
    assigned    (twin, inputs) -> outputs that the cloud assigns once, at creation: random ids, times; `id` may be made of them
    secrets     outputs that the provider marks secret
    cfn         CloudFormation type whose published schema judges the inputs; None where there is none
    discovery   `run.v2:GoogleCloudRunV2Service`: the schema of Google's discovery documents that judges them; None where there is none
    rename      Pulumi input path -> schema path, where case and number do not tell; "" skips a field
    limits      known inputs -> problems, each a sentence that begins with its property's path ("image: is missing …"), from
                components/limits.py; what is unknown in a preview is left out, and sentences about it are dropped
    check       (twin, inputs) -> problems that can only be seen in the account, at creation (Create and Update call it)
    create      after the checks, before the resource is recorded; may return further outputs; `Halfway` where it is there all the same
    update      (twin, old, new) -> further outputs or None; `Halfway` where a part was done before the refusal
    by_state    fields that the provider writes only where the program's value is not that of its state, whatever is really there
    delete      (twin, resource) -> None
    abandoned   resource -> whether its deletion only makes the program forget it: it stays, and `delete` is not called
    read        (twin, resource) -> the live outputs, or None when it is gone
    upsert      creating one that exists overwrites it, as AWS's Put calls do; otherwise that is refused
    volatile    outputs that an update may change, so that its preview must call them unknown
    absent      outputs that the SDK says are always there and that the cloud leaves out
    filled      (twin, settings, inputs, old inputs) -> inputs that the provider adds in Check, as a location from elsewhere
    as_inputs   (resource as it was made, live outputs) -> the outputs in the form that inputs have, where that is another
    resolve     (program folder, inputs) -> inputs as `limits` and the hooks from `check` on see them: local paths made absolute
                (assets and archives are: their `path` is then a file of this machine)
    comparable  inputs -> what of them counts when old and new are compared
    drifted     (old outputs, new resolved inputs) -> fields that changed although the inputs did not
    """

    token: str
    id: Callable[[Properties], str]
    name: Name | None = None
    replaces: frozenset[str] = frozenset()
    delete_first: bool = False
    computed: Callable[[Twin, Properties], dict[str, Any]] = lambda twin, inputs: {}
    assigned: Callable[[Twin, Properties], dict[str, Any]] = lambda twin, inputs: {}
    secrets: frozenset[str] = frozenset()
    cfn: str | None = None
    discovery: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    limits: Callable[[Properties], list[str]] = lambda inputs: []
    check: Callable[[Twin, Properties], None] = lambda twin, inputs: None
    create: Callable[[Twin, Resource], dict[str, Any] | None] = lambda twin, resource: None
    update: Callable[[Twin, Resource, Resource], dict[str, Any] | None] = lambda twin, old, new: None
    by_state: frozenset[str] = frozenset()
    delete: Callable[[Twin, Resource], None] = lambda twin, resource: None
    abandoned: Callable[[Resource], bool] = lambda resource: False
    read: Callable[[Twin, Resource], dict[str, Any] | None] = lambda twin, resource: dict(resource.outputs)
    upsert: bool = False
    volatile: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    filled: Callable[[Twin, Settings, Properties, Properties], dict[str, Any]] = lambda twin, settings, inputs, olds: {}
    as_inputs: Callable[[Resource, Properties], Properties] = lambda made, live: live
    resolve: Callable[[Path, Properties], Properties] = lambda folder, inputs: inputs
    comparable: Callable[[Properties], Properties] = lambda inputs: inputs
    drifted: Callable[[Properties, Properties], set[str]] = lambda old, new: set()


@dataclass(frozen=True, kw_only=True)
class Invoke:
    """A provider function (`aws:index/getRegion:getRegion`): (twin, args) -> result, or `Refusal`."""

    token: str
    answer: Callable[[Twin, Properties], dict[str, Any]]
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who signed a request. `role_arn` is None for the deployer, who may do everything."""

    arn: str
    account: str
    role_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class AwsRequest:
    """One request of an AWS client, its signature verified. Header names are lower case; `path` is still quoted."""

    service: str
    region: str
    caller: Caller
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True)
class AwsResponse:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Service(Protocol):
    """A service that the twin serves itself. `name` is its signing name ("lambda", "sagemaker", "logs")."""

    name: str

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        """The (IAM action, resource ARN) pairs that the caller needs for this request."""

    async def handle(self, request: AwsRequest) -> AwsResponse:
        """Answer, or raise `Refusal` (the front writes it in the service's own error form)."""


@runtime_checkable
class Guarded(Protocol):
    """A service whose resources carry policies of their own."""

    def policies(self, request: AwsRequest) -> list[str]:
        """The policy documents of the resource that the request is about."""

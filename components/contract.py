"""What a cloud and an endpoint promise to the patterns. Imports no cloud SDK."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pulumi import Input, Output, Resource, ResourceOptions

from components.args import (
    AnswersArgs,
    BudgetArgs,
    EndpointArgs,
    EventArgs,
    FunctionArgs,
    GatewayArgs,
    HomeArgs,
    ImageArgs,
    ModelArtifact,
    WarmingArgs,
)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller that is to be let in.

    name      prefix of the grant's logical name: the caller's own
    identity  a role's name, or the name of a service of the cloud
    client    what its tokens call the application, on a cloud where that is another id of the same identity
    source    where a service calls: the ARN of the thing on whose behalf it does
    parent    the component that the grant belongs to
    """

    name: str
    identity: Input[str]
    client: Input[str] | None = None
    source: Input[str] | None = None
    parent: Resource


class Watched(Protocol):
    """A part that can fail: its log groups, and its alarms in the form of its own cloud."""

    log_groups: Sequence[Output[str]]
    alarms: Sequence[Any]


class Invocable(Watched, Protocol):
    """Something that answers a request."""

    invoke_target: Output[str]
    """What its caller must know of it: an endpoint's name, a function's invocation ARN, a URL."""

    def grant_invoke(self, principal: Principal) -> Resource:
        """Let this one caller call, and nothing more; the caller depends on what comes back."""


class Endpoint(Invocable, Protocol):
    """The model behind an address that scales to zero."""

    cold_start_budget_s: int
    """Seconds that the timeout chain keeps free for the first call after a rest."""
    max_body_bytes: int
    """Largest request body, in bytes."""
    floor: int
    """Instances that stay warm; 0 scales to zero."""
    endpoint_name: Output[str] | None
    """Its name where it is a resource of its own; None where the model is the function."""


class Function(Invocable, Protocol):
    """What the gateway calls."""

    function_name: Output[str]
    function_alias: Output[str] | None
    """The name under which its versions take each other's place, where the cloud has one."""


class Gateway(Watched, Protocol):
    url: Output[str]
    """Full URL of `POST /predict`."""
    api_key: Output[str] | None
    """Secret; only where callers show a key."""


class Warming(Watched, Protocol):
    """What keeps an endpoint warm."""

    schedule_group: Output[str] | None
    """The group of its schedules, where it has some."""


class Objects(Watched, Protocol):
    """Where objects are put that start the event pipeline, and the queue that is told of them, where it is the stack's own."""

    bucket: str
    objects_url: Output[str] | None
    """Its address, where its name does not tell it."""
    queue_url: Output[str] | None
    dead_letter_url: Output[str]
    """What could not be processed, to be looked at and sent again."""
    replay_topic: Output[str] | None
    """Where it is sent again, where that is not the queue."""


class Results(Watched, Protocol):
    """Where exactly one result per version of an object goes."""

    database: Output[str] | None
    """What the table is part of, where it has a name of its own."""
    table: Output[str]
    bucket: str
    """Results that are too large for a row."""
    queue_url: Output[str] | None
    """Messages of results, where they are wanted."""


class Answers(Watched, Protocol):
    """Where requests wait whose answers come later."""

    database: Output[str] | None
    """What the table is part of, where it has a name of its own."""
    table: Output[str]
    queue_url: Output[str] | None
    """The queue of the worker, where it is asked."""
    dead_letter_url: Output[str]
    replay_topic: Output[str] | None
    """Where dead letters are sent again, where that is not the queue."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an event pipeline gives its function, also where that is the model itself: objects in, results out.

    The endpoint may read the objects too: an input that is too large for a request is handed to it by reference.
    """

    objects: Any
    results: Any
    events: EventArgs


class Home(Protocol):
    """A cloud: everything of a pattern but the endpoint."""

    region: str
    project: str | None
    """The cloud's own project that everything lies in, where it has such."""

    def image(self, name: str, args: ImageArgs, opts: ResourceOptions) -> Any:
        """The model server's image, by digest, in the form that this cloud's endpoints take."""

    def model(self, name: str, artifact: ModelArtifact, opts: ResourceOptions) -> Any:
        """The packaged model where this cloud's endpoints can read it."""

    def function_for(self, name: str, endpoint: Any, args: FunctionArgs, answers: Any | None, opts: ResourceOptions) -> Function:
        """The function in front of the endpoint, which hands over to `answers` what takes too long; the endpoint itself where it
        is a function."""

    def gateway(self, name: str, function: Any, args: GatewayArgs, opts: ResourceOptions) -> Gateway:
        """The gateway in front of the function, with a grant for that gateway alone."""

    def answers(self, name: str, args: AnswersArgs, opts: ResourceOptions) -> Answers:
        """Where the function leaves requests whose answers come later."""

    def worker(self, name: str, endpoint: Any, answers: Any, args: AnswersArgs, function: FunctionArgs, opts: ResourceOptions) -> Watched:
        """The function that answers them, of the same code and size as `function`."""

    def objects(self, name: str, args: EventArgs, opts: ResourceOptions) -> Objects:
        """Where objects are put, and the queue that is told of those that pass the filters."""

    def results(self, name: str, args: EventArgs, opts: ResourceOptions) -> Results:
        """Where results go."""

    def event_function(self, name: str, endpoint: Any, work: Work, args: FunctionArgs, opts: ResourceOptions) -> Function:
        """The function that turns objects into results; the endpoint itself where it is a function."""

    def deliver(self, name: str, function: Any, work: Work, opts: ResourceOptions) -> Watched:
        """Bring the function what there is to do, and again what failed."""

    def warm(self, name: str, endpoint: Any, args: WarmingArgs, function: FunctionArgs, opts: ResourceOptions) -> Warming:
        """What keeps the endpoint warm as the plan says; the endpoint itself declares the floor of `args.now`."""

    def budget(self, name: str, endpoint: Any, args: BudgetArgs, function: FunctionArgs, opts: ResourceOptions) -> Watched:
        """Who is told when money is spent, and what drops the warming floor."""

    def dashboard(self, name: str, parts: Sequence[Any], opts: ResourceOptions) -> Output[str]:
        """The URL of a page with the figures of all parts."""

    def watch(self, name: str, parts: Sequence[Any], email: str | None, opts: ResourceOptions) -> Resource:
        """The alarms of all parts, sent to `email` where one is given."""


class HomeFactory(Protocol):
    def __call__(self, args: HomeArgs) -> Home: ...


class EndpointFactory(Protocol):
    def __call__(
        self, name: str, home: Any, image: Any, model: Any, args: EndpointArgs, opts: ResourceOptions, work: Work | None = None
    ) -> Endpoint:
        """The endpoint; with `work` it serves an event pipeline, and is its function where the two are one."""

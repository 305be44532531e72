"""The model behind a container app."""

import math

import pulumi

from components.args import EndpointArgs, InstanceArgs, WarmingArgs
from components.azure.artifacts import ModelStore
from components.azure.container_app import App, Probes, address, container_app, http_rule
from components.azure.context import AzureContext
from components.azure.environment import ContainerEnvironment
from components.azure.identities import identity
from components.azure.image import Image
from components.azure.insights import telling
from components.azure.log_watch import LogAlarm, late
from components.azure.watch import Alarm, errors
from components.azure.windows import window_rules
from components.contract import Principal, Work
from components.limits_azure import CONTAINER_APPS_COOLDOWN_DEFAULT_S
from components.warming_plan import floor_at

LIVE, READY = "/health/live", "/health/ready"
SLOW = "The slowest prediction comes close to the deadline."
# What a job may take to start, beside the minutes between two. Chosen, not measured.
_JOB_STARTS_S = 120
CACHE = "/tmp/model"  # noqa: S108 - a container's own disk


class ContainerAppsEndpoint(pulumi.ComponentResource):
    """Environment, identity with its grants, and app; an update makes a revision, which gets the traffic when it is ready.

    Its ingress is internal: who is in the environment reaches it, and nobody else is in there than this stack.
    """

    invoke_target: pulumi.Output[str]
    endpoint_name: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        image: Image,
        model: ModelStore,
        args: EndpointArgs,
        opts: pulumi.ResourceOptions,
        work: Work | None = None,
    ) -> None:
        super().__init__("pilotlight:index:ContainerAppsEndpoint", name, None, opts)
        self.cold_start_budget_s, self.max_body_bytes = args.cold_start_s, args.max_body_bytes
        self.floor = 0 if args.warming is None else floor_at(args.warming.plan, args.warming.now)
        one, self.max_concurrency = _sized(args)
        self.requests, self.image = one.requests, image
        self.environment = ContainerEnvironment(f"{name}-environment", home, one.gpu, pulumi.ResourceOptions(parent=self))
        self.identity = who = identity(name, home, "endpoint", self)
        # Of another registry the stack knows no id: whoever has it lets the identity in.
        pulls = [image.grant_pull(name, home, who, self)] if image.foreign is None else []
        # Inputs that are too large for a request come by reference.
        reads = [] if work is None else work.objects.grant_reader(name, who, self)
        told, tells = telling(name, home, who, self)
        granted = [*pulls, model.grant_read(name, who, self), *reads, *tells]
        app = container_app(
            name,
            home,
            App(
                name=home.names.app("endpoint"),
                environment=self.environment.id,
                identity=who,
                image=image.uri,
                server=image.foreign or image.registry.login_server,
                variables={
                    **args.environment(model.size),
                    "MODEL_URI": model.uri,
                    "MODEL_CACHE": CACHE,
                    "AZURE_CLIENT_ID": who.client_id,
                    **_required(one),
                    **({} if work is None else work.objects.variables_of_reader()),
                    **told,
                },
                cpu=one.cpu,
                memory_mb=args.memory_mb,
                # The floor of a window is a rule of its own, in force at its times whatever the program says of the moment.
                rules=[http_rule(one.requests), *window_rules(args.warming)],
                min_replicas=0 if args.warming is None else args.warming.plan.base,
                max_replicas=math.ceil(self.max_concurrency / one.requests),
                gpu=one.gpu is not None,
                external=False,
                cooldown_s=_cooldown_s(one, args.warming),
                probes=Probes(live=LIVE, ready=READY, loads=True),
            ),
            self,
            # The first revision starts as soon as it is made, and reads the model.
            [*granted, model, *image.ready],
        )
        self.id, self.endpoint_name, self.invoke_target = app.id, app.name, address(app)
        self.log_groups = []
        # What pings: whoever drops the floor must stop it.
        self.jobs: list[pulumi.Output[str]] = []
        self.alarms: list[Alarm | LogAlarm] = [
            errors("endpoint", "The model server answers with 5XX.", app.id),
            late("endpoint-latency", SLOW, home.names.app("endpoint"), args.timeouts.model_s),
        ]
        self.register_outputs({"endpointName": self.endpoint_name, "url": self.invoke_target})

    def grant_invoke(self, principal: Principal) -> pulumi.Resource:
        """Nothing is granted: whoever is in the environment may call. The caller depends on the endpoint."""
        return self


def _cooldown_s(one: InstanceArgs, warming: WarmingArgs | None) -> int:
    """For how long a replica stays without a request: until the next ping has come, where there are any, else it would be gone by then."""
    pings = [] if warming is None else warming.plan.pings
    usual = CONTAINER_APPS_COOLDOWN_DEFAULT_S if one.cooldown_s is None else one.cooldown_s
    return max([usual, *(each.every_minutes * 60 + _JOB_STARTS_S for each in pings)])


def _required(one: InstanceArgs) -> dict[str, str]:
    """A GPU costs whether the model computes on it or not: a server that does not refuses to start."""
    return {} if one.gpu is None else {"REQUIRE_GPU": "1"}


def _sized(args: EndpointArgs) -> tuple[InstanceArgs, int]:
    """One replica, and how many requests all of them take at a time: there is always a bound."""
    if args.instance is None or args.max_concurrency is None:
        raise pulumi.RunError("An endpoint on Container Apps needs EndpointArgs.instance and EndpointArgs.max_concurrency.")
    return args.instance, args.max_concurrency

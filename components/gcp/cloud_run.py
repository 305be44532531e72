"""The model behind a Cloud Run service."""

import functools
import math
from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from components.args import EndpointArgs, InstanceArgs, WarmingArgs
from components.contract import Principal, Work
from components.gcp.artifacts import ModelStore
from components.gcp.context import GcpContext
from components.gcp.floor import Setter, setter
from components.gcp.image import Image
from components.gcp.run_service import Probes, RunService, let_in, run_service
from components.gcp.service_accounts import account, member
from components.gcp.watch import Alarm, LogAlarm, errors, late
from components.limits import CLOUD_RUN_START_S
from components.naming import short_hash
from components.timeouts import HOP_S
from components.warming_plan import Ping, floor_at

if TYPE_CHECKING:
    from components.gcp.network import PrivateNetwork

STARTUP, LIVE, READY = "/health/startup", "/health/live", "/health/ready"
SLOW = "The slowest prediction comes close to the deadline."
CACHE = "/tmp/model"  # noqa: S108 - a container's own disk, which is its memory


class CloudRunEndpoint(pulumi.ComponentResource):
    """Account, grant on the model, and service; an update makes a revision, which gets the traffic when it has started.

    Callers reach a service with internal ingress through the network alone, and each of the two, ingress and way, would have to change
    first: so a `private` one is a service of its own, and a caller's revision takes its address and the way to it at once.
    """

    invoke_target: pulumi.Output[str]
    endpoint_name: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: GcpContext,
        image: Image,
        model: ModelStore,
        args: EndpointArgs,
        opts: pulumi.ResourceOptions,
        work: Work | None = None,
    ) -> None:
        super().__init__("pilotlight:index:CloudRunEndpoint", name, None, opts)
        self._name, self._home = name, home
        self.cold_start_budget_s, self.max_body_bytes = args.cold_start_s, args.max_body_bytes
        self.floor = 0 if args.warming is None else floor_at(args.warming.plan, args.warming.now)
        self.image = image
        one, self.max_concurrency = _sized(args)
        self.requests = one.requests
        # What schedules of the warming plan there are, for who must stop them.
        self.jobs: list[pulumi.Output[str]] = []
        self.network = _network(f"{name}-private", home, self) if one.private else None
        self.account = identity = account(name, home, "endpoint", "Runs the model server", self)
        who = member(identity.email)
        # Inputs that are too large for a request come by reference.
        reads = [model.grant_read(name, who, self), *([] if work is None else work.objects.grant_reader(name, who, self))]
        inputs = {} if work is None else work.objects.variables_of_reader()
        self.service = run_service(
            name,
            home,
            RunService(
                name=home.names.private_endpoint if one.private else home.names.endpoint,
                image=image.uri,
                account=identity.email,
                variables={**args.environment(model.size), "MODEL_URI": model.uri, "MODEL_CACHE": CACHE, **_required(one), **inputs},
                cpu=one.cpu,
                memory_mb=args.memory_mb,
                requests=one.requests,
                max_instances=math.ceil(self.max_concurrency / one.requests),
                at_requests=one.scale_at_requests,
                at_cpu=one.scale_at_cpu,
                min_instances=self.floor,
                planned=_mark(args.warming),
                # The longest that any caller waits: the worker, the warmer and the event function wait for a start as well.
                timeout_s=max(args.timeouts.endpoint_s, args.cold_start_s + args.timeouts.model_s + HOP_S),
                gpu=one.gpu,
                zonal_redundancy=one.zonal_redundancy,
                internal=one.private,
                probes=Probes(startup=STARTUP, live=LIVE, ready=READY, start_s=CLOUD_RUN_START_S.high),
            ),
            self,
            # The first revision starts as soon as it is made, and reads the model. One that nobody calls any more goes before its
            # network, which may have to stay for hours.
            [*reads, model, *image.ready, *([] if self.network is None else [self.network])],
        )
        self.endpoint_name, self.invoke_target = self.service.name, self.service.uri
        self.log_groups = []
        self.alarms: list[Alarm | LogAlarm] = [
            errors("endpoint", "The model server answers with 5XX.", self.service.name),
            late("endpoint-latency", SLOW, self.service.name, home.region, args.timeouts.model_s),
        ]
        self.register_outputs({"endpointName": self.endpoint_name, "url": self.invoke_target})

    def grant_invoke(self, principal: Principal) -> gcp.cloudrunv2.ServiceIamMember:
        """Let one account call this endpoint."""
        return let_in(self.service, principal)

    @functools.cached_property
    def setter(self) -> Setter:
        """What lets others set this endpoint's floor."""
        return setter(self._name, self._home, self.service, self.account, self)


def _network(name: str, home: GcpContext, parent: pulumi.Resource) -> "PrivateNetwork":
    """Imported where it is used: most endpoints have no network, and that part of the SDK is the largest."""
    from components.gcp.network import PrivateNetwork

    return PrivateNetwork(name, home, pulumi.ResourceOptions(parent=parent))


def _required(one: InstanceArgs) -> dict[str, str]:
    """A GPU costs whether the model computes on it or not: a server that does not refuses to start."""
    return {} if one.gpu is None else {"REQUIRE_GPU": "1"}


def _mark(warming: WarmingArgs | None) -> str | None:
    """What tells one plan of floors from another; None without one. Pings are no part of it: they set nothing."""
    if warming is None or not warming.plan.has_floor:
        return None
    return short_hash(repr([rule for rule in warming.plan.rules if not isinstance(rule, Ping)]))


def _sized(args: EndpointArgs) -> tuple[InstanceArgs, int]:
    """One instance, and how many requests all of them take at a time: there is always a bound."""
    if args.instance is None or args.max_concurrency is None:
        raise pulumi.RunError("A Cloud Run endpoint needs EndpointArgs.instance and EndpointArgs.max_concurrency.")
    return args.instance, args.max_concurrency

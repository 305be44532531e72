"""The pattern's function in front of an endpoint: a small Cloud Run service from the functions' image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from components.args import FunctionArgs
from components.contract import Principal
from components.function_size import instances_of, requests_of
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.metrics import counted
from components.gcp.run_service import Probes, RunService, let_in, run_service
from components.gcp.service_accounts import account, member
from components.gcp.watch import Alarm, errors, latency
from components.limits import CLOUD_RUN_START_S
from components.measures import COLD_START, HANDED_OVER, Measure

if TYPE_CHECKING:
    from components.gcp.answers import AnswerStore

ROLE, PREDICT = "api", "predict"
CPU = 1
# Cloud Run documentation, "Direct VPC egress": for a minute or more a new instance may reach nothing; a startup probe that tests the way
# keeps requests from it.
STARTED = "/health/startup"


@dataclass(frozen=True, kw_only=True)
class FunctionService:
    """One role of the functions' image: physical name, what it is for, what it is told, what its account (as policies name it) is
    granted beside the endpoint, what else must be there before it runs, what its lines count; `invokes` where it calls the endpoint,
    `internal` where only Eventarc, Pub/Sub or Cloud Scheduler call it, which Cloud Run counts as internal (its documentation, "Restrict
    network ingress")."""

    role: str
    name: str
    purpose: str
    memory_mb: int
    timeout_s: int
    requests: int
    max_instances: int
    variables: Mapping[str, pulumi.Input[str]]
    grants: Callable[[pulumi.Output[str]], Sequence[pulumi.Resource]] = lambda _: ()
    ready: Sequence[pulumi.Resource] = ()
    counts: Sequence[Measure] = ()
    invokes: bool = True
    internal: bool = True


@dataclass(frozen=True, kw_only=True)
class Live:
    """What became of it."""

    service: gcp.cloudrunv2.Service
    account: gcp.serviceaccount.Account


class ApiFunction(pulumi.ComponentResource):
    """A service with an account that may call its endpoint, and nothing else. It is open to the network, because API Gateway has no
    way into a project's own, and closed by IAM: the gateway's account alone may invoke it."""

    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: None
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: GcpContext,
        endpoint: CloudRunEndpoint,
        args: FunctionArgs,
        answers: "AnswerStore | None",
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:ApiFunction", name, None, opts)
        requests = requests_of(args.memory_mb, endpoint.max_body_bytes)
        of = FunctionService(
            role=ROLE,
            name=home.names.service(PREDICT),
            purpose="Calls the endpoint",
            memory_mb=args.memory_mb,
            timeout_s=args.timeouts.function_s,
            requests=requests,
            max_instances=instances_of(endpoint.max_concurrency, requests),
            variables={**call_variables(endpoint, args, home), **({} if answers is None else answers.variables_of_caller())},
            grants=lambda who: () if answers is None else answers.grant_caller(name, who, self),
            # What is handed over before somebody takes it is lost, on a first `up` and on one that turns answers on.
            ready=() if answers is None else (answers, *answers.taken),
            counts=(COLD_START,) if answers is None else (COLD_START, HANDED_OVER),
            internal=False,
        )
        live = function_service(name, home, of, endpoint, self)
        self._service = live.service
        self.invoke_target, self.function_name, self.function_alias = live.service.uri, live.service.name, None
        self.log_groups = []
        self.alarms = function_alarms(live.service.name, args.timeouts.function_s)
        self.register_outputs({"functionName": self.function_name, "url": self.invoke_target})

    def grant_invoke(self, principal: Principal) -> gcp.cloudrunv2.ServiceIamMember:
        """Let one gateway call the function."""
        return let_in(self._service, principal)


def function_service(name: str, home: GcpContext, of: FunctionService, endpoint: CloudRunEndpoint, parent: pulumi.Resource) -> Live:
    """The service under an account of its own, which has its rights before the first request comes."""
    identity = account(name, home, of.role, of.purpose, parent)
    invokes = [endpoint.grant_invoke(Principal(name=name, identity=identity.email, parent=parent))] if of.invokes else []
    # What calls the endpoint through the stack's own network takes no request before it reaches it.
    network = endpoint.network if of.invokes else None
    reached = {} if network is None else {"STARTUP_URL": endpoint.invoke_target}
    service = run_service(
        name,
        home,
        RunService(
            name=of.name,
            image=endpoint.image.functions,
            account=identity.email,
            args=[of.role],
            variables={**of.variables, **reached, "CONCURRENCY": str(of.requests), "REQUEST_TIMEOUT_S": str(of.timeout_s)},
            cpu=CPU,
            memory_mb=of.memory_mb,
            requests=of.requests,
            max_instances=of.max_instances,
            timeout_s=of.timeout_s,
            internal=of.internal,
            network=None if network is None else network.egress(),
            probes=None if network is None else Probes(startup=STARTED, start_s=CLOUD_RUN_START_S.high),
        ),
        parent,
        [*invokes, *of.grants(member(identity.email)), *endpoint.image.ready, *of.ready],
    )
    home.counted += counted(name, home, of.name, of.counts, parent)
    return Live(service=service, account=identity)


def call_variables(endpoint: CloudRunEndpoint, args: FunctionArgs, home: GcpContext) -> dict[str, pulumi.Input[str]]:
    """What every function is told that calls the endpoint; `SERVICE` is a label of its metrics."""
    return {
        "ENDPOINT_URL": endpoint.invoke_target,
        "ENDPOINT_TIMEOUT_S": str(args.timeouts.endpoint_s),
        "MAX_BODY_BYTES": str(endpoint.max_body_bytes),
        "MODEL_TASK": args.task,
        "SERVICE": home.stack,
        "GOOGLE_CLOUD_PROJECT": home.project,
    }


def function_alarms(service: pulumi.Output[str], timeout_s: int, *, again: bool = False) -> list[Alarm]:
    """Answers of the 500s, without 503 where that only asks for the same `again`, and durations close to the timeout."""
    return [
        errors("function", "The function fails.", service, again=again),
        latency("function", "The slowest hundredth of calls comes close to the timeout.", service, timeout_s),
    ]

"""A Cloud Run service: one image, one account, one container, as endpoint or as function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.contract import Principal
from components.gcp.apis import RUN
from components.gcp.context import GcpContext
from components.gcp.service_accounts import member

PORT = 8080
INVOKER = "roles/run.invoker"
PROBE_S, PROBE_TIMEOUT_S = 10, 5
LIVE_FAILURES, READY_FAILURES = 3, 2


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Paths that say whether the container has started, within `start_s` seconds, and, where that is asked too, whether it is alive and
    whether it takes requests."""

    startup: str
    live: str | None = None
    ready: str | None = None
    start_s: int


@dataclass(frozen=True, kw_only=True)
class RunService:
    """What runs where, as whom, told what, on how much, how often at once.

    name           the physical name
    account        the email of its own account
    args           the container's arguments
    requests       at a time, on one instance
    max_instances  a bound for what it may cost, always
    at_requests    at how many percent of its requests, and of its vCPUs (`at_cpu`), an instance is joined by another one; 0: not by that,
                   None: Cloud Run's own
    min_instances  the floor: instances of the whole service that stay warm
    planned        what sets another floor outside of the program: a mark of its plan, which changes when the plan does
    gpu            the accelerator, where there is one
    internal       whether it is reached from the project's networks, Eventarc, Pub/Sub and Cloud Scheduler only
    network        through which it sends all that it calls, where not by the internet
    """

    name: str
    image: pulumi.Input[str]
    account: pulumi.Input[str]
    args: Sequence[str] = ()
    variables: Mapping[str, pulumi.Input[str]]
    cpu: float
    memory_mb: int
    requests: int
    max_instances: int
    at_requests: int | None = None
    at_cpu: int | None = None
    min_instances: int = 0
    planned: str | None = None
    timeout_s: int
    gpu: str | None = None
    zonal_redundancy: bool = False
    internal: bool = False
    network: "gcp.cloudrunv2.ServiceTemplateVpcAccessArgs | None" = None
    probes: Probes | None = None


def run_service(
    name: str, home: GcpContext, of: RunService, parent: pulumi.Resource, ready: Sequence[pulumi.Resource]
) -> gcp.cloudrunv2.Service:
    """The service. Who may invoke it is IAM's to say, wherever the network lets a caller through."""
    return gcp.cloudrunv2.Service(
        f"{name}-service",
        name=of.name,
        location=home.region,
        ingress="INGRESS_TRAFFIC_INTERNAL_ONLY" if of.internal else "INGRESS_TRAFFIC_ALL",
        invoker_iam_disabled=False,
        # It holds no data: what does is kept, or not, by `dataRetention`.
        deletion_protection=False,
        # Of the service, not of a revision, which would keep its own for as long as it has a tag.
        scaling=gcp.cloudrunv2.ServiceScalingArgs(min_instance_count=of.min_instances),
        # A service that differs anywhere is sent whole, with its floor (magic-modules, cloudrunv2/Service.yaml: PATCH without a mask).
        # Without a difference a plan that goes would leave what its last job has set: the state has the floor of the last `up`.
        annotations=None if of.planned is None else {"warming-plan": of.planned},
        template=gcp.cloudrunv2.ServiceTemplateArgs(
            service_account=of.account,
            timeout=f"{of.timeout_s}s",
            max_instance_request_concurrency=of.requests,
            scaling=gcp.cloudrunv2.ServiceTemplateScalingArgs(
                max_instance_count=of.max_instances,
                concurrency_utilization=_share(of.at_requests),
                cpu_utilization=_share(of.at_cpu),
            ),
            containers=[_container(of)],
            node_selector=None if of.gpu is None else gcp.cloudrunv2.ServiceTemplateNodeSelectorArgs(accelerator=f"nvidia-{of.gpu}"),
            gpu_zonal_redundancy_disabled=None if of.gpu is None else not of.zonal_redundancy,
            vpc_access=of.network,
        ),
        # One with another name is made before the old one goes; the provider would have it the other way round for every given name.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*home.apis.enabled(name, parent, RUN), *ready], delete_before_replace=False),
    )


def _share(percent: int | None) -> float | None:
    return None if percent is None else percent / 100


def _container(of: RunService) -> "gcp.cloudrunv2.ServiceTemplateContainerArgs":
    limits = {"cpu": str(of.cpu), "memory": f"{of.memory_mb}Mi", **({} if of.gpu is None else {"nvidia.com/gpu": "1"})}
    return gcp.cloudrunv2.ServiceTemplateContainerArgs(
        image=of.image,
        args=list(of.args) or None,
        ports=gcp.cloudrunv2.ServiceTemplateContainerPortsArgs(container_port=PORT),
        envs=[gcp.cloudrunv2.ServiceTemplateContainerEnvArgs(name=key, value=value) for key, value in of.variables.items()],
        resources=gcp.cloudrunv2.ServiceTemplateContainerResourcesArgs(
            limits=limits,
            # Billed by the request; an instance with a GPU is billed for as long as it lives (GPU support for services).
            cpu_idle=of.gpu is None,
            startup_cpu_boost=True,
        ),
        startup_probe=None if of.probes is None else _startup(of.probes),
        liveness_probe=None if of.probes is None or of.probes.live is None else _liveness(of.probes.live),
        readiness_probe=None if of.probes is None or of.probes.ready is None else _readiness(of.probes.ready),
    )


def _startup(probes: Probes) -> "gcp.cloudrunv2.ServiceTemplateContainerStartupProbeArgs":
    """Asked every second, so that nobody waits for a model that is there."""
    return gcp.cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
        http_get=gcp.cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path=probes.startup, port=PORT),
        period_seconds=1,
        timeout_seconds=1,
        failure_threshold=probes.start_s,
    )


def _liveness(path: str) -> "gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeArgs":
    return gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
        http_get=gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(path=path, port=PORT),
        period_seconds=PROBE_S,
        timeout_seconds=PROBE_TIMEOUT_S,
        failure_threshold=LIVE_FAILURES,
    )


def _readiness(path: str) -> "gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeArgs":
    """One that hangs gets no more requests some time before it is ended; one good answer brings it back.

    A preview until 2026; the provider's examples need no `launch_stage` for it since 2026-06.
    """
    return gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeArgs(
        http_get=gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeHttpGetArgs(path=path, port=PORT),
        period_seconds=PROBE_S,
        timeout_seconds=PROBE_TIMEOUT_S,
        failure_threshold=READY_FAILURES,
        success_threshold=1,
    )


def let_in(service: gcp.cloudrunv2.Service, principal: Principal) -> gcp.cloudrunv2.ServiceIamMember:
    """Let one account invoke one service."""
    return granted(f"{principal.name}-invoke", service, INVOKER, member(principal.identity), principal.parent)


def granted(
    name: str, service: gcp.cloudrunv2.Service, role: pulumi.Input[str], who: pulumi.Input[str], parent: pulumi.Resource
) -> gcp.cloudrunv2.ServiceIamMember:
    """A role on one service for one member, as policies name it. On another service it is granted before it goes on the old one."""
    return gcp.cloudrunv2.ServiceIamMember(
        name,
        name=service.name,
        location=service.location,
        role=role,
        member=who,
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=False),
    )

"""A container app: one image, one identity, one container, as endpoint or as function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.azure.environment import GPU
from components.limits_azure import (
    CONSUMPTION,
    CONTAINER_APPS_COOLDOWN_DEFAULT_S,
    CONTAINER_APPS_MB_PER_CPU,
    CONTAINER_APPS_POLLING_DEFAULT_S,
    CONTAINER_APPS_RESOURCE_RULES,
    CONTAINER_APPS_SCALING,
)

PORT = 8080
# What a path is asked, how often, and how often in vain before something happens.
PROBE_S, PROBE_TIMEOUT_S, PROBE_FAILURES = 10, 5, 3
READY_S, START_S, MOST_FAILURES = 1, 2, 10


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Paths that say whether the process listens and is alive, and whether requests may come; `loads`: which it says only some time
    after it listens."""

    live: str
    ready: str
    loads: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What makes replicas: requests at a time (`http`), or what a scaler of KEDA's of that kind looks at, as `identity` where it must be
    let in there."""

    kind: str
    metadata: Mapping[str, pulumi.Input[str]]
    identity: pulumi.Input[str] | None = None


def http_rule(requests: int) -> Rule:
    """Another replica for so many requests at a time."""
    return Rule(kind="http", metadata={"concurrentRequests": str(requests)})


def queue_rule(account: pulumi.Input[str], queue: pulumi.Input[str], messages: int, identity: pulumi.Input[str]) -> Rule:
    """Another replica for so many messages of a queue, those that are being worked on too (KEDA documentation, Azure Storage queue)."""
    metadata = {"accountName": account, "queueName": queue, "queueLength": str(messages)}
    return Rule(kind="azure-queue", metadata=metadata, identity=identity)


@dataclass(frozen=True, kw_only=True)
class App:
    """What runs where, as whom, told what, on how much, how often at once.

    name          the physical name
    environment   the id of the environment
    identity      its own identity, which also pulls
    server        the registry that the image comes from
    args          the container's arguments
    min_replicas  the floor: replicas that stay warm
    max_replicas  a bound for what it may cost, always
    gpu           whether it runs on the environment's GPU profile
    external      whether it is reached from the internet; else from its environment only; None: it has no ingress
    grace_s       for how long a replica that must end may go on; None: the platform's own half a minute
    cooldown_s    for how long the last replica stays after the last request, where it may end at all
    polling_s     between looks at what its rules count, but for an HTTP rule
    """

    name: str
    environment: pulumi.Input[str]
    identity: azure.managedidentity.UserAssignedIdentity
    image: pulumi.Input[str]
    server: pulumi.Input[str]
    args: Sequence[str] = ()
    variables: Mapping[str, pulumi.Input[str]]
    cpu: float
    memory_mb: int
    rules: Sequence[Rule]
    min_replicas: int = 0
    max_replicas: int
    gpu: bool = False
    external: bool | None
    grace_s: int | None = None
    cooldown_s: int = CONTAINER_APPS_COOLDOWN_DEFAULT_S
    polling_s: int = CONTAINER_APPS_POLLING_DEFAULT_S
    probes: Probes | None = None


def container_app(
    name: str, home: AzureContext, of: App, parent: pulumi.Resource, ready: Sequence[pulumi.Resource]
) -> azure.app.ContainerApp:
    """The app. Its configuration holds no secret, which would make all of its outputs secret. Raises RunError as `check` does."""
    check(of)
    return azure.app.ContainerApp(
        home.placed(f"{name}-app"),
        container_app_name=of.name,
        resource_group_name=home.group(name, parent),
        environment_id=of.environment,
        # Said in words: without, the largest replicas are refused (microsoft/azure-container-apps issue 1075).
        workload_profile_name=GPU if of.gpu else CONSUMPTION,
        identity=azure.app.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[of.identity.id]),
        configuration=azure.app.ConfigurationArgs(
            active_revisions_mode="Single",
            ingress=None if of.external is None else _ingress(of.external),
            registries=[azure.app.RegistryCredentialsArgs(server=of.server, identity=of.identity.id)],
        ),
        template=azure.app.TemplateArgs(
            containers=[container(of, None if of.probes is None else _probes(of.probes))],
            scale=_scale(of),
            termination_grace_period_seconds=of.grace_s,
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(ready)),
    )


def check(of: App) -> None:
    """Raises RunError for an app that would never start, or never stop starting."""
    kinds = {rule.kind for rule in of.rules}
    if of.external is None and not of.rules and of.min_replicas == 0:
        raise pulumi.RunError(
            f"{of.name} has no ingress and no rule, and nothing brings it back from zero: give it a rule, or min_replicas 1 "
            f"({CONTAINER_APPS_SCALING})."
        )
    if kinds and kinds <= {*CONTAINER_APPS_RESOURCE_RULES} and of.min_replicas == 0:
        raise pulumi.RunError(
            f"{of.name} scales by {' and '.join(sorted(kinds))} alone, which is nothing at zero: add an http rule or a scaler of KEDA's, "
            f"or give it min_replicas 1 ({CONTAINER_APPS_SCALING})."
        )
    if not of.min_replicas <= of.max_replicas:
        raise pulumi.RunError(f"{of.name} has min_replicas {of.min_replicas} and max_replicas {of.max_replicas}: use fewer at least.")
    if not of.gpu and of.memory_mb != of.cpu * CONTAINER_APPS_MB_PER_CPU:
        raise pulumi.RunError(f"{of.name} has {of.cpu} vCPU and {of.memory_mb} MiB: use {CONTAINER_APPS_MB_PER_CPU} MiB for each vCPU.")


def address(app: azure.app.ContainerApp) -> pulumi.Output[str]:
    """The URL of its ingress."""
    return app.configuration.apply(lambda known: _url(known.ingress.fqdn if known and known.ingress else None))


def _url(host: str | None) -> str:
    """Without this an app that came back without its address would be known as `https://None`."""
    if host or pulumi.runtime.is_dry_run():
        return f"https://{host or ''}"
    raise pulumi.RunError("A container app came without its address: run `pulumi up` again.")


def _ingress(external: bool) -> azure.app.IngressArgs:
    return azure.app.IngressArgs(external=external, target_port=PORT, transport="http", allow_insecure=False)


class Contained(Protocol):
    """What an app and a job have in common: what runs in a container, told what, on how much."""

    @property
    def image(self) -> pulumi.Input[str]: ...
    @property
    def args(self) -> Sequence[str]: ...
    @property
    def variables(self) -> Mapping[str, pulumi.Input[str]]: ...
    @property
    def cpu(self) -> float: ...
    @property
    def memory_mb(self) -> int: ...


def container(of: Contained, probes: list[azure.app.ContainerAppProbeArgs] | None = None) -> azure.app.ContainerArgs:
    """The only container of a replica."""
    return azure.app.ContainerArgs(
        name="main",
        image=of.image,
        args=list(of.args) or None,
        env=[azure.app.EnvironmentVarArgs(name=key, value=value) for key, value in of.variables.items()],
        resources=azure.app.ContainerResourcesArgs(cpu=of.cpu, memory=gibibytes(of.memory_mb)),
        probes=probes,
    )


def gibibytes(memory_mb: int) -> str:
    """`0.5Gi`, `2Gi`: the one unit that Container Apps takes."""
    return f"{memory_mb / 1024:g}Gi"


def _scale(of: App) -> azure.app.ScaleArgs:
    return azure.app.ScaleArgs(
        min_replicas=of.min_replicas,
        max_replicas=of.max_replicas,
        cooldown_period=of.cooldown_s,
        polling_interval=of.polling_s,
        rules=[_rule(position, rule) for position, rule in enumerate(of.rules)],
    )


def _rule(position: int, rule: Rule) -> azure.app.ScaleRuleArgs:
    name = f"{rule.kind}-{position}"
    if rule.kind == "http":
        return azure.app.ScaleRuleArgs(name=name, http=azure.app.HttpScaleRuleArgs(metadata=rule.metadata))
    custom = azure.app.CustomScaleRuleArgs(type=rule.kind, metadata=rule.metadata, identity=rule.identity)
    return azure.app.ScaleRuleArgs(name=name, custom=custom)


def _probes(probes: Probes) -> list[azure.app.ContainerAppProbeArgs]:
    """Started is what listens. Whether the model is there only decides whether requests come, asked every second, so that nobody waits
    for a model that is there; a slow one is waited for, because a probe may fail ten times at most before the container is ended.

    What has nothing to load takes requests as soon as it listens: a probe of its start would only add to each cold one. It may be slow
    to answer for a while, when it has much to do, and stays."""
    alive = _probe("Liveness", probes.live, PROBE_S, PROBE_TIMEOUT_S, PROBE_FAILURES)
    if not probes.loads:
        return [alive, _probe("Readiness", probes.ready, READY_S, PROBE_TIMEOUT_S, PROBE_FAILURES)]
    start = _probe("Startup", probes.live, START_S, START_S, MOST_FAILURES)
    return [start, alive, _probe("Readiness", probes.ready, READY_S, READY_S, PROBE_FAILURES)]


def _probe(type_: str, path: str, period_s: int, timeout_s: int, failures: int) -> azure.app.ContainerAppProbeArgs:
    return azure.app.ContainerAppProbeArgs(
        type=type_,
        http_get=azure.app.ContainerAppProbeHttpGetArgs(path=path, port=PORT),
        period_seconds=period_s,
        timeout_seconds=timeout_s,
        failure_threshold=failures,
    )

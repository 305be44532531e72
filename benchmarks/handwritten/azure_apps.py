"""Container Apps by hand: the environment and its lines, apps, the endpoint, what a function is told."""

import math
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_azure_native as az

from benchmarks.handwritten.azure import (
    PULL,
    READ_BLOBS,
    Identity,
    after,
    artifact,
    blobs_of,
    functions,
    group,
    identity,
    key,
    kind,
    may,
    models,
    own,
    packaged,
    placed,
    prefix,
    registry,
    served,
    settings,
    stack,
    stored,
    tags,
)

PORT, MB_PER_CPU = 8080, 2048
# vCPUs, requests of a replica, and its place.
GPU = settings.endpoint.gpu
CPU, REQUESTS, PROFILE = (1, 2, "Consumption") if GPU is None else (8, 8, "gpu")
GPUS = {"t4": "Consumption-GPU-NC8as-T4", "a100": "Consumption-GPU-NC24-A100"}
BODY_BYTES = settings.endpoint.max_body_bytes or 2 * 1024**2
BURST = settings.endpoint.max_concurrency or 10
# Requests of a function, which keeps eight times the largest body of each.
SHARE = settings.function.memory_mb * 1024**2 // 8

workspace = az.operationalinsights.Workspace(
    f"{kind}-endpoint-environment-workspace",
    resource_group_name=group,
    retention_in_days=settings.logs.retention_days,
    sku=az.operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
    features=az.operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
    tags=tags,
)
environment = az.app.ManagedEnvironment(
    f"{kind}-endpoint-environment-environment",
    environment_name=f"{prefix}{placed}",
    resource_group_name=group,
    app_logs_configuration=az.app.AppLogsConfigurationArgs(destination="azure-monitor"),
    workload_profiles=[
        az.app.WorkloadProfileArgs(name="Consumption", workload_profile_type="Consumption"),
        *([] if GPU is None else [az.app.WorkloadProfileArgs(name=PROFILE, workload_profile_type=GPUS[GPU])]),
    ],
    tags=tags,
)
logged = az.monitor.DiagnosticSetting(
    f"{kind}-endpoint-environment-logs",
    name="logs",
    resource_uri=environment.id,
    workspace_id=workspace.id,
    logs=[
        az.monitor.DiagnosticsLogSettingsArgs(category=each, enabled=True) for each in ("ContainerAppConsoleLogs", "ContainerAppSystemLogs")
    ],
)


def pulls(name: str, who: Identity) -> az.authorization.RoleAssignment:
    return may(f"{name}-pulls", PULL, who, registry.id, "registry")


def by_requests(requests: int) -> az.app.ScaleRuleArgs:
    return az.app.ScaleRuleArgs(name="http-0", http=az.app.HttpScaleRuleArgs(metadata={"concurrentRequests": str(requests)}))


def probe(type_: str, path: str, period_s: int, timeout_s: int, failures: int) -> az.app.ContainerAppProbeArgs:
    return az.app.ContainerAppProbeArgs(
        type=type_,
        http_get=az.app.ContainerAppProbeHttpGetArgs(path=f"/health/{path}", port=PORT),
        period_seconds=period_s,
        timeout_seconds=timeout_s,
        failure_threshold=failures,
    )


ALIVE = probe("Liveness", "live", 10, 5, 3)


def main(
    runs: pulumi.Input[str],
    args: Sequence[str] | None,
    variables: Mapping[str, pulumi.Input[str]],
    sizes: tuple[float, int],
    probes: Sequence[az.app.ContainerAppProbeArgs] | None = None,
) -> az.app.ContainerArgs:
    """The one container of a replica; `sizes`: vCPUs and MiB."""
    return az.app.ContainerArgs(
        name="main",
        image=runs,
        args=args,
        env=[az.app.EnvironmentVarArgs(name=name, value=value) for name, value in variables.items()],
        resources=az.app.ContainerResourcesArgs(cpu=sizes[0], memory=f"{sizes[1] / 1024:g}Gi"),
        probes=probes,
    )


def runs_as(who: Identity) -> az.app.ManagedServiceIdentityArgs:
    return az.app.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[who.id])


def pulled_by(who: Identity) -> list[az.app.RegistryCredentialsArgs]:
    return [az.app.RegistryCredentialsArgs(server=registry.login_server, identity=who.id)]


def app(
    name: str,
    role: str,
    who: Identity,
    runs: az.app.ContainerArgs,
    rule: az.app.ScaleRuleArgs,
    replicas: int,
    ready: Sequence[pulumi.Resource],
    *,
    external: bool | None,
    profile: str = "Consumption",
    grace_s: int | None = None,
) -> az.app.ContainerApp:
    ingress = az.app.IngressArgs(external=external, target_port=PORT, transport="http", allow_insecure=False)
    return az.app.ContainerApp(
        f"{name}-app",
        container_app_name=f"{role}-{own}",
        resource_group_name=group,
        environment_id=environment.id,
        workload_profile_name=profile,
        identity=runs_as(who),
        configuration=az.app.ConfigurationArgs(
            active_revisions_mode="Single", ingress=None if external is None else ingress, registries=pulled_by(who)
        ),
        template=az.app.TemplateArgs(
            containers=[runs],
            scale=az.app.ScaleArgs(min_replicas=0, max_replicas=replicas, cooldown_period=300, polling_interval=30, rules=[rule]),
            termination_grace_period_seconds=grace_s,
        ),
        tags=tags,
        opts=after(logged, *ready),
    )


def address(of: az.app.ContainerApp) -> pulumi.Output[str]:
    return pulumi.Output.format("https://{0}", of.configuration.apply(lambda known: known and known.ingress and known.ingress.fqdn))


def endpoint_of(variables: Mapping[str, pulumi.Input[str]], objects: az.storage.BlobContainer | None = None) -> az.app.ContainerApp:
    """The model server, which may read the model, and objects where there are any."""
    who = identity(f"{kind}-endpoint", "endpoint")
    granted = [
        pulls(f"{kind}-endpoint", who),
        may(f"{kind}-endpoint-reads-model", READ_BLOBS, who, packaged.id, "models"),
        *([] if objects is None else [may(f"{kind}-endpoint-reads-objects", READ_BLOBS, who, objects.id, "work/objects")]),
    ]
    told: dict[str, pulumi.Input[str]] = {
        "MAX_BODY_BYTES": str(BODY_BYTES),
        "REQUEST_TIMEOUT_S": str(settings.endpoint.predict_seconds),
        "MODEL_BYTES": str(artifact.size),
        "MODEL_URI": blobs_of(models, f"models/{key}"),
        "MODEL_CACHE": "/tmp/model",
        "AZURE_CLIENT_ID": who.client_id,
        **({} if GPU is None else {"REQUIRE_GPU": "1"}),
        **variables,
    }
    probes = [probe("Startup", "live", 2, 2, 10), ALIVE, probe("Readiness", "ready", 1, 1, 3)]
    return app(
        f"{kind}-endpoint",
        "endpoint",
        who,
        main(served, None, told, (CPU, settings.endpoint.memory_mb), probes),
        by_requests(REQUESTS),
        math.ceil(BURST / REQUESTS),
        [*granted, stored],
        external=False,
        profile=PROFILE,
    )


def calls(endpoint: az.app.ContainerApp, endpoint_s: int) -> dict[str, pulumi.Input[str]]:
    """What a function is told that calls the endpoint."""
    return {
        "ENDPOINT_URL": address(endpoint),
        "ENDPOINT_TIMEOUT_S": str(endpoint_s),
        "MAX_BODY_BYTES": str(BODY_BYTES),
        "MODEL_TASK": settings.model.task,
        "SERVICE": stack,
    }


def function_container(
    role: str, variables: Mapping[str, pulumi.Input[str]], probes: Sequence[az.app.ContainerAppProbeArgs] | None = None
) -> az.app.ContainerArgs:
    memory_mb = settings.function.memory_mb
    return main(functions, [role], variables, (memory_mb / MB_PER_CPU, memory_mb), probes)


def takes(
    name: str,
    role: str,
    who: Identity,
    account: az.storage.StorageAccount,
    queue: az.storage.Queue,
    variables: Mapping[str, pulumi.Input[str]],
    sizes: tuple[int, int],
    timeout_s: int,
    ready: Sequence[pulumi.Resource],
) -> az.app.ContainerApp:
    """A function behind a queue; `sizes`: messages of a replica at a time, and of all."""
    requests, most = sizes
    replicas = math.ceil(most / requests)
    messages = min(requests, max(1, most // replicas))
    told = {
        **variables,
        "CONCURRENCY": str(messages),
        "REQUEST_TIMEOUT_S": str(timeout_s),
        "DRAIN_S": str(timeout_s),
        "AZURE_CLIENT_ID": who.client_id,
    }
    long = {"accountName": account.name, "queueName": queue.name, "queueLength": str(messages)}
    rule = az.app.CustomScaleRuleArgs(type="azure-queue", metadata=long, identity=who.id)
    return app(
        name,
        role,
        who,
        function_container(role, told),
        az.app.ScaleRuleArgs(name="azure-queue-0", custom=rule),
        replicas,
        ready,
        external=None,
        grace_s=timeout_s + 6,
    )

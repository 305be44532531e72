"""The stack `gcp-cloud-run-api` by hand: gateway -> function -> endpoint on Cloud Run. The plain SDK throughout."""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_docker_build as docker_build
import pulumi_gcp as gcp

from stacks.artifacts import build_tag, cache_folder, find_model
from stacks.settings import load_settings
from stacks.settings_service import Settings

# Seconds: what the gateway waits for is 60, and each hop has one less.
GATEWAY_S, FUNCTION_S, ENDPOINT_S = 60, 59, 58
PORT, REQUESTS, CPU = 8080, 2, 2
STARTS_S = 240

stack = pulumi.get_stack()
settings: Settings = load_settings(pulumi.Config(), stack)
client = gcp.organizations.get_client_config()
project, region = client.project, client.region
prefix = f"{pulumi.get_project()}-{stack}"
labels = {"project": pulumi.get_project(), "stack": stack, "managed-by": "pulumi"}
artifact = find_model(settings, stack, cache_folder())
if settings.auth is None or settings.auth.requests_per_second is None or settings.image.build is None:
    raise pulumi.RunError("auth, auth.requestsPerSecond or image.build: missing.")
body_bytes = str(settings.endpoint.max_body_bytes or 4_194_304)


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=resources)


def digits(text: str, count: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]


def enabled(name: str, service: pulumi.Input[str], *first: pulumi.Resource) -> gcp.projects.Service:
    return gcp.projects.Service(name, service=service, disable_on_destroy=False, opts=after(*first))


manager = enabled("api-image-api-cloudresourcemanager", "cloudresourcemanager.googleapis.com")
apis = {
    api: enabled(f"api-{part}-api-{api}", f"{api}.googleapis.com", manager)
    for part, names in (
        ("image", ("artifactregistry",)),
        ("models", ("storage",)),
        ("endpoint", ("iam", "run")),
        ("function", ("logging",)),
        ("gateway", ("apigateway", "servicemanagement", "servicecontrol", "apikeys")),
        ("watch", ("monitoring",)),
    )
    for api in names
}


def account(name: str, role: str, purpose: str) -> gcp.serviceaccount.Account:
    return gcp.serviceaccount.Account(
        f"{name}-account",
        account_id=f"{role}-{digits(prefix, 10)}",
        display_name=f"{prefix} {role}",
        description=purpose,
        opts=after(apis["iam"]),
    )


def member(of: gcp.serviceaccount.Account) -> pulumi.Output[str]:
    return pulumi.Output.format("serviceAccount:{0}", of.email)


def invoke(name: str, service: gcp.cloudrunv2.Service, who: gcp.serviceaccount.Account) -> gcp.cloudrunv2.ServiceIamMember:
    return gcp.cloudrunv2.ServiceIamMember(
        f"{name}-invoke", name=service.name, location=service.location, role="roles/run.invoker", member=member(who)
    )


# Images.
registry = f"{region}-docker.pkg.dev"
repository = gcp.artifactregistry.Repository(
    "api-image-repository",
    repository_id=prefix,
    location=region,
    format="DOCKER",
    description="Images of the service",
    cleanup_policies=[
        gcp.artifactregistry.RepositoryCleanupPolicyArgs(
            id="keep-newest",
            action="KEEP",
            most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=10),
        ),
        gcp.artifactregistry.RepositoryCleanupPolicyArgs(
            id="delete-others",
            action="DELETE",
            condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(tag_state="ANY", older_than="86400s"),
        ),
    ],
    labels=labels,
    opts=after(apis["artifactregistry"]),
)


def image(name: str, role: str, target: str) -> pulumi.Output[str]:
    """Built from `containers/`, pushed, and named by its digest."""
    address = f"{registry}/{project}/{prefix}/{role}"
    built = docker_build.Image(
        name,
        context=docker_build.BuildContextArgs(location=".."),
        dockerfile=docker_build.DockerfileArgs(location="../containers/Dockerfile"),
        target=target,
        platforms=[docker_build.Platform("linux/amd64")],
        tags=[f"{address}:{build_tag()}"],
        push=False,
        exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
        registries=[
            docker_build.RegistryArgs(
                address=registry,
                username="oauth2accesstoken",
                password=pulumi.Output.secret(client.access_token),
            )
        ],
        opts=pulumi.ResourceOptions(depends_on=[repository], retain_on_delete=True),
    )
    return pulumi.Output.format("{0}@{1}", address, built.digest)


functions = image("api-image-functions", "functions", "function-gcp")
served = image("api-image-build", "endpoint", settings.image.build.target)

# The model.
models = f"{prefix}-models-{digits(f'{project}/{region}')}"
key = f"models/{artifact.sha256}/model.tar.gz"
bucket = gcp.storage.Bucket(
    "api-models-bucket",
    name=models,
    location=region,
    uniform_bucket_level_access=True,
    public_access_prevention="enforced",
    force_destroy=True,
    versioning=gcp.storage.BucketVersioningArgs(enabled=True),
    lifecycle_rules=[
        gcp.storage.BucketLifecycleRuleArgs(
            action=gcp.storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
            condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=7),
        ),
        gcp.storage.BucketLifecycleRuleArgs(
            action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
            condition=gcp.storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=30, with_state="ARCHIVED"),
        ),
    ],
    soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0),
    labels=labels,
    opts=after(apis["storage"]),
)
stored = gcp.storage.BucketObject(
    "api-models-model",
    bucket=bucket.name,
    name=key,
    source=pulumi.FileAsset(str(artifact.path)),
    content_type="application/gzip",
)


def service(
    name: str,
    physical: str,
    runs: pulumi.Input[str],
    runs_as: gcp.serviceaccount.Account,
    variables: dict[str, pulumi.Input[str]],
    sizes: tuple[int, int, int, int],
    timeout_s: int,
    ready: Sequence[pulumi.Resource],
    **more: Any,
) -> gcp.cloudrunv2.Service:
    """`sizes`: vCPUs, MiB, requests of an instance, instances."""
    cpu, memory_mb, requests, instances = sizes
    return gcp.cloudrunv2.Service(
        f"{name}-service",
        name=physical,
        location=region,
        ingress="INGRESS_TRAFFIC_ALL",
        invoker_iam_disabled=False,
        deletion_protection=False,
        scaling=gcp.cloudrunv2.ServiceScalingArgs(min_instance_count=0),
        template=gcp.cloudrunv2.ServiceTemplateArgs(
            service_account=runs_as.email,
            timeout=f"{timeout_s}s",
            max_instance_request_concurrency=requests,
            scaling=gcp.cloudrunv2.ServiceTemplateScalingArgs(max_instance_count=instances),
            containers=[
                gcp.cloudrunv2.ServiceTemplateContainerArgs(
                    image=runs,
                    ports=gcp.cloudrunv2.ServiceTemplateContainerPortsArgs(container_port=PORT),
                    envs=[gcp.cloudrunv2.ServiceTemplateContainerEnvArgs(name=each, value=value) for each, value in variables.items()],
                    resources=gcp.cloudrunv2.ServiceTemplateContainerResourcesArgs(
                        limits={"cpu": str(cpu), "memory": f"{memory_mb}Mi"}, cpu_idle=True, startup_cpu_boost=True
                    ),
                    **more,
                )
            ],
        ),
        labels=labels,
        opts=after(apis["run"], *ready),
    )


# Endpoint.
serves = account("api-endpoint", "endpoint", "Runs the model server")
reads = gcp.storage.BucketIAMMember(
    "api-endpoint-reads-model", bucket=bucket.name, role="roles/storage.objectViewer", member=member(serves)
)
endpoint = service(
    "api-endpoint",
    prefix,
    served,
    serves,
    {
        "MAX_BODY_BYTES": body_bytes,
        "REQUEST_TIMEOUT_S": str(settings.endpoint.predict_seconds),
        "MODEL_URI": f"gs://{models}/{key}",
        "MODEL_CACHE": "/tmp/model",
    },
    (CPU, settings.endpoint.memory_mb, REQUESTS, math.ceil((settings.endpoint.max_concurrency or 10) / REQUESTS)),
    ENDPOINT_S,
    [reads, stored],
    startup_probe=gcp.cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
        http_get=gcp.cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path="/health/startup", port=PORT),
        period_seconds=1,
        timeout_seconds=1,
        failure_threshold=STARTS_S,
    ),
    liveness_probe=gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
        http_get=gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(path="/health/live", port=PORT),
        period_seconds=10,
        timeout_seconds=5,
        failure_threshold=3,
    ),
)

# Function.
calls = account("api-function", "api", "Calls the endpoint")
function = service(
    "api-function",
    f"{prefix}-predict",
    functions,
    calls,
    {
        "ENDPOINT_URL": endpoint.uri,
        "ENDPOINT_TIMEOUT_S": str(ENDPOINT_S),
        "MAX_BODY_BYTES": body_bytes,
        "MODEL_TASK": settings.model.task,
        "SERVICE": stack,
        "GOOGLE_CLOUD_PROJECT": project,
        "CONCURRENCY": "16",
        "REQUEST_TIMEOUT_S": str(FUNCTION_S),
    },
    (1, settings.function.memory_mb, 16, 3),
    FUNCTION_S,
    [invoke("api-function", endpoint, calls)],
    args=["api"],
)
lines = (
    'resource.type="cloud_run_revision"',
    f'resource.labels.location="{region}"',
    f'resource.labels.service_name="{prefix}-predict"',
    'jsonPayload.event="metrics"',
    f'jsonPayload.Service="{stack}"',
    "jsonPayload.ColdStart:*",
)
gcp.logging.Metric(
    "api-function-cold-start",
    name=f"{prefix}-predict/ColdStart",
    description="Cold starts by stage",
    filter=" AND ".join(lines),
    value_extractor="EXTRACT(jsonPayload.ColdStart)",
    label_extractors={"stage": "EXTRACT(jsonPayload.Stage)"},
    metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(
        metric_kind="DELTA",
        value_type="DISTRIBUTION",
        unit="ms",
        display_name="Cold starts by stage",
        labels=[gcp.logging.MetricMetricDescriptorLabelArgs(key="stage", value_type="STRING")],
    ),
    bucket_options=gcp.logging.MetricBucketOptionsArgs(
        exponential_buckets=gcp.logging.MetricBucketOptionsExponentialBucketsArgs(scale=1.0, growth_factor=1.125, num_finite_buckets=125)
    ),
    opts=after(apis["logging"]),
)

# Gateway.
METRIC = "predict-requests"
ANSWER = {"description": "The answer, or a problem document."}
LIMIT = {"name": f"{METRIC}-a-minute", "metric": METRIC, "unit": "1/min/{project}"}
MINUTE = math.ceil(settings.auth.requests_per_second * 60)


def document(address: str) -> str:
    predict = {
        "operationId": "predict",
        "parameters": [{"name": "body", "in": "body", "required": True, "schema": {"type": "object"}}],
        "responses": {"200": ANSWER, "202": ANSWER},
        "x-google-quota": {"metricCosts": {METRIC: 1}},
    }
    whole = {
        "swagger": "2.0",
        "info": {"title": prefix, "version": "1"},
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json", "application/problem+json"],
        "x-google-backend": {
            "address": address,
            "jwt_audience": address,
            "path_translation": "APPEND_PATH_TO_ADDRESS",
            "deadline": float(GATEWAY_S),
            "protocol": "h2",
        },
        "x-google-management": {
            "metrics": [{"name": METRIC, "displayName": "Predictions", "valueType": "INT64", "metricKind": "DELTA"}],
            "quota": {"limits": [{**LIMIT, "values": {"STANDARD": MINUTE}}]},
        },
        "securityDefinitions": {"api-key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
        "security": [{"api-key": []}],
        "paths": {"/predict": {"post": predict}},
    }
    return json.dumps(whole, sort_keys=True)


lets_in = account("api-gateway", "gateway", "Calls the function for those whom the gateway lets in")
ready = [apis["apigateway"], apis["servicemanagement"], apis["servicecontrol"]]
api = gcp.apigateway.Api("api-gateway-api", api_id=prefix, display_name=prefix, labels=labels, opts=after(*ready))
managed = enabled("api-gateway-managed", api.managed_service, manager, *ready)
text = function.uri.apply(document)
config = gcp.apigateway.ApiConfig(
    "api-gateway-config",
    api=api.api_id,
    api_config_id=pulumi.Output.format("{0} {1}", text, lets_in.email).apply(lambda held: f"config-{digits(held)}"),
    display_name=prefix,
    openapi_documents=[
        gcp.apigateway.ApiConfigOpenapiDocumentArgs(
            document=gcp.apigateway.ApiConfigOpenapiDocumentDocumentArgs(
                path="openapi.json", contents=text.apply(lambda known: base64.b64encode(known.encode()).decode())
            )
        )
    ],
    gateway_config=gcp.apigateway.ApiConfigGatewayConfigArgs(
        backend_config=gcp.apigateway.ApiConfigGatewayConfigBackendConfigArgs(google_service_account=lets_in.email)
    ),
    labels=labels,
    opts=after(*ready),
)
gateway = gcp.apigateway.Gateway(
    "api-gateway-gateway",
    gateway_id=prefix,
    region=region,
    api_config=config.id,
    display_name=prefix,
    labels=labels,
    opts=after(invoke("api-gateway", function, lets_in), managed),
)
# Who must be told whose quota a call counts against.
counts = gcp.Provider("api-gateway-quota", project=project, region=region, user_project_override=True, billing_project=project)
opens = gcp.projects.ApiKey(
    "api-gateway-key",
    display_name=prefix,
    restrictions=gcp.projects.ApiKeyRestrictionsArgs(api_targets=[gcp.projects.ApiKeyRestrictionsApiTargetArgs(service=managed.service)]),
    deletion_policy="FORCE",
    opts=pulumi.ResourceOptions(provider=counts, depends_on=[apis["apikeys"]]),
)


# Alert policies.
def alarm(name: str, text: str, filtered: pulumi.Output[str], threshold: float, aligner: str, reducer: str) -> None:
    """A metric above a threshold in three minutes in a row."""
    gcp.monitoring.AlertPolicy(
        f"api-watch-{name}",
        display_name=f"{prefix} {name}",
        combiner="OR",
        conditions=[
            gcp.monitoring.AlertPolicyConditionArgs(
                display_name=name,
                condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
                    filter=filtered,
                    aggregations=[
                        gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                            alignment_period="60s", per_series_aligner=aligner, cross_series_reducer=reducer
                        )
                    ],
                    comparison="COMPARISON_GT",
                    threshold_value=threshold,
                    duration="180s",
                    trigger=gcp.monitoring.AlertPolicyConditionConditionThresholdTriggerArgs(count=1),
                    evaluation_missing_data="EVALUATION_MISSING_DATA_INACTIVE",
                ),
            )
        ],
        documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=text, mime_type="text/markdown"),
        alert_strategy=gcp.monitoring.AlertPolicyAlertStrategyArgs(auto_close="1800s"),
        user_labels=labels,
        opts=after(apis["monitoring"]),
    )


def filtered(metric: str, resource: str, label: str, name: pulumi.Output[str], where: str = "") -> pulumi.Output[str]:
    fixed = f'resource.type = "{resource}" AND metric.type = "{metric}"{where}'
    return pulumi.Output.format('{0} AND resource.labels.{1} = "{2}"', fixed, label, name)


FAILED = ' AND metric.labels.response_code_class = "5xx"'
SUM, SLOWEST = ("ALIGN_DELTA", "REDUCE_SUM"), ("ALIGN_PERCENTILE_99", "REDUCE_MAX")
REVISION = "cloud_run_revision"
for name, of, told, slow, limit_s in (
    (
        "endpoint",
        endpoint,
        "The model server answers with 5XX.",
        "The slowest hundredth of predictions comes close to the deadline.",
        settings.endpoint.predict_seconds,
    ),
    ("function", function, "The function fails.", "The slowest hundredth of calls comes close to the timeout.", FUNCTION_S),
):
    alarm(f"{name}-errors", told, filtered("run.googleapis.com/request_count", REVISION, "service_name", of.name, FAILED), 0, *SUM)
    late = filtered("run.googleapis.com/request_latencies", REVISION, "service_name", of.name)
    alarm(f"{name}-latency", slow, late, limit_s * 900, *SLOWEST)
answered = ("apigateway.googleapis.com/proxy/request_count", "apigateway.googleapis.com/Gateway", "gateway_id")
alarm("gateway-errors", "Callers get 5XX answers.", filtered(*answered, gateway.gateway_id, FAILED), 0, *SUM)

pulumi.export("url", pulumi.Output.format("https://{0}/predict", gateway.default_hostname))
pulumi.export("apiKey", pulumi.Output.secret(opens.key_string))
pulumi.export("endpointName", endpoint.name)
pulumi.export("functionName", function.name)

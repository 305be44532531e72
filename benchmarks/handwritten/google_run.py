"""Cloud Run by hand: services, the endpoint, what functions count, alert policies."""

import math
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_gcp as gcp

from benchmarks.handwritten.google import (
    account,
    after,
    apis,
    artifact,
    bucket,
    key,
    kind,
    labels,
    may,
    prefix,
    region,
    served,
    settings,
    stack,
    stored,
)

PORT, STARTS_S = 8080, 240
# vCPUs, and requests of an instance.
CPU, REQUESTS = (2, 2) if settings.endpoint.gpu is None else (8, 8)
body_bytes = str(settings.endpoint.max_body_bytes or 4_194_304)


def service(
    name: str,
    physical: str,
    runs: pulumi.Input[str],
    runs_as: gcp.serviceaccount.Account,
    variables: dict[str, pulumi.Input[str]],
    sizes: tuple[int, int, int, int],
    timeout_s: int,
    ready: Sequence[pulumi.Resource],
    gpu: str | None = None,
    internal: bool = False,
    **more: Any,
) -> gcp.cloudrunv2.Service:
    """`sizes`: vCPUs, MiB, requests of an instance, instances."""
    cpu, memory_mb, requests, instances = sizes
    return gcp.cloudrunv2.Service(
        f"{name}-service",
        name=physical,
        location=region,
        ingress="INGRESS_TRAFFIC_INTERNAL_ONLY" if internal else "INGRESS_TRAFFIC_ALL",
        invoker_iam_disabled=False,
        deletion_protection=False,
        scaling=gcp.cloudrunv2.ServiceScalingArgs(min_instance_count=0),
        template=gcp.cloudrunv2.ServiceTemplateArgs(
            labels=labels,
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
                        limits={"cpu": str(cpu), "memory": f"{memory_mb}Mi", **({} if gpu is None else {"nvidia.com/gpu": "1"})},
                        cpu_idle=gpu is None,
                        startup_cpu_boost=True,
                    ),
                    **more,
                )
            ],
            node_selector=None if gpu is None else gcp.cloudrunv2.ServiceTemplateNodeSelectorArgs(accelerator=f"nvidia-{gpu}"),
            gpu_zonal_redundancy_disabled=None if gpu is None else True,
        ),
        labels=labels,
        opts=after(apis["run"], *ready),
    )


def endpoint_of(
    timeout_s: int, variables: dict[str, pulumi.Input[str]], reads: Sequence[gcp.storage.Bucket] = ()
) -> gcp.cloudrunv2.Service:
    """The model server; `reads` are buckets beside the model's."""
    serves = account(f"{kind}-endpoint", "endpoint", "Runs the model server")
    granted = [may(f"{kind}-endpoint-reads-{number}", each, "objectViewer", serves) for number, each in enumerate((bucket, *reads))]
    gpu = settings.endpoint.gpu
    own: dict[str, pulumi.Input[str]] = {
        "MAX_BODY_BYTES": body_bytes,
        "REQUEST_TIMEOUT_S": str(settings.endpoint.predict_seconds),
        "MODEL_BYTES": str(artifact.size),
        "MODEL_URI": pulumi.Output.format("gs://{0}/{1}", bucket.name, key),
        "MODEL_CACHE": "/tmp/model",
        **({} if gpu is None else {"REQUIRE_GPU": "1"}),
    }
    return service(
        f"{kind}-endpoint",
        prefix,
        served,
        serves,
        own | variables,
        (CPU, settings.endpoint.memory_mb, REQUESTS, math.ceil((settings.endpoint.max_concurrency or 10) / REQUESTS)),
        timeout_s,
        [*granted, stored],
        gpu,
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
        readiness_probe=gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeArgs(
            http_get=gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeHttpGetArgs(path="/health/ready", port=PORT),
            period_seconds=10,
            timeout_seconds=5,
            failure_threshold=2,
            success_threshold=1,
        ),
    )


def counted(function: str, what: str, text: str, *, staged: bool = False) -> None:
    """What a function writes of itself as a metric; `staged` are milliseconds of a stage."""
    lines = (
        'resource.type="cloud_run_revision"',
        f'resource.labels.location="{region}"',
        f'resource.labels.service_name="{function}"',
        'jsonPayload.event="metrics"',
        f'jsonPayload.Service="{stack}"',
        f"jsonPayload.{what}:*",
    )
    stages = [gcp.logging.MetricMetricDescriptorLabelArgs(key="stage", value_type="STRING")]
    growing = gcp.logging.MetricBucketOptionsExponentialBucketsArgs(scale=1.0, growth_factor=1.125, num_finite_buckets=125)
    gcp.logging.Metric(
        f"{kind}-function-{what}",
        name=f"{function}/{what}",
        description=text,
        filter=" AND ".join(lines),
        value_extractor=f"EXTRACT(jsonPayload.{what})",
        label_extractors={"stage": "EXTRACT(jsonPayload.Stage)"} if staged else None,
        metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(
            metric_kind="DELTA",
            value_type="DISTRIBUTION",
            unit="ms" if staged else "1",
            display_name=text,
            labels=stages if staged else None,
        ),
        bucket_options=gcp.logging.MetricBucketOptionsArgs(exponential_buckets=growing),
        opts=after(apis["logging"]),
    )


# Alert policies.
def alarm(
    name: str, text: str, filtered: pulumi.Output[str], threshold: float, aligner: str, reducer: str, duration: str | None = None
) -> None:
    """A metric above a threshold, in one minute or for so long."""
    condition = gcp.monitoring.AlertPolicyConditionArgs(
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
            duration=duration or "0s",
            trigger=gcp.monitoring.AlertPolicyConditionConditionThresholdTriggerArgs(count=1),
            evaluation_missing_data="EVALUATION_MISSING_DATA_INACTIVE" if duration else None,
        ),
    )
    policy(name, text, condition, gcp.monitoring.AlertPolicyAlertStrategyArgs(auto_close="1800s"))


def policy(
    name: str, text: str, condition: gcp.monitoring.AlertPolicyConditionArgs, strategy: gcp.monitoring.AlertPolicyAlertStrategyArgs
) -> None:
    gcp.monitoring.AlertPolicy(
        f"{kind}-watch-{name}",
        display_name=f"{prefix} {name}",
        combiner="OR",
        conditions=[condition],
        documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=text, mime_type="text/markdown"),
        alert_strategy=strategy,
        user_labels=labels,
        opts=after(apis["monitoring"]),
    )


def filtered(metric: str, resource: str, label: str, name: pulumi.Output[str], where: str = "") -> pulumi.Output[str]:
    fixed = f'resource.type = "{resource}" AND metric.type = "{metric}"{where}'
    return pulumi.Output.format('{0} AND resource.labels.{1} = "{2}"', fixed, label, name)


FAILED = ' AND metric.labels.response_code_class = "5xx"'
SUM, SLOWEST = ("ALIGN_DELTA", "REDUCE_SUM"), ("ALIGN_PERCENTILE_99", "REDUCE_MAX")
REVISION = "cloud_run_revision"


def service_alarms(name: str, of: gcp.cloudrunv2.Service, failing: str, slow: str, limit_s: int, failed: str = FAILED) -> None:
    """Answers of the 500s, and durations close to the limit."""
    alarm(f"{name}-errors", failing, filtered("run.googleapis.com/request_count", REVISION, "service_name", of.name, failed), 0, *SUM)
    late = filtered("run.googleapis.com/request_latencies", REVISION, "service_name", of.name)
    alarm(f"{name}-latency", slow, late, limit_s * 900, *SLOWEST)


def endpoint_alarms(of: gcp.cloudrunv2.Service) -> None:
    """Answers of the 500s, and lines of requests that took almost as long as a prediction may."""
    failing = filtered("run.googleapis.com/request_count", REVISION, "service_name", of.name, FAILED)
    alarm("endpoint-errors", "The model server answers with 5XX.", failing, 0, *SUM)
    of_lines = f'resource.type="{REVISION}" AND resource.labels.location="{region}" AND resource.labels.service_name="{{0}}"'
    slow = f'AND jsonPayload.event="request" AND jsonPayload.ms>{settings.endpoint.predict_seconds * 900}'
    condition = gcp.monitoring.AlertPolicyConditionArgs(
        display_name="endpoint-latency",
        condition_matched_log=gcp.monitoring.AlertPolicyConditionConditionMatchedLogArgs(
            filter=pulumi.Output.format(f"{of_lines} {slow}", of.name)
        ),
    )
    seldom = gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(period="3600s")
    strategy = gcp.monitoring.AlertPolicyAlertStrategyArgs(auto_close="1800s", notification_rate_limit=seldom)
    policy("endpoint-latency", "The slowest prediction comes close to the deadline.", condition, strategy)


def function_alarms(of: gcp.cloudrunv2.Service, timeout_s: int, failed: str = FAILED) -> None:
    slow = "The slowest hundredth of calls comes close to the timeout."
    service_alarms("function", of, "The function fails.", slow, timeout_s, failed)

"""What the services of the twin count in CloudWatch: names and dimensions as AWS's services have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.metrics import Metrics
    from pilotlight.twin.twin import Twin

LAMBDA, SAGEMAKER, SQS, SCHEDULER, GATEWAY = "AWS/Lambda", "AWS/SageMaker", "AWS/SQS", "AWS/Scheduler", "AWS/ApiGateway"


def function_called(metrics: Metrics, name: str, qualifier: str | None, *, failed: bool, duration_ms: float, spilled: bool | None) -> None:
    """One invocation, by function and by the alias or version that was named (Lambda developer guide, types of metrics).

    `spilled` is None where nothing is provisioned.
    """
    values = {"Invocations": 1.0, "Errors": float(failed), "Duration": duration_ms, "Throttles": 0.0}
    if spilled is not None:
        values["ProvisionedConcurrencySpilloverInvocations" if spilled else "ProvisionedConcurrencyInvocations"] = 1.0
    metrics.put(LAMBDA, values, *_function_dimensions(name, qualifier))


def function_throttled(metrics: Metrics, name: str, qualifier: str | None) -> None:
    """A call that was refused; it is no invocation and no error."""
    metrics.put(LAMBDA, {"Throttles": 1.0}, *_function_dimensions(name, qualifier))


def _function_dimensions(name: str, qualifier: str | None) -> list[dict[str, str]]:
    whole = {"FunctionName": name}
    return [whole, {**whole, "Resource": f"{name}:{qualifier}" if qualifier else name}]


def endpoint_called(metrics: Metrics, endpoint: str, variant: str, *, status: int, model_us: float) -> None:
    """One request of an endpoint; `status` is the container's, 0 where it gave none. Latencies in microseconds (SageMaker developer
    guide, monitoring with CloudWatch)."""
    values = {
        "Invocations": 1.0,
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500 or status == 0),
        "ModelLatency": model_us,
    }
    metrics.put(SAGEMAKER, values, {"EndpointName": endpoint, "VariantName": variant})


def schedule_tried(metrics: Metrics, group: str, *, failed: bool) -> None:
    """One attempt of a schedule (EventBridge Scheduler user guide, monitoring with CloudWatch)."""
    metrics.put(SCHEDULER, {"InvocationAttemptCount": 1.0, "TargetErrorCount": float(failed)}, {"ScheduleGroup": group}, {})


def schedule_dropped(metrics: Metrics, group: str) -> None:
    """A schedule's call that was given up."""
    metrics.put(SCHEDULER, {"InvocationDroppedCount": 1.0}, {"ScheduleGroup": group}, {})


def gateway_called(metrics: Metrics, api: Resource, stage: str, *, http: bool, status: int, latency_ms: float) -> None:
    """One request of an API (API Gateway developer guide, metrics of REST and of HTTP APIs: their names differ)."""
    client, server = ("4xx", "5xx") if http else ("4XXError", "5XXError")
    values = {"Count": 1.0, client: float(400 <= status < 500), server: float(status >= 500), "Latency": latency_ms}
    whole = {"ApiId": api.id} if http else {"ApiName": str(api["name"])}
    metrics.put(GATEWAY, values, whole, {**whole, "Stage": stage})


def sample_queues(twin: Twin, alarms: Iterable[Resource], now: float) -> None:
    """The figures of the queues that alarms look at, for the minute before `now`; a queue that is gone has none."""
    names = {str(alarm["dimensions"].get("QueueName")) for alarm in alarms if alarm.get("namespace") == SQS and alarm.get("dimensions")}
    for queue in twin.sqs.store.queues():
        if queue.name in names:
            figures = twin.sqs.store.figures(queue.arn)
            values = {
                "ApproximateNumberOfMessagesVisible": float(figures.visible),
                "ApproximateNumberOfMessagesNotVisible": float(figures.in_flight),
                "ApproximateNumberOfMessagesDelayed": float(figures.delayed),
                "ApproximateAgeOfOldestMessage": figures.oldest_s,
            }
            twin.metrics.put(SQS, values, {"QueueName": queue.name}, at=now - 1)

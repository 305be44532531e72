"""Metrics that AWS documents for the services that stacks use: what alarms and dashboards may ask for. Data alone.

Sources: the metrics pages of the developer guides of Lambda ("Types of metrics for Lambda functions"), SageMaker ("Amazon SageMaker AI
metrics in Amazon CloudWatch", "Alarms and logs for tracking metrics from serverless endpoints"), API Gateway ("Amazon API Gateway
dimensions and metrics", "Monitor CloudWatch metrics for HTTP APIs"), SQS ("Available CloudWatch metrics"), SNS ("Monitoring topics using
CloudWatch") and DynamoDB ("DynamoDB Metrics and dimensions"), and of EventBridge Scheduler's user guide ("Monitoring with CloudWatch"),
as copies of these pages and programs that read the metrics state them (AWS CDK's canned metrics), 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PERCENTILES = "percentiles"
# Statistics that say something of a metric, by what it counts; CloudWatch draws the others too, and they mean nothing.
_EVENTS = frozenset({"Sum", "Average", "SampleCount"})
_RARE = frozenset({"Sum", "SampleCount"})
_LEVEL = frozenset({"Average", "Maximum", "Minimum"})
_SAMPLED = _LEVEL | _RARE
_SPREAD = _SAMPLED | {PERCENTILES}
_NONE: tuple[str, ...] = ("",)
_FUNCTION = ("", "FunctionName", "FunctionName Resource", "FunctionName Resource ExecutedVersion")
_VARIANT = ("EndpointName VariantName",)
_REST, _HTTP = (
    (each, f"{each} Stage", f"{each} Method Resource Stage")  # The last one only with detailed metrics.
    for each in ("ApiName", "ApiId")
)
_TABLE, _INDEX, _OPERATION = ("TableName",), ("TableName", "TableName GlobalSecondaryIndexName"), ("TableName Operation",)
_GROUP = ("", "ScheduleGroup")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric with the statistics that are of use; `dimensions` are the sets under which there are figures of it."""

    statistics: frozenset[str]
    dimensions: frozenset[frozenset[str]]


def _of(*rows: tuple[tuple[str, ...], frozenset[str], str]) -> dict[str, Metric]:
    """Rows of a namespace: sets of dimensions and names of metrics, each with spaces between. A name may stand in several."""
    found: dict[str, Metric] = {}
    for sets, statistics, names in rows:
        dimensions = frozenset(frozenset(each.split()) for each in sets)
        for name in names.split():
            before = found[name].dimensions if name in found else frozenset()
            found[name] = Metric(statistics=statistics, dimensions=before | dimensions)
    return found


# Namespace -> metric -> what there is of it.
METRICS: Mapping[str, Mapping[str, Metric]] = {
    "AWS/Lambda": _of(
        (_FUNCTION, _EVENTS, "Invocations Errors DeadLetterErrors DestinationDeliveryFailures Throttles OversizedRecordCount"),
        (_FUNCTION, _EVENTS, "ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations RecursiveInvocationsDropped"),
        (_FUNCTION, _EVENTS, "AsyncEventsReceived AsyncEventsDropped SignatureValidationErrors"),
        (_FUNCTION, _SPREAD, "Duration PostRuntimeExtensionsDuration IteratorAge OffsetLag AsyncEventAge"),
        (_FUNCTION, _SAMPLED, "ConcurrentExecutions ProvisionedConcurrentExecutions ProvisionedConcurrencyUtilization"),
        (_NONE, _SAMPLED, "UnreservedConcurrentExecutions ClaimedAccountConcurrency"),
    ),
    "AWS/SageMaker": _of(
        (_VARIANT, _EVENTS, "Invocations Invocation4XXErrors Invocation5XXErrors InvocationModelErrors"),
        (_VARIANT, _RARE, "InvocationsPerInstance"),
        (_VARIANT, _SPREAD, "ModelLatency OverheadLatency ModelSetupTime"),
        (_VARIANT, _LEVEL, "ConcurrentRequestsPerModel ServerlessConcurrentExecutionsUtilization"),
        (_VARIANT, _LEVEL, "ServerlessProvisionedConcurrencyExecutions ServerlessProvisionedConcurrencyUtilization"),
        (_VARIANT, _SAMPLED, "ServerlessProvisionedConcurrencyInvocations ServerlessProvisionedConcurrencySpilloverInvocations"),
    ),
    "/aws/sagemaker/Endpoints": _of(
        (_VARIANT, _SAMPLED, "CPUUtilization MemoryUtilization GPUUtilization GPUMemoryUtilization DiskUtilization"),
    ),
    "AWS/ApiGateway": _of(
        (_REST, _EVENTS, "4XXError 5XXError CacheHitCount CacheMissCount"),
        (_HTTP, _EVENTS, "4xx 5xx DataProcessed"),
        (_REST + _HTTP, _EVENTS, "Count"),
        (_REST + _HTTP, _SPREAD, "Latency IntegrationLatency"),
    ),
    "AWS/SQS": _of(
        (("QueueName",), _SAMPLED, "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesVisible ApproximateNumberOfMessagesDelayed"),
        (("QueueName",), _SAMPLED, "ApproximateNumberOfMessagesNotVisible ApproximateNumberOfGroupsWithInflightMessages SentMessageSize"),
        (("QueueName",), _SAMPLED, "NumberOfMessagesSent NumberOfMessagesReceived NumberOfMessagesDeleted NumberOfEmptyReceives"),
        (("QueueName",), _SAMPLED, "NumberOfDeduplicatedSentMessages"),
    ),
    "AWS/SNS": _of(
        (("TopicName",), _EVENTS, "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed"),
        (("TopicName",), _EVENTS, "NumberOfNotificationsFilteredOut NumberOfNotificationsRedrivenToDlq"),
        (("TopicName",), _EVENTS, "NumberOfNotificationsFailedToRedriveToDlq"),
        (("TopicName",), _SAMPLED, "PublishSize"),
    ),
    "AWS/DynamoDB": _of(
        (_INDEX, _RARE, "ReadThrottleEvents WriteThrottleEvents"),
        (
            _INDEX,
            _SAMPLED,
            "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ProvisionedReadCapacityUnits ProvisionedWriteCapacityUnits",
        ),
        (_TABLE, _SAMPLED, "ConditionalCheckFailedRequests TransactionConflict"),
        (_TABLE, _RARE, "TimeToLiveDeletedItemCount"),
        (_OPERATION, _RARE, "SystemErrors ThrottledRequests"),
        (_OPERATION, _SPREAD, "SuccessfulRequestLatency"),
        (_OPERATION, _SAMPLED, "ReturnedItemCount"),
        (_NONE, _RARE, "UserErrors"),
    ),
    "AWS/Scheduler": _of(
        (
            _GROUP,
            _EVENTS,
            "InvocationAttemptCount TargetErrorCount TargetErrorThrottledCount InvocationThrottleCount InvocationDroppedCount",
        ),
        (_GROUP, _EVENTS, "InvocationsSentToDeadLetterCount InvocationsSentToDeadLetterCount_Truncated_MessageSizeExceeded"),
        (_GROUP, _EVENTS, "InvocationsFailedToBeSentToDeadLetterCount"),
    ),
}

"""The metrics of Azure Monitor that alerts of these stacks can ask for: per resource type their dimensions and what can be made of them.

Azure Monitor documentation, "Supported metrics" of each resource type (read 2026-11). A type that is not here is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ANY = frozenset({"Average", "Maximum", "Minimum", "Total"})


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`dimensions` may be filtered by; `aggregations` are what an alert may make of each minute's figures."""

    dimensions: frozenset[str] = frozenset()
    aggregations: frozenset[str] = _ANY


def _metric(*dimensions: str, aggregations: tuple[str, ...] = ()) -> Metric:
    return Metric(dimensions=frozenset(dimensions), aggregations=frozenset(aggregations) or _ANY)


_REPLICA = ("revisionName", "podName")
_TRAFFIC = ("revisionName", "podName", "statusCodeCategory", "statusCode")
_STORAGE = ("ResponseType", "GeoType", "ApiName", "Authentication")
METRICS: Mapping[str, Mapping[str, Metric]] = {
    "microsoft.app/containerapps": {
        "Requests": _metric(*_TRAFFIC),
        "ResponseTime": _metric("statusCodeCategory", "statusCode"),
        "Replicas": _metric("revisionName"),
        "RestartCount": _metric(*_REPLICA),
        "UsageNanoCores": _metric(*_REPLICA),
        "WorkingSetBytes": _metric(*_REPLICA),
        "RxBytes": _metric(*_REPLICA),
        "TxBytes": _metric(*_REPLICA),
        "CoresQuotaUsed": _metric("revisionName"),
        "TotalCoresQuotaUsed": _metric(),
        "CpuPercentage": _metric(*_REPLICA),
        "MemoryPercentage": _metric(*_REPLICA),
    },
    "microsoft.app/jobs": {
        name: _metric("state", "jobName", "executionName")
        for name in ("Executions", "RequestedBytes", "RequestedCores", "Usage Bytes", "UsageNanoCores")
    },
    "microsoft.apimanagement/service": {
        "Requests": _metric(
            *("Location", "Hostname", "LastErrorReason", "ApiId"),
            *("BackendResponseCode", "BackendResponseCodeCategory", "GatewayResponseCode", "GatewayResponseCodeCategory"),
        ),
        "Duration": _metric("Location", "Hostname", aggregations=("Average", "Maximum", "Minimum")),
        "BackendDuration": _metric("Location", "Hostname", aggregations=("Average", "Maximum", "Minimum")),
        "Capacity": _metric("Location", aggregations=("Average", "Maximum")),
    },
    "microsoft.storage/storageaccounts/queueservices": {
        "QueueMessageCount": _metric(aggregations=("Average",)),
        "QueueCount": _metric(aggregations=("Average",)),
        "Transactions": _metric(*_STORAGE, "TransactionType"),
        "Availability": _metric(*_STORAGE),
    },
    "microsoft.storage/storageaccounts/blobservices": {
        "Transactions": _metric(*_STORAGE, "TransactionType"),
        "Availability": _metric(*_STORAGE),
        "BlobCount": _metric("BlobType", "Tier"),
    },
    "microsoft.eventgrid/systemtopics": {
        name: _metric("EventSubscriptionName", *extra)
        for name, extra in {
            "DeliveryAttemptFailCount": ("Error", "ErrorType", "DomainEventSubscriptionName"),
            "DeliverySuccessCount": ("DomainEventSubscriptionName",),
            "DroppedEventCount": ("DropReason", "DomainEventSubscriptionName"),
            "DeadLetteredCount": ("DeadLetterReason", "DomainEventSubscriptionName"),
            "MatchedEventCount": ("DomainEventSubscriptionName",),
        }.items()
    },
}

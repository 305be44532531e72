"""Metrics that Google documents for the services that stacks use: what alert policies and dashboards may ask for. Data alone.

Source: Cloud Monitoring documentation, "Google Cloud metrics" (A to B: apigateway; P to Z: pubsub, run) and "Monitored resource types",
of which kinds, values and labels were read as collectors of these metrics state them (dynatrace-gcp-monitor, `src/config`, for run and
pubsub; New Relic's page on API Gateway), 2026-11. Rules of aligners and reducers: Monitoring API v3, Aggregation (revision 20260129).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NUMERIC = frozenset({"INT64", "DOUBLE"})
_DISTRIBUTION, _BOOL, _STRING = frozenset({"DISTRIBUTION"}), frozenset({"BOOL"}), frozenset({"STRING"})
_ANY = NUMERIC | _DISTRIBUTION | _BOOL | _STRING
RUN, SUBSCRIPTION, TOPIC, GATEWAY = "cloud_run_revision", "pubsub_subscription", "pubsub_topic", "apigateway.googleapis.com/Gateway"
# Monitored resource type -> its labels.
RESOURCES: Mapping[str, frozenset[str]] = {
    RUN: frozenset({"project_id", "location", "service_name", "revision_name", "configuration_name"}),
    SUBSCRIPTION: frozenset({"project_id", "subscription_id"}),
    TOPIC: frozenset({"project_id", "topic_id"}),
    GATEWAY: frozenset({"resource_container", "location", "gateway_id"}),
}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's descriptor; `resources` is None where every type of monitored resource may have it."""

    type: str
    kind: str
    value: str
    labels: frozenset[str]
    resources: frozenset[str] | None


def _of(resource: str, domain: str, *rows: tuple[str, str, str, str]) -> dict[str, Metric]:
    """Rows of a service: path, kind, value, labels with spaces between."""
    made = (
        Metric(type=f"{domain}/{path}", kind=kind, value=value, labels=frozenset(labels.split()), resources=frozenset({resource}))
        for path, kind, value, labels in rows
    )
    return {metric.type: metric for metric in made}


_ANSWERED = "response_code response_code_class route"
METRICS: Mapping[str, Metric] = {
    **_of(
        RUN,
        "run.googleapis.com",
        ("container/billable_instance_time", "DELTA", "DOUBLE", ""),
        ("container/cpu/allocation_time", "DELTA", "DOUBLE", ""),
        ("container/cpu/utilizations", "DELTA", "DISTRIBUTION", ""),
        ("container/instance_count", "GAUGE", "INT64", "state"),
        ("container/max_request_concurrencies", "DELTA", "DISTRIBUTION", "state"),
        ("container/memory/allocation_time", "DELTA", "DOUBLE", ""),
        ("container/memory/utilizations", "DELTA", "DISTRIBUTION", ""),
        ("container/network/received_bytes_count", "DELTA", "INT64", "kind"),
        ("container/network/sent_bytes_count", "DELTA", "INT64", "kind"),
        ("container/startup_latencies", "DELTA", "DISTRIBUTION", ""),
        ("request_count", "DELTA", "INT64", _ANSWERED),
        ("request_latencies", "DELTA", "DISTRIBUTION", _ANSWERED),
    ),
    **_of(
        SUBSCRIPTION,
        "pubsub.googleapis.com",
        ("subscription/ack_message_count", "DELTA", "INT64", "delivery_type"),
        ("subscription/backlog_bytes", "GAUGE", "INT64", ""),
        ("subscription/dead_letter_message_count", "DELTA", "INT64", "response_code"),
        ("subscription/num_outstanding_messages", "GAUGE", "INT64", ""),
        ("subscription/num_undelivered_messages", "GAUGE", "INT64", ""),
        ("subscription/oldest_unacked_message_age", "GAUGE", "INT64", ""),
        ("subscription/pull_request_count", "DELTA", "INT64", "response_class response_code"),
        ("subscription/push_request_count", "DELTA", "INT64", "response_class response_code delivery_type"),
        ("subscription/push_request_latencies", "DELTA", "DISTRIBUTION", "response_code delivery_type"),
        ("subscription/sent_message_count", "DELTA", "INT64", "delivery_type"),
    ),
    **_of(GATEWAY, "apigateway.googleapis.com", ("proxy/request_count", "DELTA", "INT64", "api_config response_code response_code_class")),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """An aligner or a reducer: the kinds and values that it takes, and what it makes of them (None: the same)."""

    kinds: frozenset[str]
    values: frozenset[str]
    kind: str | None = None
    value: str | None = None


_GAUGE, _MEASURED = frozenset({"GAUGE"}), frozenset({"GAUGE", "DELTA"})
_CHANGES = frozenset({"CUMULATIVE", "DELTA"})
_PERCENTILES = ("99", "95", "50", "05")
ALIGNERS: Mapping[str, Step] = {
    "ALIGN_NONE": Step(kinds=_GAUGE | _CHANGES, values=_ANY),
    "ALIGN_DELTA": Step(kinds=_CHANGES, values=_ANY, kind="DELTA"),
    "ALIGN_RATE": Step(kinds=_CHANGES, values=NUMERIC, kind="GAUGE", value="DOUBLE"),
    "ALIGN_INTERPOLATE": Step(kinds=_GAUGE, values=NUMERIC),
    "ALIGN_NEXT_OLDER": Step(kinds=_GAUGE, values=_ANY),
    **{f"ALIGN_{name}": Step(kinds=_MEASURED, values=NUMERIC) for name in ("MIN", "MAX")},
    **{f"ALIGN_{name}": Step(kinds=_MEASURED, values=NUMERIC, value="DOUBLE") for name in ("MEAN", "STDDEV")},
    "ALIGN_COUNT": Step(kinds=_MEASURED, values=NUMERIC | _BOOL, value="INT64"),
    "ALIGN_SUM": Step(kinds=_MEASURED, values=NUMERIC | _DISTRIBUTION),
    **{f"ALIGN_COUNT_{name}": Step(kinds=_GAUGE, values=_BOOL, value="INT64") for name in ("TRUE", "FALSE")},
    "ALIGN_FRACTION_TRUE": Step(kinds=_GAUGE, values=_BOOL, value="DOUBLE"),
    **{f"ALIGN_PERCENTILE_{name}": Step(kinds=_MEASURED, values=_DISTRIBUTION, kind="GAUGE", value="DOUBLE") for name in _PERCENTILES},
    "ALIGN_PERCENT_CHANGE": Step(kinds=_MEASURED, values=NUMERIC, kind="GAUGE", value="DOUBLE"),
}
REDUCERS: Mapping[str, Step] = {
    "REDUCE_NONE": Step(kinds=_MEASURED | _CHANGES, values=_ANY),
    **{f"REDUCE_{name}": Step(kinds=_MEASURED, values=NUMERIC) for name in ("MIN", "MAX")},
    "REDUCE_SUM": Step(kinds=_MEASURED, values=NUMERIC | _DISTRIBUTION),
    **{f"REDUCE_{name}": Step(kinds=_MEASURED, values=NUMERIC | _DISTRIBUTION, value="DOUBLE") for name in ("MEAN", "STDDEV")},
    "REDUCE_COUNT": Step(kinds=_MEASURED, values=_ANY, value="INT64"),
    **{f"REDUCE_COUNT_{name}": Step(kinds=_MEASURED, values=_BOOL, value="INT64") for name in ("TRUE", "FALSE")},
    "REDUCE_FRACTION_TRUE": Step(kinds=_MEASURED, values=_BOOL, value="DOUBLE"),
    **{f"REDUCE_PERCENTILE_{name}": Step(kinds=_MEASURED, values=NUMERIC | _DISTRIBUTION, value="DOUBLE") for name in _PERCENTILES},
}

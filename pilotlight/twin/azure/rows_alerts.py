"""Azure Monitor: metric alerts, judged by the metrics that there are, and the action groups that tell of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from components.limits_azure import ACTION_GROUP_SHORT_NAME
from pilotlight.twin.azure import alert_rules, arm, times, watched
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.monitor_metrics import METRICS, Metric
from pilotlight.twin.azure.types import ACTION_GROUP, METRIC_ALERT
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin

# Azure Monitor REST API, "Metric Alerts - Create Or Update" and "Action Groups - Create Or Update" (2018-03-01, 2023-01-01).
_SINGLE = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
_WINDOWS = tuple(alert_rules.DURATIONS)
_FREQUENCIES = _WINDOWS[:5]
_SEVERITIES = range(5)
_CRITERIA_HIGH = 5
# What this twin has no way to send: it keeps mails, and tells of nothing else.
_RECEIVERS = (
    *("armRoleReceivers", "automationRunbookReceivers", "azureAppPushReceivers", "azureFunctionReceivers", "eventHubReceivers"),
    *("incidentReceivers", "itsmReceivers", "logicAppReceivers", "smsReceivers", "voiceReceivers", "webhookReceivers"),
)


def _alert_limits(inputs: Properties) -> list[str]:
    found = [*_choice(inputs, "evaluationFrequency", _FREQUENCIES), *_choice(inputs, "windowSize", _WINDOWS)]
    severity = inputs.get("severity")
    if isinstance(severity, int | float) and severity not in _SEVERITIES:
        found.append(f"severity: {severity:g} is not allowed: use 0 (critical) to 4 (verbose).")
    every, over = inputs.get("evaluationFrequency"), inputs.get("windowSize")
    if every in _FREQUENCIES and over in _WINDOWS and _WINDOWS.index(str(over)) < _WINDOWS.index(str(every)):
        found.append(f"windowSize: {over} is shorter than evaluationFrequency {every}: use one as long at least.")
    criteria = inputs.get("criteria")
    found += _criteria_problems(criteria) if isinstance(criteria, Mapping) else []
    # What Azure refuses first: what it takes and the twin does not judge is told of nothing else.
    return found or list(alert_rules.unjudged(inputs))


def _criteria_problems(criteria: Properties) -> Iterator[str]:
    kind = criteria.get("odataType")
    if isinstance(kind, str) and kind != _SINGLE:
        yield f"criteria.odataType: {kind!r} is not served by the local twin: use {_SINGLE}."
        return
    each = criteria.get("allOf") or []
    if not 1 <= len(each) <= _CRITERIA_HIGH:
        yield f"criteria.allOf: has {len(each)} criteria: use 1 to {_CRITERIA_HIGH}."
    names = [one.get("name") for one in each if isinstance(one, Mapping)]
    if len(set(names)) < len(names):
        yield "criteria.allOf: two criteria have one name: give each a name of its own."
    for position, one in enumerate(each):
        if isinstance(one, Mapping):
            yield from _metric_problems(f"criteria.allOf[{position}]", one)


def _metric_problems(at: str, criterion: Properties) -> Iterator[str]:
    if criterion.get("criterionType") not in (None, "StaticThresholdCriterion"):
        yield f"{at}.criterionType: {criterion['criterionType']!r} is not served by the local twin: use StaticThresholdCriterion."
    known = METRICS.get(str(criterion.get("metricNamespace")).lower())
    name = criterion.get("metricName")
    if known is None or not isinstance(name, str):
        return
    metric = known.get(name)
    if metric is None:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(known))}."
        yield f"{at}.metricName: {criterion['metricNamespace']} has no metric {name!r}: {hint}"
        return
    yield from _use_problems(at, criterion, name, metric)


def _use_problems(at: str, criterion: Properties, name: str, metric: Metric) -> Iterator[str]:
    made = criterion.get("timeAggregation")
    if isinstance(made, str) and made not in metric.aggregations:
        yield f"{at}.timeAggregation: {name} has no {made}: use one of {', '.join(sorted(metric.aggregations))}."
    for position, one in enumerate(criterion.get("dimensions") or []):
        label = one.get("name") if isinstance(one, Mapping) else None
        if isinstance(label, str) and label not in metric.dimensions:
            fitting = ", ".join(sorted(metric.dimensions)) or "none, it has no dimensions"
            yield f"{at}.dimensions[{position}].name: {name} has no dimension {label!r}: use {fitting}."


def _check_alert(twin: Twin, inputs: Properties) -> None:
    """What it watches and whom it tells must be there; what it asks for must be the watched type's."""
    scopes = inputs.get("scopes") or []
    if len(scopes) != 1:
        raise Refusal("BadRequest", f"scopes: has {len(scopes)} resources: with the criteria {_SINGLE} use exactly one.")
    kind = watched.kind_of(twin.world, str(scopes[0]))
    if kind is None:
        raise Refusal("ResourceNotFound", f"scopes: {scopes[0]!r} was not found: use the output `id` of a resource.", 404)
    for position, one in enumerate(inputs["criteria"].get("allOf") or []):
        namespace = str(one.get("metricNamespace") or kind)
        if namespace.lower() in METRICS and namespace.lower() != kind.lower():
            text = f"criteria.allOf[{position}].metricNamespace: {namespace} is not that of {scopes[0]}: use {kind}."
            raise Refusal("BadRequest", text)
    for position, one in enumerate(inputs.get("actions") or []):
        told = arm.find(twin.world, str(one.get("actionGroupId")))
        if told is None or told.token != ACTION_GROUP:
            text = f"actions[{position}].actionGroupId: {one.get('actionGroupId')!r} is no action group that is there."
            raise Refusal("ResourceNotFound", text, 404)


def _group_limits(inputs: Properties) -> list[str]:
    found = []
    short = inputs.get("groupShortName")
    if isinstance(short, str) and len(short) not in ACTION_GROUP_SHORT_NAME:
        found.append(f"groupShortName: {short!r} has {len(short)} characters: use 1 to {ACTION_GROUP_SHORT_NAME.high}.")
    found += [f"{name}: is not served by the local twin: use emailReceivers." for name in _RECEIVERS if inputs.get(name)]
    for position, one in enumerate(inputs.get("emailReceivers") or []):
        address = one.get("emailAddress") if isinstance(one, Mapping) else None
        if isinstance(address, str) and "@" not in address:
            found.append(f"emailReceivers[{position}].emailAddress: {address!r} is no e-mail address.")
    return found


def _choice(inputs: Properties, field: str, allowed: tuple[str, ...]) -> list[str]:
    value = inputs.get(field)
    return (
        [] if not isinstance(value, str) or value in allowed else [f"{field}: {value!r} is not allowed: use one of {', '.join(allowed)}."]
    )


def _alert(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"isMigrated": False, "lastUpdatedTime": times.iso(twin.clock.now())}


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=METRIC_ALERT,
            id=arm.id_of(METRIC_ALERT),
            limits=_alert_limits,
            check=_check_alert,
            computed=_alert,
            volatile=frozenset({"lastUpdatedTime"}),
        ),
        everywhere=True,
    ),
    azure(
        Row(
            token=ACTION_GROUP,
            id=arm.id_of(ACTION_GROUP),
            limits=_group_limits,
            computed=lambda twin, inputs: {"enabled": inputs.get("enabled", True)},
        ),
        everywhere=True,
    ),
)

"""Cloud Monitoring: alert policies, notification channels, dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pilotlight.twin.forms import only_one
from pilotlight.twin.gcp import assigned, dashboard_queries, judge_discovery, log_filter, metric_judge
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.metric_judge import Known
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.rows_logging import descriptor
from pilotlight.twin.gcp.types import ALERT_POLICY, CHANNEL, LOG_METRIC, TOPIC
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

API = "monitoring.googleapis.com"
DASHBOARD = "gcp:monitoring/dashboard:Dashboard"
# Monitoring API v3, AlertPolicy (read 2026-11).
_CONDITIONS = (
    "conditionThreshold",
    "conditionAbsent",
    "conditionMonitoringQueryLanguage",
    "conditionMatchedLog",
    "conditionPrometheusQueryLanguage",
    "conditionSql",
)
_MOST_CONDITIONS = 6
_MINUTE = 60
_COMPARISONS = ("COMPARISON_GT", "COMPARISON_LT")
# Before the account is asked, Google's alone.
_GOOGLES = Known()
# Monitoring documentation, "Create and manage notification channels by API": what each type is addressed by.
_ADDRESSED = {
    "email": "email_address",
    "pubsub": "topic",
    "sms": "number",
    "webhook_tokenauth": "url",
    "webhook_basicauth": "url",
    "slack": "channel_name",
    "pagerduty": None,
    "google_chat": "space",
}


def _policy_limits(inputs: Properties) -> list[str]:
    conditions = inputs.get("conditions")
    if not isinstance(conditions, list):
        return []
    found = []
    if not 1 <= len(conditions) <= _MOST_CONDITIONS:
        found.append(f"conditions: there are {len(conditions)}: use 1 to {_MOST_CONDITIONS}.")
    for index, condition in enumerate(conditions):
        if isinstance(condition, Mapping):
            found += [*_condition(condition, f"conditions[{index}].")]
    return [*found, *_lines_limits(inputs, conditions)]


def _lines_limits(inputs: Properties, conditions: Sequence[object]) -> Iterator[str]:
    """What holds for a policy that looks for lines of the log (Monitoring API v3, LogMatch and NotificationRateLimit; Cloud Logging
    documentation, "Configure log-based alerting policies")."""
    matched = [each for each in conditions if isinstance(each, Mapping) and each.get("conditionMatchedLog")]
    limited = isinstance(strategy := inputs.get("alertStrategy"), Mapping) and bool(strategy.get("notificationRateLimit"))
    if matched and len(conditions) > 1:
        yield f"conditions: one that looks for lines stands alone: there are {len(conditions)}, use a policy for each."
    if matched and not limited:
        yield "alertStrategy.notificationRateLimit: is required where a condition looks for lines: say how often it may mail at most."
    if limited and not matched:
        yield "alertStrategy.notificationRateLimit: is for policies that look for lines (conditionMatchedLog): leave it out."


def _condition(condition: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from only_one(condition, *_CONDITIONS, at=at)
    for kind in ("conditionThreshold", "conditionAbsent"):
        held = condition.get(kind)
        if not isinstance(held, Mapping):
            continue
        yield from _whole_minutes(f"{at}{kind}.duration", held.get("duration"), 0 if kind == "conditionThreshold" else 2 * _MINUTE)
        if held.get("evaluationMissingData") and kind == "conditionThreshold" and seconds(held.get("duration")) == 0:
            yield f"{at}{kind}.evaluationMissingData: needs a duration of 60s or more: set one, or leave it out."
        for index, one in enumerate(held.get("aggregations") or []):
            yield from _whole_minutes(f"{at}{kind}.aggregations[{index}].alignmentPeriod", one.get("alignmentPeriod"), _MINUTE)
        comparison = held.get("comparison")
        if kind == "conditionThreshold" and comparison is not None and comparison not in _COMPARISONS:
            yield f"{at}{kind}.comparison: {comparison!r} is refused by Google: use one of {', '.join(_COMPARISONS)}."
        yield from _asked(f"{at}{kind}.", held, _GOOGLES)
    if isinstance(lines := condition.get("conditionMatchedLog"), Mapping) and isinstance(text := lines.get("filter"), str):
        try:
            log_filter.read(text)
        except Refusal as refusal:
            yield f"{at}conditionMatchedLog.filter: {refusal}"


def _asked(at: str, held: Mapping[str, Any], known: Known) -> Iterator[str]:
    """What Monitoring says of the filters of a condition."""
    for filter_, aggregations in (("filter", "aggregations"), ("denominatorFilter", "denominatorAggregations")):
        if isinstance(text := held.get(filter_), str):
            found = metric_judge.problems(text, held.get(aggregations) or [], known, compared=True)
            yield from (f"{at}{filter_}: {problem}" for problem in found)


def _whole_minutes(path: str, value: object, least: int) -> list[str]:
    if not isinstance(value, str):
        return []
    found = seconds(value)
    if found is None or found % _MINUTE or found < least:
        return [f"{path}: {value!r}: use whole minutes in seconds, '{least}s' or more, as '{max(least, _MINUTE)}s'."]
    return []


def _check_policy(twin: Twin, inputs: Properties) -> None:
    for channel in inputs.get("notificationChannels") or []:
        require_channel(twin, channel)
    known = _known(twin, inputs["project"])
    for index, condition in enumerate(inputs["conditions"]):
        for kind in ("conditionThreshold", "conditionAbsent"):
            for problem in _asked(f"conditions[{index}].{kind}.", condition.get(kind) or {}, known):
                raise _refused(problem)


def _known(twin: Twin, project: str) -> Known:
    """The metrics that there are in a project."""
    return Known(descriptor(made.outputs) for made in twin.world.find(LOG_METRIC) if made.get("project") == project)


def _refused(problem: str) -> Refusal:
    missing = metric_judge.MISSING in problem
    return Refusal("NOT_FOUND" if missing else "INVALID_ARGUMENT", problem, 404 if missing else 400)


def require_channel(twin: Twin, channel: str) -> None:
    """Refusal where there is no notification channel of that full name."""
    if twin.world.get(CHANNEL, channel) is None:
        raise Refusal("NOT_FOUND", f"The notification channel {channel} does not exist: use a NotificationChannel's `name`.", 404)


def _new(collection: str) -> Any:
    """The outputs that name a new policy or channel."""
    return lambda twin, inputs: {"name": f"projects/{inputs['project']}/{collection}/{assigned.digits(19)}"}


def _new_policy(twin: Twin, inputs: Properties) -> dict[str, Any]:
    made: dict[str, Any] = _new("alertPolicies")(twin, inputs)
    return {**made, "creationRecords": [{"mutateTime": assigned.now(twin), "mutatedBy": "developer"}]}


def _channel_limits(inputs: Properties) -> list[str]:
    kind, labels = inputs.get("type"), inputs.get("labels") or {}
    if not isinstance(kind, str):
        return []
    if kind not in _ADDRESSED:
        return [f"type: {kind!r} is no type of channel that the local twin knows: use one of {', '.join(sorted(_ADDRESSED))}."]
    needed = _ADDRESSED[kind]
    return [f"labels: has no {needed!r}, which a channel of type {kind!r} is addressed by."] if needed and needed not in labels else []


def _check_channel(twin: Twin, inputs: Properties) -> None:
    topic = str((inputs.get("labels") or {}).get("topic"))
    if inputs["type"] == "pubsub" and twin.world.get(TOPIC, topic) is None:
        raise Refusal("NOT_FOUND", f"Topic {topic} does not exist: use a Topic's `id`.", 404)


def _delete_channel(twin: Twin, channel: Resource) -> None:
    users = [one for one in twin.world.find(ALERT_POLICY) if channel["name"] in (one.get("notificationChannels") or [])]
    if users and not channel.get("forceDelete"):
        raise Refusal("FAILED_PRECONDITION", f"{channel['name']} is used by {len(users)} alert policies: take it out, or set forceDelete.")


def _dashboard_limits(inputs: Properties) -> list[str]:
    text = inputs.get("dashboardJson")
    if not isinstance(text, str):
        return []
    try:
        content = json.loads(text)
    except ValueError as error:
        return [f"dashboardJson: is no JSON: {error}."]
    if not isinstance(content, Mapping):
        return ["dashboardJson: must be an object, as Monitoring's Dashboard is."]
    wrong = [str(problem) for problem in judge_discovery.judge_json(content, "monitoring.v1:Dashboard", "dashboardJson")]
    return wrong or [*dashboard_queries.problems(content, _GOOGLES, "dashboardJson")]


def _check_dashboard(twin: Twin, inputs: Properties) -> None:
    for problem in dashboard_queries.problems(json.loads(inputs["dashboardJson"]), _known(twin, inputs["project"]), "dashboardJson"):
        raise _refused(problem)


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=ALERT_POLICY,
            id=lambda p: str(p["name"]),
            assigned=_new_policy,
            computed=lambda twin, inputs: {"enabled": inputs.get("enabled", True)},
            discovery="monitoring.v3:AlertPolicy",
            rename={"project": ""},
            limits=_policy_limits,
            check=_check_policy,
        ),
        api=API,
    ),
    google(
        Row(
            token=CHANNEL,
            id=lambda p: str(p["name"]),
            assigned=_new("notificationChannels"),
            computed=lambda twin, inputs: {"verificationStatus": "VERIFICATION_STATUS_UNSPECIFIED", "enabled": inputs.get("enabled", True)},
            discovery="monitoring.v3:NotificationChannel",
            secrets=frozenset({"sensitiveLabels"}),
            limits=_channel_limits,
            check=_check_channel,
            delete=_delete_channel,
        ),
        api=API,
    ),
    google(
        Row(
            token=DASHBOARD,
            # The one type whose name is no output.
            id=lambda p: f"projects/{assigned.project_number(p['project'])}/dashboards/{assigned.new_uuid()}",
            limits=_dashboard_limits,
            check=_check_dashboard,
        ),
        api=API,
    ),
)

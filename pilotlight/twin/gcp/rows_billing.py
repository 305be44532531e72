"""Cloud Billing: budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.twin.forms import only_one
from pilotlight.twin.gcp import assigned, services
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.rows_monitoring import require_channel
from pilotlight.twin.gcp.types import BUDGET, ENABLED, TOPIC
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin

API = "billingbudgets.googleapis.com"
# Cloud Billing documentation, "Billing account ID": 18 digits and letters in three groups.
_ACCOUNT = re.compile(r"(?:billingAccounts/)?[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
# Cloud Billing Budget API v1, Budget (read 2026-11).
_NAME = 60
_MOST_CHANNELS = 5
_PROJECT = re.compile(r"projects/[^/]+")


def _limits(inputs: Properties) -> list[str]:
    account, name = inputs.get("billingAccount"), inputs.get("displayName")
    found = []
    if isinstance(account, str) and not _ACCOUNT.fullmatch(account):
        found.append(f"billingAccount: {account!r} is no billing account: use an id as 012345-6789AB-CDEF01.")
    if isinstance(name, str) and len(name) > _NAME:
        found.append(f"displayName: has {len(name)} characters: use at most {_NAME}.")
    amount = inputs.get("amount")
    if isinstance(amount, Mapping):
        found += only_one(amount, "specifiedAmount", "lastPeriodAmount", at="amount.")
    return [*found, *_parts(inputs)]


def _parts(inputs: Properties) -> Iterator[str]:
    rules = inputs.get("thresholdRules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        share = rule.get("thresholdPercent") if isinstance(rule, Mapping) else None
        if isinstance(share, int | float) and share <= 0:
            yield f"thresholdRules[{index}].thresholdPercent: {share}: use more than 0; 1.0 is all of the amount."
    updates = inputs.get("allUpdatesRule")
    channels = updates.get("monitoringNotificationChannels") if isinstance(updates, Mapping) else None
    if isinstance(channels, list) and len(channels) > _MOST_CHANNELS:
        yield f"allUpdatesRule.monitoringNotificationChannels: there are {len(channels)}: use at most {_MOST_CHANNELS}."
    picked = inputs.get("budgetFilter")
    for index, project in enumerate((picked.get("projects") or []) if isinstance(picked, Mapping) else []):
        if isinstance(project, str) and not _PROJECT.fullmatch(project):
            yield f"budgetFilter.projects[{index}]: {project!r} is no project: use projects/NUMBER."


def _check(twin: Twin, inputs: Properties) -> None:
    """The API must be on in the project that the call is made for, which a budget does not tell: one of the account's must have it."""
    if not any(services.enabled(twin.world, enabled["project"], API) for enabled in twin.world.find(ENABLED)):
        raise Refusal("SERVICE_DISABLED", f"{API} is enabled in no project: declare gcp.projects.Service(…, service={API!r}).", 403)
    updates = inputs.get("allUpdatesRule") or {}
    for channel in updates.get("monitoringNotificationChannels") or []:
        require_channel(twin, channel)
    topic = updates.get("pubsubTopic")
    if topic and twin.world.get(TOPIC, topic) is None:
        raise Refusal("NOT_FOUND", f"Topic {topic} does not exist: use a Topic's `id`.", 404)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"budgetFilter": {"creditTypesTreatment": "INCLUDE_ALL_CREDITS", **(inputs.get("budgetFilter") or {})}}


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=BUDGET,
            id=lambda p: f"billingAccounts/{p['billingAccount'].removeprefix('billingAccounts/')}/budgets/{p['name']}",
            replaces=frozenset({"billingAccount"}),
            assigned=lambda twin, inputs: {"name": assigned.new_uuid()},
            computed=_computed,
            discovery="billingbudgets.v1:GoogleCloudBillingBudgetsV1Budget",
            rename={"allUpdatesRule": "notificationsRule"},
            limits=_limits,
            check=_check,
        ),
    ),
)

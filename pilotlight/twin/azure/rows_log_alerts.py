"""Azure Monitor: alerts on log lines."""

from __future__ import annotations

from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.azure import arm, fired_alerts, log_rules
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import ACTION_GROUP, LOG_ALERT, WORKSPACE
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin


def _check(twin: Twin, inputs: Properties) -> None:
    """What it asks and whom it tells must be there."""
    [scope] = inputs["scopes"]
    about = arm.find(twin.world, str(scope))
    if about is None:
        raise Refusal("ResourceNotFound", f"scopes: {scope!r} was not found: use the output `id` of a workspace.", 404)
    if about.token != WORKSPACE:
        raise Refusal("BadRequest", f"scopes: {scope!r} is no workspace: the local twin asks those alone.")
    for id_ in fired_alerts.groups_of(inputs):
        told = arm.find(twin.world, id_)
        if told is None or told.token != ACTION_GROUP:
            raise Refusal("ResourceNotFound", f"actions.actionGroups: {id_!r} is no action group that is there.", 404)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "kind": inputs.get("kind", log_rules.KIND),
        "enabled": inputs.get("enabled", True),
        "createdWithApiVersion": schema.api_version(LOG_ALERT),
        "isLegacyLogAnalyticsRule": False,
        "isWorkspaceAlertsStorageConfigured": False,
    }


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=LOG_ALERT,
            id=arm.id_of(LOG_ALERT),
            limits=lambda inputs: [*log_rules.problems(inputs)],
            check=_check,
            computed=_computed,
        ),
        absent=frozenset({"etag"}),
    ),
)

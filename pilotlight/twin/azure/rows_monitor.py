"""Azure Monitor: workspaces of logs, Application Insights, and where a resource's logs and metrics go."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from components.limits_azure import WORKSPACE_RETENTION_DAYS
from pilotlight.twin.azure import arm, locations, naming, times
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import COMPONENT, DIAGNOSTIC_SETTING, ENVIRONMENT, STORAGE_ACCOUNT, WORKSPACE
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin

# The tier that is not retired ("Azure Monitor Logs cost calculations and options", read 2026-11), and its least cap of a day.
_SKU = "PerGB2018"
_RETIRED = frozenset({"Free", "Standard", "Premium", "PerNode", "Standalone"})
_LEAST_CAP_GB = 0.023
# Application Insights' documentation, "Data retention" (read 2026-11).
_COMPONENT_DAYS = (30, 60, 90, 120, 180, 270, 365, 550, 730)
# What there is to send, of the types that are here (Azure Monitor, "Supported logs" of each, read 2026-11).
_CATEGORIES: Mapping[str, frozenset[str]] = {
    ENVIRONMENT: frozenset(
        {
            *("ContainerAppConsoleLogs", "ContainerAppSystemLogs", "ContainerAppHTTPLogs", "AppEnvSpringAppConsoleLogs"),
            *("AppEnvSessionConsoleLogs", "AppEnvSessionPoolEventLogs", "AppEnvSessionLifeCycleLogs"),
        }
    ),
}
_GROUPS = ("allLogs", "audit")
_DESTINATIONS = ("workspaceId", "storageAccountId", "eventHubAuthorizationRuleId", "marketplacePartnerId")
_HERE: Mapping[str, str] = {"workspaceId": WORKSPACE, "storageAccountId": STORAGE_ACCOUNT}


def _workspace_limits(inputs: Properties) -> list[str]:
    sku = (inputs.get("sku") or {}).get("name")
    found = [f"sku.name: {sku!r} is not allowed: that tier is retired for new workspaces, use {_SKU}."] if sku in _RETIRED else []
    days, limit = inputs.get("retentionInDays"), WORKSPACE_RETENTION_DAYS
    if isinstance(days, int) and not limit.low <= days <= limit.high:
        found.append(f"retentionInDays: {days} is out of range: use {limit.low} to {limit.high} days.")
    cap = (inputs.get("workspaceCapping") or {}).get("dailyQuotaGb")
    if isinstance(cap, int | float) and cap != -1 and cap < _LEAST_CAP_GB:
        found.append(f"workspaceCapping.dailyQuotaGb: {cap} is out of range: use {_LEAST_CAP_GB} or more, or -1 for no cap.")
    return found


def _workspace(twin: Twin, inputs: Properties) -> dict[str, Any]:
    features = {"enableLogAccessUsingOnlyResourcePermissions": True, "disableLocalAuth": False, **(inputs.get("features") or {})}
    return {
        "modifiedDate": times.iso(twin.clock.now()),
        "features": features,
        "publicNetworkAccessForIngestion": inputs.get("publicNetworkAccessForIngestion") or "Enabled",
        "publicNetworkAccessForQuery": inputs.get("publicNetworkAccessForQuery") or "Enabled",
        "retentionInDays": inputs.get("retentionInDays") or WORKSPACE_RETENTION_DAYS.low,
        "sku": inputs.get("sku") or {"name": _SKU},
        "workspaceCapping": inputs.get("workspaceCapping") or {"dailyQuotaGb": -1},
    }


def _component_limits(inputs: Properties) -> list[str]:
    found = []
    if inputs.get("workspaceResourceId") is None:
        found.append("workspaceResourceId: is missing: components without a workspace are retired, name one's id.")
    share = inputs.get("samplingPercentage")
    if isinstance(share, int | float) and not 0 < share <= 100:
        found.append(f"samplingPercentage: {share} is out of range: use more than 0, and at most 100.")
    days = inputs.get("retentionInDays")
    if isinstance(days, int) and days not in _COMPONENT_DAYS:
        found.append(f"retentionInDays: {days} is not allowed: use one of {', '.join(map(str, _COMPONENT_DAYS))}.")
    return found


def _component_identity(twin: Twin, inputs: Properties) -> dict[str, Any]:
    app, key, place = str(uuid.uuid4()), str(uuid.uuid4()), locations.plain(inputs["location"])
    ingestion = f"{twin.azure.url(twin, 'insights')}/"
    live = f"https://{place}.livediagnostics.monitor.azure.com/"
    told = f"InstrumentationKey={key};IngestionEndpoint={ingestion};LiveEndpoint={live};ApplicationId={app}"
    return {"appId": app, "instrumentationKey": key, "connectionString": told, "creationDate": times.iso(twin.clock.now())}


def _component(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "applicationId": inputs[naming.field_of(COMPONENT)],
        "applicationType": inputs.get("applicationType") or "web",
        "tenantId": inputs["tenantId"],
        "ingestionMode": inputs.get("ingestionMode") or "LogAnalytics",
        "retentionInDays": inputs.get("retentionInDays") or 90,
    }


def _setting_limits(inputs: Properties) -> list[str]:
    found = []
    if not any(inputs.get(name) for name in _DESTINATIONS):
        found.append(f"{' or '.join(_DESTINATIONS)}: none is given: a setting must send somewhere.")
    if not (inputs.get("logs") or inputs.get("metrics")):
        found.append("logs or metrics: none is given: a setting must send something.")
    for index, one in enumerate(inputs.get("logs") or []):
        if isinstance(one, Mapping) and (one.get("category") is None) == (one.get("categoryGroup") is None):
            found.append(f"logs[{index}].category, logs[{index}].categoryGroup: use exactly one of them.")
    return found


def _require(twin: Twin, field: str, token: str, id_: object) -> None:
    if id_ and not any(arm.same(one.id, str(id_)) for one in twin.world.find(token)):
        raise Refusal("ResourceNotFound", f"{field}: {id_!r} is no {arm.kind_of(token)} that is there: use the output `id` of one.", 404)


def _check_setting(twin: Twin, inputs: Properties) -> None:
    for field, token in _HERE.items():
        _require(twin, field, token, inputs.get(field))
    about = arm.find(twin.world, str(inputs["resourceUri"]))
    known = _CATEGORIES.get(about.token) if about is not None else None
    for index, one in enumerate(inputs.get("logs") or []) if known else ():
        given, allowed = (one.get("category"), known) if one.get("category") else (one.get("categoryGroup"), _GROUPS)
        if given not in (allowed or ()):
            names = ", ".join(sorted(allowed or ()))
            raise Refusal("BadRequest", f"logs[{index}]: Category '{given}' is not supported: {arm.kind_of(about.token)} has {names}.")  # type: ignore[union-attr]


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=WORKSPACE,
            id=arm.id_of(WORKSPACE),
            limits=_workspace_limits,
            assigned=lambda twin, inputs: {"customerId": str(uuid.uuid4()), "createdDate": times.iso(twin.clock.now())},
            computed=_workspace,
        )
    ),
    azure(
        Row(
            token=COMPONENT,
            id=arm.id_of(COMPONENT),
            limits=_component_limits,
            assigned=_component_identity,
            computed=_component,
            check=lambda twin, inputs: _require(twin, "workspaceResourceId", WORKSPACE, inputs.get("workspaceResourceId")),
        ),
        absent=frozenset({"hockeyAppToken", "laMigrationDate"}),
    ),
    azure(Row(token=DIAGNOSTIC_SETTING, id=arm.id_of(DIAGNOSTIC_SETTING), limits=_setting_limits, check=_check_setting)),
)

"""Which class of this package serves the resources of which type of Azure."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.twin.azure.types import (
    API_MANAGEMENT,
    APP,
    APP_AUTH,
    BLOB,
    BUDGET,
    COMPONENT,
    CONTAINER,
    COSMOS_ACCOUNT,
    COSMOS_TABLE,
    EVENT_SUBSCRIPTION,
    IDENTITY,
    JOB,
    LOG_ALERT,
    MANAGEMENT_POLICY,
    METRIC_ALERT,
    QUEUE,
    REGISTRY,
    STORAGE_ACCOUNT,
    SYSTEM_TOPIC,
    TABLE,
    WORKSPACE,
)
from pilotlight.twin.planes import Planes

PLANES: Mapping[str, str] = {
    REGISTRY: "registry_plane:RegistryPlane",
    API_MANAGEMENT: "apim_plane:ApimPlane",
    **dict.fromkeys((APP, APP_AUTH, JOB), "apps_plane:AppsPlane"),
    IDENTITY: "identity_plane:IdentityPlane",
    **dict.fromkeys((STORAGE_ACCOUNT, BLOB, CONTAINER, MANAGEMENT_POLICY, QUEUE, TABLE), "storage_plane:StoragePlane"),
    **dict.fromkeys((COSMOS_ACCOUNT, COSMOS_TABLE), "cosmos_plane:CosmosPlane"),
    **dict.fromkeys((SYSTEM_TOPIC, EVENT_SUBSCRIPTION), "eventgrid_plane:EventGridPlane"),
    WORKSPACE: "log_analytics:LogAnalytics",
    COMPONENT: "insights:Insights",
    LOG_ALERT: "log_alerts:LogAlerts",
    METRIC_ALERT: "metric_alerts:MetricAlerts",
    BUDGET: "budgets:Budgets",
}


def azure_planes(table: Mapping[str, str] = PLANES) -> Planes:
    return Planes(table, __package__ or "")

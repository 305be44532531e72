"""Which class of this package serves the resources of which type of Google Cloud."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.twin.gcp.types import (
    ALERT_POLICY,
    BUCKET,
    BUCKET_OBJECT,
    BUDGET,
    DATABASE,
    GATEWAY,
    JOB,
    LOG_METRIC,
    RUN_SERVICE,
    SUBSCRIPTION,
    TOPIC,
    TRIGGER,
)
from pilotlight.twin.planes import Planes

PLANES: Mapping[str, str] = {
    ALERT_POLICY: "alerts_plane:AlertsPlane",
    BUCKET: "storage_plane:StoragePlane",
    BUCKET_OBJECT: "storage_plane:StoragePlane",
    BUDGET: "budgets_plane:BudgetsPlane",
    DATABASE: "firestore_plane:FirestorePlane",
    GATEWAY: "gateway_plane:GatewayPlane",
    JOB: "scheduler_plane:SchedulerPlane",
    LOG_METRIC: "logging_plane:LoggingPlane",
    RUN_SERVICE: "cloud_run:CloudRun",
    SUBSCRIPTION: "pubsub_plane:PubsubPlane",
    TOPIC: "pubsub_plane:PubsubPlane",
    TRIGGER: "eventarc_plane:EventarcPlane",
}
# What a developer's clients reach, whether a program has made anything there or not.
SERVED = (
    *("storage_plane:StoragePlane", "firestore_plane:FirestorePlane", "pubsub_plane:PubsubPlane", "logging_plane:LoggingPlane"),
    "projects_plane:ProjectsPlane",
)


def google_planes(table: Mapping[str, str] = PLANES) -> Planes:
    return Planes(table, __package__ or "")

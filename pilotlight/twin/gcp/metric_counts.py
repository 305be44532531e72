"""What the twin's services count in Cloud Monitoring: metrics and labels as Google documents them (`monitoring_metrics.py`).

Nothing is counted before there is an alert policy that could ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pilotlight.twin.forms import short
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.monitoring_metrics import GATEWAY, RUN, SUBSCRIPTION

if TYPE_CHECKING:
    from pilotlight.twin.gcp.alerts_plane import AlertsPlane
    from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
    from pilotlight.twin.metrics import Metrics
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

PLACE = "alerts_plane:AlertsPlane"


def run_answered(twin: Twin, service: Resource, status: int, seconds: float) -> None:
    """One request that reached a Cloud Run service's containers, and how long its answer took, without the start of an instance. What
    IAM or the network kept out, and what found no instance, is no request of theirs (Google Cloud metrics, run)."""
    labels = {
        "project_id": service["project"],
        "location": service["location"],
        "service_name": short(service["name"]),
        "revision_name": short(service["latestReadyRevision"]),
        "configuration_name": short(service["name"]),
    }
    values = {"run.googleapis.com/request_count": 1.0, "run.googleapis.com/request_latencies": seconds * 1000}
    _count(twin, RUN, labels, _answered(status), values)


def gateway_answered(twin: Twin, gateway: Resource, status: int) -> None:
    """One request of a gateway's, refused ones too."""
    labels = {
        "resource_container": project_number(gateway["project"]),
        "location": gateway["region"],
        "gateway_id": gateway["gatewayId"],
    }
    answered = {"api_config": short(gateway["apiConfig"]), **_answered(status)}
    _count(twin, GATEWAY, labels, answered, {"apigateway.googleapis.com/proxy/request_count": 1.0})


def sample_subscriptions(twin: Twin, metrics: Metrics, now: float) -> None:
    """What waits in every subscription at the end of the minute before `now`, in those that Eventarc made for its triggers too."""
    # By its place: to ask with isinstance would import Pub/Sub for everybody.
    plane: PubsubPlane | None = twin.gcp.planes.made("pubsub_plane:PubsubPlane")  # type: ignore[assignment]
    if plane is None:
        return
    store = plane.service.store
    for name in list(store.subscriptions):
        oldest = store.oldest(name)
        values = {
            "pubsub.googleapis.com/subscription/num_undelivered_messages": float(store.held(name)),
            "pubsub.googleapis.com/subscription/oldest_unacked_message_age": 0.0 if oldest is None else now - oldest,
        }
        labels = {"project_id": name.split("/")[1], "subscription_id": short(name)}
        _put(metrics, SUBSCRIPTION, labels, {}, values, now - 1)


def _answered(status: int) -> dict[str, str]:
    return {"response_code": str(status), "response_code_class": f"{status // 100}xx"}


def _count(twin: Twin, resource: str, labels: Mapping[str, str], own: Mapping[str, str], values: Mapping[str, float]) -> None:
    plane: AlertsPlane | None = twin.gcp.planes.made(PLACE)  # type: ignore[assignment]
    if plane is not None:
        _put(plane.metrics, resource, labels, own, values, None)


def _put(
    metrics: Metrics, resource: str, labels: Mapping[str, str], own: Mapping[str, str], values: Mapping[str, float], at: float | None
) -> None:
    """Values of series: the monitored resource's labels, and the metric's own."""
    selectors = {
        **{f"resource.labels.{key}": value for key, value in labels.items()},
        **{f"metric.labels.{key}": value for key, value in own.items()},
    }
    metrics.put(resource, values, selectors, at=at)

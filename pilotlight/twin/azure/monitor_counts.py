"""What the twin's services count in Azure Monitor: metrics and dimensions as Microsoft documents them (`monitor_metrics.py`).

Nothing is counted that no metric alert asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pilotlight.twin.azure.eventgrid_targets import topic_of
from pilotlight.twin.azure.types import APP, QUEUE, STORAGE_ACCOUNT

if TYPE_CHECKING:
    from pilotlight.twin.azure.apps_plane import AppsPlane
    from pilotlight.twin.azure.metric_alerts import MetricAlerts
    from pilotlight.twin.azure.storage_plane import StoragePlane
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

PLACE = "metric_alerts:MetricAlerts"
_DAY_S = 86_400
_APPS, _JOBS, _GATEWAYS = "microsoft.app/containerapps", "microsoft.app/jobs", "microsoft.apimanagement/service"
_QUEUES, _TOPICS = "microsoft.storage/storageaccounts/queueservices", "microsoft.eventgrid/systemtopics"
REQUESTS, RESPONSE_TIME, RESTARTS = "Requests", "ResponseTime", "RestartCount"
EXECUTIONS = "Executions"
MESSAGES, TRANSACTIONS = "QueueMessageCount", "Transactions"
DEAD_LETTERED, DROPPED = "DeadLetteredCount", "DroppedEventCount"
_PUT = {"ApiName": "PutMessage", "ResponseType": "Success"}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What may be made of a metric's figures, and by which dimensions; `only` are those that must have one value, no other is counted."""

    made: frozenset[str]
    dimensions: frozenset[str] = frozenset()
    only: Mapping[str, str] = field(default_factory=dict)


def _counted(made: str, *dimensions: str, only: Mapping[str, str] | None = None) -> Counted:
    return Counted(made=frozenset({made}), dimensions=frozenset({*dimensions, *(only or ())}), only=only or {})


# Type of what is watched, in lower case, and metric.
COUNTED: Mapping[tuple[str, str], Counted] = {
    (_APPS, REQUESTS): _counted("Total", "statusCode", "statusCodeCategory"),
    (_APPS, RESPONSE_TIME): _counted("Maximum", "statusCode", "statusCodeCategory"),
    (_APPS, RESTARTS): _counted("Maximum"),
    (_JOBS, EXECUTIONS): _counted("Total", "state"),
    (_GATEWAYS, REQUESTS): _counted("Total", "GatewayResponseCode", "GatewayResponseCodeCategory"),
    (_QUEUES, MESSAGES): _counted("Average"),
    (_QUEUES, TRANSACTIONS): _counted("Total", only=_PUT),
    (_TOPICS, DEAD_LETTERED): _counted("Total", "EventSubscriptionName"),
    (_TOPICS, DROPPED): _counted("Total", "EventSubscriptionName"),
}


def app_answered(twin: Twin, app: Resource, status: int, seconds: float) -> None:
    """One request that a replica of a container app had, and how long its answer took, without the start of the replica."""
    if plane := _plane(twin):
        # In whole milliseconds: a series has so many figures.
        values = {REQUESTS: 1.0, RESPONSE_TIME: float(round(seconds * 1000))}
        plane.count(app.id, values, {"statusCode": str(status), "statusCodeCategory": f"{status // 100}xx"})


def job_ended(twin: Twin, job: Resource, state: str) -> None:
    """One execution of a job, and how it ended."""
    if plane := _plane(twin):
        plane.count(job.id, {EXECUTIONS: 1.0}, {"state": state})


def gateway_answered(twin: Twin, service: Resource, status: int) -> None:
    """One request of an API Management service's, refused ones too."""
    if plane := _plane(twin):
        labels = {"GatewayResponseCode": str(status), "GatewayResponseCodeCategory": f"{status // 100}xx"}
        plane.count(service.id, {REQUESTS: 1.0}, labels)


def message_put(twin: Twin, account: Resource) -> None:
    """A message that came into a queue of an account."""
    if plane := _plane(twin):
        plane.count(_queues(account), {TRANSACTIONS: 1.0}, _PUT)


def event_given_up(twin: Twin, subscription_id: str, metric: str) -> None:
    """An event of a subscription that is among its dead letters (DEAD_LETTERED), or nowhere (DROPPED)."""
    plane, topic = _plane(twin), topic_of(twin.world, subscription_id)
    if plane is not None and topic is not None:
        plane.count(topic.id, {metric: 1.0}, {"EventSubscriptionName": subscription_id.rpartition("/")[2]})


async def sample(twin: Twin, plane: MetricAlerts, due: float) -> None:
    """What stands at the end of the minute before `due`: restarts of replicas, and by the day messages that wait."""
    for app in twin.world.find(APP):
        if plane.wants(app.id, RESTARTS):
            apps: AppsPlane = twin.azure.planes.made("apps_plane:AppsPlane")  # type: ignore[assignment]
            for restarts in apps.replicas(app).restarts():
                plane.count(app.id, {RESTARTS: float(restarts)}, {}, at=due - 1)
    for account in twin.world.find(STORAGE_ACCOUNT):
        # Azure Storage documentation, "Best practices for monitoring Azure Queue Storage": the count is refreshed daily.
        if due % _DAY_S == 0 and plane.wants(_queues(account), MESSAGES):
            held = await _held(twin, account)
            plane.count(_queues(account), {MESSAGES: float(held)}, {}, at=due - 1)


async def _held(twin: Twin, account: Resource) -> int:
    """Messages in all queues of an account."""
    storage: StoragePlane = twin.azure.planes.made("storage_plane:StoragePlane")  # type: ignore[assignment]
    queues = [one["name"] for one in twin.world.find(QUEUE, accountName=account["name"])]
    return sum([await storage.queue_length(account["name"], queue) or 0 for queue in queues])


def _queues(account: Resource) -> str:
    return f"{account.id}/queueServices/default"


def _plane(twin: Twin) -> MetricAlerts | None:
    # By its place: to ask with isinstance would import it for everybody.
    return twin.azure.planes.made(PLACE)  # type: ignore[return-value]

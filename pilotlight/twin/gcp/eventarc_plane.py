"""Triggers, bringing events of Cloud Storage to services: through a topic and a push subscription of the twin's Pub/Sub, as Eventarc does.

So acknowledgement, retries, how long an event is kept and what a restart finds are Pub/Sub's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]

from components import limits
from pilotlight.twin.forms import short
from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.cloud_run import address
from pilotlight.twin.gcp.eventarc_events import body, headers, wants
from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
from pilotlight.twin.gcp.pubsub_store import Message, Subscription, Topic
from pilotlight.twin.gcp.rows_eventarc import STORAGE_EVENTS, criteria
from pilotlight.twin.gcp.storage_plane import StoragePlane
from pilotlight.twin.gcp.types import RUN_SERVICE, TRIGGER
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.storage_events import ObjectEvent

# Eventarc documentation, "Retry events". How long a push may take it leaves to Pub/Sub's default, the least that there may be.
_BACKOFF = {"minimumBackoff": "10s", "maximumBackoff": "600s"}
_RECEIVE, _PUBLISH = "eventarc.events.receiveEvent", "pubsub.topics.publish"
_LOG = logging.getLogger(__name__)


class EventarcPlane(Plane):
    """Cloud Run signs the tokens of its pushes, so that it is needed too."""

    needs = ("storage_plane:StoragePlane", "pubsub_plane:PubsubPlane", "cloud_run:CloudRun")

    async def start(self) -> None:
        pubsub, storage = (self.twin.gcp.planes.made(place) for place in ("pubsub_plane:PubsubPlane", "storage_plane:StoragePlane"))
        assert isinstance(pubsub, PubsubPlane)
        assert isinstance(storage, StoragePlane)
        self._pubsub, self._storage = pubsub.service, storage
        for trigger in self.twin.world.find(TRIGGER):
            try:
                await self._put(trigger)
            except Refusal as refusal:
                _LOG.warning("%s brings nothing: %s", trigger.id, refusal.message)
        storage.listeners.append(self._heard)
        storage.pending()

    async def close(self) -> None:
        self._storage.listeners.remove(self._heard)

    def create(self, resource: Resource) -> None:
        """Refusal for events that the twin does not bring: it must not look as if they would come."""
        kind, destination = criteria(resource.outputs).get("type", ""), resource["destination"]
        if not kind.startswith(STORAGE_EVENTS):
            text = f"matchingCriterias: {kind!r}: the local twin brings events of Cloud Storage, {STORAGE_EVENTS}…"
            raise Refusal("UNIMPLEMENTED", f"{text}; messages of a topic come by a push subscription of your own.", 501)
        if not destination.get("cloudRunService"):
            raise Refusal("UNIMPLEMENTED", f"destination.{', '.join(destination)}: the local twin brings events to cloudRunService.", 501)
        self.twin.wait(self._put(resource))

    def update(self, old: Resource, new: Resource) -> None:
        self.create(new)

    def delete(self, resource: Resource) -> None:
        self.twin.wait(self._delete(resource))

    async def _put(self, trigger: Resource) -> None:
        transport = trigger["transport"]["pubsub"]
        self._pubsub.put_topic(Topic(name=transport["topic"]))
        self._pubsub.put_subscription(self._subscription(trigger, transport))

    async def _delete(self, trigger: Resource) -> None:
        transport = trigger["transport"]["pubsub"]
        self._pubsub.delete_subscription(transport["subscription"])
        self._pubsub.delete_topic(transport["topic"])

    def _subscription(self, trigger: Resource, transport: dict[str, str]) -> Any:
        run = trigger["destination"]["cloudRunService"]
        service = f"projects/{trigger['project']}/locations/{run.get('region') or trigger['location']}/services/{short(run['service'])}"
        found = self.twin.world.get(RUN_SERVICE, service)
        if found is None:
            raise Refusal("NOT_FOUND", f"Cloud Run service {service} does not exist.", 404)
        made = {
            "name": transport["subscription"],
            "topic": transport["topic"],
            "ackDeadlineSeconds": limits.PUBSUB_ACK_S.low,
            "messageRetentionDuration": f"{limits.EVENTARC_RETENTION_S.high:g}s",
            "retryPolicy": _BACKOFF,
            "pushConfig": {
                "pushEndpoint": f"{address(self.twin, found)}/{(run.get('path') or '').lstrip('/')}",
                "oidcToken": {"serviceAccountEmail": account_of(trigger), "audience": found["uri"]},
                # An event's attributes are those of its message, and come as headers.
                "noWrapper": {"writeMetadata": True},
            },
        }
        return ParseDict(made, Subscription())

    def _heard(self, event: ObjectEvent) -> None:
        """Publish the event for every trigger that wants it. Raises in an outage that a test asked for: then it is told again."""
        for trigger in self.twin.world.find(TRIGGER):
            if not wants(trigger, event):
                continue
            if self.twin.faults.is_out("pubsub"):
                raise RuntimeError("pubsub is out: a test asked for it")
            if reason := self._refused(trigger, event):
                _LOG.warning("%s does not get %s of %s: %s", trigger.id, event.kind, event.resource["id"], reason)
                continue
            self._pubsub.publish(trigger["transport"]["pubsub"]["topic"], [Message(data=body(event), attributes=headers(event))])

    def _refused(self, trigger: Resource, event: ObjectEvent) -> str | None:
        """Why an event does not arrive at all: Cloud Storage may not publish it, or the trigger's account not receive it."""
        project, iam = trigger["project"], self.twin.gcp.iam
        agent, topic = agents.agent(project, agents.STORAGE), trigger["transport"]["pubsub"]["topic"]
        return iam.allowed(agent, _PUBLISH, topic) or iam.allowed(account_of(trigger), _RECEIVE, f"projects/{project}")


def account_of(trigger: Resource) -> str:
    """The e-mail address that events come as: the trigger's account, or Compute Engine's default one (Eventarc API, Trigger)."""
    return short(trigger.get("serviceAccount") or agents.compute_account(trigger["project"]))

"""Notifications of buckets: what happened to their objects, as messages of a Pub/Sub topic."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.rows_storage import topic_of
from pilotlight.twin.gcp.storage_events import ObjectEvent
from pilotlight.twin.gcp.types import NOTIFICATION, TOPIC
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Cloud Storage documentation, "Pub/Sub notifications for Cloud Storage" (read 2026-11).
_TYPES = {
    "finalized": "OBJECT_FINALIZE",
    "metadataUpdated": "OBJECT_METADATA_UPDATE",
    "deleted": "OBJECT_DELETE",
    "archived": "OBJECT_ARCHIVE",
}
_LOG = logging.getLogger(__name__)


def publish(twin: Twin, event: ObjectEvent) -> None:
    """Send what the bucket's notifications ask for. Raises where Pub/Sub is not up yet; what may not be sent is logged and dropped."""
    for notification in twin.world.find(NOTIFICATION, bucket=event.bucket):
        kinds, prefix = notification.get("eventTypes"), notification.get("objectNamePrefix", "")
        if (not kinds or _TYPES[event.kind] in kinds) and event.resource["name"].startswith(prefix):
            _send(twin, notification, event)


def _send(twin: Twin, notification: Resource, event: ObjectEvent) -> None:
    # Imported here: a twin without notifications needs no Pub/Sub.
    from google.pubsub_v1.types import pubsub as types

    from pilotlight.twin.gcp.pubsub_plane import PubsubPlane

    topic = topic_of(twin, notification.outputs)
    agent = agents.agent(topic.split("/")[1], agents.STORAGE)
    reason = twin.gcp.iam.allowed(agent, "pubsub.topics.publish", topic)
    if twin.world.get(TOPIC, topic) is None or reason is not None:
        _LOG.warning("%s is not told of %s: %s", topic, event.resource["id"], reason or "it is gone")
        return
    plane = twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    if not isinstance(plane, PubsubPlane):
        raise RuntimeError("Pub/Sub is not up yet")
    body = json.dumps(event.resource).encode() if notification.get("payloadFormat") == "JSON_API_V1" else b""
    plane.service.publish(topic, [types.PubsubMessage.pb()(data=body, attributes=_attributes(notification, event))])


def _attributes(notification: Resource, event: ObjectEvent) -> dict[str, str]:
    found = {
        **{key: str(value) for key, value in (notification.get("customAttributes") or {}).items()},
        "notificationConfig": f"projects/_/buckets/{notification.id}",
        "eventType": _TYPES[event.kind],
        "payloadFormat": notification["payloadFormat"],
        "bucketId": event.bucket,
        "objectId": event.resource["name"],
        "objectGeneration": event.resource["generation"],
        "eventTime": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    if event.overwrote is not None:
        found["overwroteGeneration"] = str(event.overwrote)
    if event.overwritten_by is not None:
        found["overwrittenByGeneration"] = str(event.overwritten_by)
    return found

"""A storage account with a system topic, and what its subscriptions are told, for tests of Event Grid."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP

CREATED = "Microsoft.Storage.BlobCreated"
OWN = {"type": "SystemAssigned"}
SENDER, CONTRIBUTOR = "Storage Queue Data Message Sender", "Storage Blob Data Contributor"


def topic(account: Resource, name: str = "objects", **more: Any) -> dict[str, Any]:
    """The inputs of a system topic with an identity of its own."""
    given = {"source": account.id, "topicType": "Microsoft.Storage.StorageAccounts", "identity": OWN}
    return {**IN_GROUP, "systemTopicName": name, **given, **more}


def subscription(account: Resource, system_topic: Resource, **more: Any) -> dict[str, Any]:
    """The inputs of a subscription from `objects` to the queue `events`, with dead letters in `dead-events`; None leaves one out."""
    given = {
        **IN_GROUP,
        "systemTopicName": system_topic["name"],
        "eventSubscriptionName": "Objects-1",
        "deliveryWithResourceIdentity": {"identity": OWN, "destination": queue(account)},
        "deadLetterWithResourceIdentity": {"identity": OWN, "deadLetterDestination": container(account)},
        "filter": {"includedEventTypes": [CREATED], "subjectBeginsWith": "/blobServices/default/containers/objects/"},
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


def queue(account: Resource, name: str = "events", **more: Any) -> dict[str, Any]:
    return {"endpointType": "StorageQueue", "resourceId": account.id, "queueName": name, **more}


def container(account: Resource, name: str = "dead-events") -> dict[str, Any]:
    return {"endpointType": "StorageBlob", "resourceId": account.id, "blobContainerName": name}

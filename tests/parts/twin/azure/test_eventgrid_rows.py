"""System topics and their subscriptions: what Event Grid gives them, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure.types import CONTAINER, EVENT_SUBSCRIPTION, IDENTITY, QUEUE, ROLE_ASSIGNMENT, STORAGE_ACCOUNT, SYSTEM_TOPIC
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.eventgrid import CONTRIBUTOR, CREATED, OWN, SENDER, container, queue, subscription, topic
from tests.parts.twin.azure.people import assignment, identity

GIVEN = {**IN_GROUP, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}


@pytest.fixture
def work(account: Account) -> Resource:
    """An account with a queue and containers."""
    account.group()
    made = account.make(STORAGE_ACCOUNT, "work", {**GIVEN, "accountName": "work"})
    inside = {**IN_GROUP, "accountName": "work"}
    account.make(QUEUE, "events", {**inside, "queueName": "events"})
    for name in ("objects", "dead-events"):
        account.make(CONTAINER, name, {**inside, "containerName": name})
    return made


@pytest.fixture
def system_topic(account: Account, work: Resource) -> Resource:
    return account.make(SYSTEM_TOPIC, "objects", topic(work))


def permit(account: Account, principal_id: str, role: str, scope: str) -> None:
    """Give a role to a principal that is no resource of its own."""
    who = Resource(token=IDENTITY, id=principal_id, urn="", outputs={"principalId": principal_id})
    inputs = assignment(who, role, scope)
    account.make(ROLE_ASSIGNMENT, inputs["roleAssignmentName"], inputs)


def permitted(account: Account, work: Resource, principal_id: str) -> None:
    permit(account, principal_id, SENDER, f"{work.id}/queueServices/default/queues/events")
    permit(account, principal_id, CONTRIBUTOR, f"{work.id}/blobServices/default/containers/dead-events")


def told(account: Account, token: str, inputs: dict[str, Any]) -> str:
    """What is told in the preview already."""
    return " ".join(account.check(token, "refused", inputs)[1])


def test_a_topic_tells_of_its_source_and_who_it_is(system_topic: Resource, work: Resource) -> None:
    assert system_topic.id == f"{GROUP_ID}/providers/Microsoft.EventGrid/systemTopics/objects"
    assert (system_topic["source"], system_topic["topicType"], system_topic["location"]) == (
        work.id,
        "Microsoft.Storage.StorageAccounts",
        "westeurope",
    )
    assert len(system_topic["metricResourceId"]) == 36
    assert system_topic["identity"]["principalId"]
    assert system_topic["type"] == "Microsoft.EventGrid/systemTopics"


def test_topics_that_event_grid_refuses(account: Account, work: Resource, system_topic: Resource) -> None:
    missing = topic(work, "other", source=f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/missing")
    assert "ResourceNotFound: source" in account.refused(SYSTEM_TOPIC, missing)
    assert "Only one system topic is allowed per source" in account.refused(SYSTEM_TOPIC, topic(work, "other"))
    for number, (more, said) in enumerate(
        [
            ({"location": "northeurope"}, "location must match with location of the source"),
            ({"kind": "Storage"}, "the kind Storage has no events"),
        ]
    ):
        name = f"another{number}"
        kind = {"kind": more.pop("kind")} if "kind" in more else {}
        other = account.make(STORAGE_ACCOUNT, name, {**GIVEN, "accountName": name, **kind})
        assert said in account.refused(SYSTEM_TOPIC, topic(other, name, **more))
    assert "the local twin has events of storage accounts only" in told(
        account, SYSTEM_TOPIC, topic(work, "other", topicType="Microsoft.Eventhub.Namespaces")
    )
    assert "source: is missing" in told(account, SYSTEM_TOPIC, {**IN_GROUP, "systemTopicName": "other"})
    assert "systemTopicName: 'a_b'" in told(account, SYSTEM_TOPIC, topic(work, "a_b"))


def test_a_topic_keeps_its_source_and_its_identity(account: Account, work: Resource, system_topic: Resource) -> None:
    other = account.make(STORAGE_ACCOUNT, "other", {**GIVEN, "accountName": "other"})
    with pytest.raises(Refusal, match="System topic source cannot be modified"):
        account.change(system_topic, {"source": other.id})
    changed = account.change(system_topic, {"tags": {"a": "b"}})
    assert changed["identity"]["principalId"] == system_topic["identity"]["principalId"]


def test_a_subscription_needs_its_places_an_identity_and_its_rights(account: Account, work: Resource, system_topic: Resource) -> None:
    inputs = subscription(work, system_topic)
    assert "Managed Identity Authorization Error" in (said := account.refused(EVENT_SUBSCRIPTION, inputs))
    assert "messages/add/action" in said
    permit(account, system_topic["identity"]["principalId"], SENDER, f"{work.id}/queueServices/default/queues/events")
    # The queue alone is not enough.
    assert "blobs/write" in account.refused(EVENT_SUBSCRIPTION, inputs)
    permitted_here = system_topic["identity"]["principalId"]
    permit(account, permitted_here, CONTRIBUTOR, f"{work.id}/blobServices/default/containers/dead-events")
    elsewhere = {"identity": OWN, "destination": queue(work, "missing")}
    assert "queues/missing is not there" in account.refused(EVENT_SUBSCRIPTION, {**inputs, "deliveryWithResourceIdentity": elsewhere})
    dead = {"identity": OWN, "deadLetterDestination": container(work, "missing")}
    assert "containers/missing is not there" in account.refused(EVENT_SUBSCRIPTION, {**inputs, "deadLetterWithResourceIdentity": dead})
    made = account.make(EVENT_SUBSCRIPTION, "objects", inputs)
    assert made.id == f"{system_topic.id}/eventSubscriptions/Objects-1"
    assert made["topic"] == system_topic.id
    assert made["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
    assert made["eventDeliverySchema"] == "EventGridSchema"


def test_a_topic_uses_an_identity_of_the_programs_only_if_it_has_it(account: Account, work: Resource) -> None:
    mine, other = identity(account, "mine"), identity(account, "other")
    has = {"type": "UserAssigned", "userAssignedIdentities": {mine.id: {}}}
    system_topic = account.make(SYSTEM_TOPIC, "objects", topic(work, identity=has))
    for who in (mine, other):
        permitted(account, work, who["principalId"])

    def as_(who: Resource) -> dict[str, Any]:
        named = {"type": "UserAssigned", "userAssignedIdentity": who.id}
        return subscription(
            work,
            system_topic,
            deliveryWithResourceIdentity={"identity": named, "destination": queue(work)},
            deadLetterWithResourceIdentity=None,
        )

    assert "has no identity" in account.refused(EVENT_SUBSCRIPTION, as_(other))
    assert "has no identity SystemAssigned" in account.refused(EVENT_SUBSCRIPTION, subscription(work, system_topic))
    made = account.make(EVENT_SUBSCRIPTION, "objects", as_(mine))
    # A refresh finds what the program wrote.
    for one in (system_topic, made):
        found = account.life.read(one.token, one.id, one.urn, one.inputs)
        assert found is not None
        assert found[1] == one.inputs


def test_the_topics_subscriptions_go_with_it(account: Account, work: Resource, system_topic: Resource) -> None:
    permitted(account, work, system_topic["identity"]["principalId"])
    account.make(EVENT_SUBSCRIPTION, "objects", subscription(work, system_topic))
    account.delete(system_topic)
    assert account.world.find(EVENT_SUBSCRIPTION) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"deliveryWithResourceIdentity": None}, "deliveryWithResourceIdentity or destination: none is given"),
        ({"destination": {"endpointType": "WebHook"}}, "destination: the local twin reaches queues and containers with an identity only"),
        (
            {"deliveryWithResourceIdentity": {"destination": {"endpointType": "WebHook", "endpointUrl": "https://a"}}},
            "deliveryWithResourceIdentity.destination.endpointType: 'WebHook' is not served",
        ),
        ({"deliveryWithResourceIdentity": {"identity": OWN}}, "deliveryWithResourceIdentity.destination: is missing"),
        (
            {"deliveryWithResourceIdentity": {"destination": {"endpointType": "StorageQueue"}}},
            "deliveryWithResourceIdentity.identity: is missing",
        ),
        ({"eventDeliverySchema": "CloudEventSchemaV1_0"}, "eventDeliverySchema: 'CloudEventSchemaV1_0' is not served"),
        ({"expirationTimeUtc": "2027-01-01T00:00:00Z"}, "expirationTimeUtc"),
        ({"retryPolicy": {"maxDeliveryAttempts": 31}}, "retryPolicy.maxDeliveryAttempts: 31 is out of range: use 1 to 30 attempts"),
        ({"retryPolicy": {"eventTimeToLiveInMinutes": 0}}, "retryPolicy.eventTimeToLiveInMinutes: 0 is out of range: use 1 to 1440"),
        ({"eventSubscriptionName": "a.b"}, "eventSubscriptionName: 'a.b'"),
        ({"filter": None}, "filter.includedEventTypes: is missing"),
        ({"filter": {"includedEventTypes": ["Microsoft.Storage.BlobCreate"]}}, "use Microsoft.Storage.BlobCreated"),
        ({"filter": {"includedEventTypes": ["Microsoft.Storage.BlobDeleted"]}}, "makes no Microsoft.Storage.BlobDeleted"),
        ({"filter": {"includedEventTypes": [CREATED], "subject": "/"}}, "filter.subject: is not known"),
    ],
)
def test_subscriptions_that_event_grid_or_the_twin_would_not_take(
    account: Account, work: Resource, system_topic: Resource, more: dict[str, Any], said: str
) -> None:
    assert said in told(account, EVENT_SUBSCRIPTION, subscription(work, system_topic, **more))


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([{"operatorType": "StringIn", "key": "data.api", "values": ["a"] * 26}], "has 26 values in all its filters: use 0 to 25"),
        ([{"operatorType": "BoolEquals", "key": "data.x", "value": True}] * 26, "has 26 filters: use 0 to 25"),
        ([{"operatorType": "StringIn", "key": "data.api", "values": ["a" * 513]}], "values[0]: has 513 characters: use 0 to 512"),
        ([{"operatorType": "StringIn", "key": "api", "values": ["a"]}], "key: 'api' is not allowed"),
        ([{"operatorType": "StringIn", "values": ["a"]}], "key: is missing"),
        ([{"operatorType": "StringIn", "key": "subject"}], "values: is missing"),
        ([{"operatorType": "NumberLessThan", "key": "data.contentLength"}], "value: is missing"),
        ([{"operatorType": "NumberInRange", "key": "data.contentLength", "values": [[2, 1]]}], "[2, 1] is no range"),
    ],
)
def test_advanced_filters_have_limits(
    account: Account, work: Resource, system_topic: Resource, filters: list[dict[str, Any]], said: str
) -> None:
    given = {"includedEventTypes": [CREATED], "advancedFilters": filters}
    assert said in told(account, EVENT_SUBSCRIPTION, subscription(work, system_topic, filter=given))


def test_twenty_five_values_in_all_are_taken(account: Account, work: Resource, system_topic: Resource) -> None:
    filters = [
        {"operatorType": "StringEndsWith", "key": "subject", "values": [f".{n}" for n in range(20)]},
        {"operatorType": "StringIn", "key": "data.api", "values": ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"]},
        {"operatorType": "NumberGreaterThan", "key": "data.contentLength", "value": 0},
    ]
    given = {"includedEventTypes": [CREATED], "advancedFilters": filters}
    assert told(account, EVENT_SUBSCRIPTION, subscription(work, system_topic, filter=given)) == ""

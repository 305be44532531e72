"""Event Grid: system topics of storage accounts, and their subscriptions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from components import limits_azure as limits
from pilotlight.twin.azure import arm, eventgrid_filters, locations
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.eventgrid_targets import DEAD_LETTER, DELIVERY, DESTINATION, PLACE, SYSTEM, USER, Target, principal_of, target
from pilotlight.twin.azure.types import EVENT_SUBSCRIPTION, STORAGE_ACCOUNT, SYSTEM_TOPIC
from pilotlight.twin.forms import only_one
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# What `az eventgrid topic-type list` calls the only source that makes events here.
_ACCOUNTS = "Microsoft.Storage.StorageAccounts"
# Event Grid documentation, "Azure Blob Storage as an Event Grid source" (read 2026-11).
_KINDS = ("StorageV2", "BlockBlobStorage", "BlobStorage")
# The schema in which events are delivered here.
_SCHEMA = "EventGridSchema"
_ENDPOINTS = {DELIVERY: "StorageQueue", DEAD_LETTER: "StorageBlob"}


def _topic_limits(inputs: Properties) -> list[str]:
    found = [f"{name}: is missing and required." for name in ("source", "topicType") if inputs.get(name) is None]
    kind = inputs.get("topicType")
    if isinstance(kind, str) and kind.lower() != _ACCOUNTS.lower():
        found.append(f"topicType: {kind!r}: the local twin has events of storage accounts only: use {_ACCOUNTS}.")
    return found


def _check_topic(twin: Twin, inputs: Properties) -> None:
    source = str(inputs["source"])
    account = next((one for one in twin.world.find(STORAGE_ACCOUNT) if arm.same(one.id, source)), None)
    if account is None:
        raise Refusal("ResourceNotFound", f"source: {source!r} is no storage account that is there: use the output `id` of one.", 404)
    if account["kind"] not in _KINDS:
        text = f"source: a storage account of the kind {account['kind']} has no events: use one of {', '.join(_KINDS)}."
        raise Refusal("InvalidRequest", text)
    if locations.plain(inputs["location"]) != locations.plain(account["location"]):
        text = f"System topic's location must match with location of the source resource {source}: use {account['location']}."
        raise Refusal("InvalidRequest", text)
    own = arm.id_of(SYSTEM_TOPIC)(inputs)
    if any(arm.same(one["source"], source) and not arm.same(one.id, own) for one in twin.world.find(SYSTEM_TOPIC)):
        text = f"There is an existing tracked system topic for the given source {source}. Only one system topic is allowed per source."
        raise Refusal("InvalidRequest", text)


def _change_topic(twin: Twin, old: Resource, new: Resource) -> None:
    for field, name in (("source", "source"), ("topicType", "topic type")):
        if not arm.same(old[field], new[field]):
            text = f"System topic {name} cannot be modified: give the topic another name, so that it is made anew."
            raise Refusal("InvalidRequest", text)


def _subscription_limits(inputs: Properties) -> list[str]:
    found = only_one(inputs, DELIVERY, DESTINATION[DELIVERY])
    for field, plain in DESTINATION.items():
        if inputs.get(plain) is not None:
            found.append(f"{plain}: the local twin reaches queues and containers with an identity only: use {field}.")
        if isinstance(given := inputs.get(field), Mapping):
            found += _place_problems(field, given)
    schema = inputs.get("eventDeliverySchema")
    if isinstance(schema, str) and schema != _SCHEMA:
        found.append(f"eventDeliverySchema: {schema!r} is not served by the local twin: use {_SCHEMA}.")
    if inputs.get("expirationTimeUtc") is not None:
        found.append("expirationTimeUtc: subscriptions of the local twin do not expire: leave it out.")
    return [*found, *_policy_problems(inputs.get("retryPolicy") or {}), *eventgrid_filters.problems(inputs.get("filter") or {})]


def _place_problems(field: str, given: Properties) -> Iterator[str]:
    name, kind, holds = DESTINATION[field], _ENDPOINTS[field], PLACE[field]
    identity = given.get("identity")
    if not isinstance(identity, Mapping) or identity.get("type") is None:
        yield f"{field}.identity: is missing: use {SYSTEM}, or {USER} with an identity of the topic's."
    elif (identity["type"] == USER) != (identity.get("userAssignedIdentity") is not None):
        yield f"{field}.identity.userAssignedIdentity: goes with the type {USER}, and that with it."
    place = given.get(name)
    if not isinstance(place, Mapping):
        yield f"{field}.{name}: is missing and required."
        return
    if place.get("endpointType") not in (None, kind):
        yield f"{field}.{name}.endpointType: {place['endpointType']!r} is not served by the local twin: use {kind}."
        return
    yield from (f"{field}.{name}.{part}: is missing and required." for part in ("resourceId", holds) if place.get(part) is None)
    keeps = place.get("queueMessageTimeToLiveInSeconds")
    if isinstance(keeps, int | float) and keeps <= 0 and keeps != -1:
        yield f"{field}.{name}.queueMessageTimeToLiveInSeconds: {keeps:g} is out of range: use 1 or more, or -1 for no end."


def _policy_problems(policy: Properties) -> Iterator[str]:
    ranges = {"maxDeliveryAttempts": limits.EVENT_GRID_ATTEMPTS, "eventTimeToLiveInMinutes": limits.EVENT_GRID_TTL_MINUTES}
    for field, allowed in ranges.items():
        value = policy.get(field)
        if isinstance(value, int | float) and (said := allowed.problem(value)):
            yield f"retryPolicy.{field}: {value:g} is out of range: {said}."


def _check_subscription(twin: Twin, inputs: Properties) -> None:
    topic = arm.find(twin.world, arm.id_of(SYSTEM_TOPIC)(inputs))
    for field in (DELIVERY, DEAD_LETTER):
        place = target(inputs, field)
        if place is not None and topic is not None:
            _check_place(twin, topic, place, str(inputs["eventSubscriptionName"]))


def _check_place(twin: Twin, topic: Resource, place: Target, name: str) -> None:
    """The place is there, the topic has the identity, and the identity may write there: aka.ms/egmsivalidation."""
    if arm.find(twin.world, place.id) is None:
        raise Refusal("ResourceNotFound", f"{place.field}: {place.id} is not there: make it first, or mend resourceId and the name.", 404)
    who = principal_of(twin.world, topic, place.identity)
    if who is None:
        held = str(place.identity.get("userAssignedIdentity") or place.identity.get("type"))
        text = f"{place.field}.identity: the system topic {topic['name']} has no identity {held}: give it one in its `identity`."
        raise Refusal("InvalidRequest", text)
    if why := place.refusal(twin.azure.iam, who):
        raise Refusal(
            "Managed Identity Authorization Error",
            f"Managed Identity for {topic['name']}:{name} does not have permission to perform appropriate action on the destination "
            f"resource. Managed identity for event subscription does not have authorization to deliver to the endpoint. {why} "
            "Assign the role first, and let the subscription depend on it.",
        )


def _subscription(twin: Twin, inputs: Properties) -> dict[str, Any]:
    policy = inputs.get("retryPolicy") or {}
    return {
        "topic": arm.id_of(SYSTEM_TOPIC)(inputs),
        "eventDeliverySchema": inputs.get("eventDeliverySchema") or _SCHEMA,
        "filter": inputs.get("filter") or {},
        "labels": inputs.get("labels") or [],
        "retryPolicy": {
            "maxDeliveryAttempts": int(policy.get("maxDeliveryAttempts") or limits.EVENT_GRID_ATTEMPTS.high),
            "eventTimeToLiveInMinutes": int(policy.get("eventTimeToLiveInMinutes") or limits.EVENT_GRID_TTL_MINUTES.high),
        },
    }


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=SYSTEM_TOPIC,
            id=arm.id_of(SYSTEM_TOPIC),
            limits=_topic_limits,
            check=_check_topic,
            assigned=lambda twin, inputs: {"metricResourceId": str(uuid.uuid4())},
            update=_change_topic,
        )
    ),
    azure(
        Row(
            token=EVENT_SUBSCRIPTION,
            id=arm.id_of(EVENT_SUBSCRIPTION),
            limits=_subscription_limits,
            check=_check_subscription,
            computed=_subscription,
        )
    ),
)

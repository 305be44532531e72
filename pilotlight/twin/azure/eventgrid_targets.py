"""Where a subscription's events go, and as whom: its queue, its container for dead letters, the identity of its topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure import arm, identities, storage_rights
from pilotlight.twin.azure.iam import Iam
from pilotlight.twin.azure.identities import Principal
from pilotlight.twin.azure.storage_operations import OPERATIONS
from pilotlight.twin.azure.types import SYSTEM_TOPIC
from pilotlight.twin.rows import Properties
from pilotlight.twin.world import Resource, World

DELIVERY, DEAD_LETTER = "deliveryWithResourceIdentity", "deadLetterWithResourceIdentity"
SYSTEM, USER = "SystemAssigned", "UserAssigned"
# Of each field: the input below it that says where, which without an identity has the same name beside it; and there what names the place.
DESTINATION = {DELIVERY: "destination", DEAD_LETTER: "deadLetterDestination"}
PLACE = {DELIVERY: "queueName", DEAD_LETTER: "blobContainerName"}
_PARTS = {DELIVERY: "queueServices/default/queues", DEAD_LETTER: "blobServices/default/containers"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A queue or a container of an account. `identity` is as the subscription names it, `keeps_s` how long a message may stay (-1: for
    ever), None for as long as Queue Storage keeps it by itself."""

    field: str
    account_id: str
    name: str
    identity: Mapping[str, Any]
    keeps_s: int | None = None

    @property
    def account(self) -> str:
        return self.account_id.rstrip("/").rpartition("/")[2]

    @property
    def id(self) -> str:
        return f"{self.account_id.rstrip('/')}/{_PARTS[self.field]}/{self.name}"

    def refusal(self, iam: Iam, principal: Principal) -> str | None:
        """Why the principal may not write there; None if it may."""
        if self.field == DELIVERY:
            operation = OPERATIONS["queue"]("POST", [self.name, "messages"], {}, {})
        else:
            operation = OPERATIONS["blob"]("PUT", [self.name, "any"], {}, {})
        return storage_rights.refusal(iam, principal.principal_id, self.account_id, operation)


def target(subscription: Properties, field: str) -> Target | None:
    """What a field (`DELIVERY` or `DEAD_LETTER`) names; None where it names nothing."""
    given = subscription.get(field)
    if not given:
        return None
    place = given[DESTINATION[field]]
    keeps = place.get("queueMessageTimeToLiveInSeconds")
    return Target(
        field=field,
        account_id=str(place["resourceId"]),
        name=str(place[PLACE[field]]),
        identity=given.get("identity") or {},
        keeps_s=None if keeps is None else int(keeps),
    )


def topic_of(world: World, subscription_id: str) -> Resource | None:
    """The system topic of a subscription."""
    id_ = subscription_id.rpartition("/eventSubscriptions/")[0]
    return next((one for one in world.find(SYSTEM_TOPIC) if arm.same(one.id, id_)), None)


def principal_of(world: World, topic: Resource, identity: Mapping[str, Any]) -> Principal | None:
    """Who acts: an identity that the topic has, of the kind that is named; None where it has none such."""
    if identity.get("type") == USER:
        wanted = str(identity.get("userAssignedIdentity") or "")
        return next((one for one in identities.declared(world, topic) if arm.same(one.resource_id, wanted)), None)
    return identities.system_assigned(topic)

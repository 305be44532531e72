"""What Resource Manager tells of a virtual network and of a subnet to who reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.environment_subnets import LINK, user
from pilotlight.twin.azure.types import SUBNET
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource


def told(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Network API, virtualNetworks.get and subnets.get: a network's place; a subnet's addresses, whose it is, and who is in it."""
    id_ = f"/subscriptions/{subscription}{rest[0]}"
    found = arm.find(twin.world, id_)
    if found is None:
        text = f"The Resource '{arm.type_of(id_)}/{id_.rpartition('/')[2]}' under resource group '{id_.split('/')[4]}' was not found."
        raise Refusal("ResourceNotFound", text, 404)
    answer = {"id": found.id, "name": found["name"], "type": arm.kind_of(found.token)}
    if found.token == SUBNET:
        return {**answer, "properties": _subnet(twin, found)}
    return {**answer, "location": found["location"], "properties": {"addressSpace": found["addressSpace"]}}


def _subnet(twin: Twin, subnet: Resource) -> dict[str, Any]:
    environment = user(twin, subnet)
    links = [] if environment is None else [{"name": LINK, "properties": {"link": environment.id}}]
    addresses = {name: subnet[name] for name in ("addressPrefix", "addressPrefixes") if subnet.get(name)}
    delegations = [{"name": one["name"], "properties": {"serviceName": one["serviceName"]}} for one in subnet.get("delegations") or []]
    return {**addresses, "delegations": delegations, "serviceAssociationLinks": links}

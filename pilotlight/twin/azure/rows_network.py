"""Virtual networks and their subnets, which environments of Container Apps are placed in.

Nothing here is sent through them: who reaches whom is the ingress's to say, inside of a network of one's own as inside of Azure's.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterator, Mapping
from itertools import combinations

from components.limits_azure import CONTAINER_APPS_DELEGATION
from pilotlight.twin.azure import arm
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.environment_subnets import LINK, delegated, user
from pilotlight.twin.azure.types import SUBNET, VIRTUAL_NETWORK
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Virtual Network documentation, "FAQ" (read 2026-11): how small and how large subnets are.
_PREFIXES = range(2, 30)
_LINK = f"serviceAssociationLinks/{LINK}"
# What a subnet has of others, and here has not.
_EMPTY = frozenset(
    {
        *("ipConfigurationProfiles", "ipConfigurations", "privateEndpoints", "purpose", "resourceNavigationLinks"),
        "serviceAssociationLinks",
    }
)
_NOT_HERE = {
    VIRTUAL_NETWORK: ("bgpCommunities", "ddosProtectionPlan", "dhcpOptions", "encryption", "subnets", "virtualNetworkPeerings"),
    SUBNET: (
        *("applicationGatewayIPConfigurations", "ipAllocations", "ipamPoolPrefixAllocations", "natGateway", "networkSecurityGroup"),
        *("routeTable", "serviceEndpointPolicies", "serviceEndpoints", "sharingScope"),
    ),
}


def _not_here(token: str, inputs: Properties) -> Iterator[str]:
    for name in _NOT_HERE[token]:
        if inputs.get(name):
            also = " Subnets are resources of their own here (network.Subnet)." if name == "subnets" else ""
            yield f"{name}: the local twin does not model it: leave it out.{also}"


def _range(text: object) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(str(text))
    except ValueError:
        return None


def _ranges(properties: Properties) -> list[ipaddress.IPv4Network]:
    """The addresses of a network."""
    return [held for each in (properties.get("addressSpace") or {}).get("addressPrefixes") or [] if (held := _range(each))]


def _network_limits(inputs: Properties) -> list[str]:
    found, space = list(_not_here(VIRTUAL_NETWORK, inputs)), inputs.get("addressSpace")
    given = space.get("addressPrefixes") if isinstance(space, Mapping) else None
    if not given:
        return [*found, "addressSpace.addressPrefixes: is missing: which addresses does the network have, as 10.8.0.0/24?"]
    for index, each in enumerate(given):
        if isinstance(each, str) and _range(each) is None:
            found.append(f"addressSpace.addressPrefixes[{index}]: {each!r} is no range of IPv4 addresses: use one as 10.8.0.0/24.")
    for one, other in combinations(_ranges(inputs), 2):
        if one.overlaps(other):
            found.append(f"addressSpace.addressPrefixes: {one} and {other} overlap: name each address once.")
    return found


def _subnet_limits(inputs: Properties) -> list[str]:
    found = list(_not_here(SUBNET, inputs))
    one, many = inputs.get("addressPrefix"), inputs.get("addressPrefixes")
    if (one is None) == (many is None):
        found.append("addressPrefix: use either it or addressPrefixes: which addresses does the subnet have, as 10.8.0.0/26?")
    for each in (one,) if one is not None else many or ():
        held = _range(each)
        if isinstance(each, str) and (held is None or held.prefixlen not in _PREFIXES):
            found.append(f"addressPrefix: {each!r} is no range for a subnet: use one as 10.8.0.0/26, /{_PREFIXES[0]} to /{_PREFIXES[-1]}.")
    for index, each in enumerate(inputs.get("delegations") or ()):
        if isinstance(each, Mapping):
            missing = [name for name in ("name", "serviceName") if each.get(name) is None]
            found += [f"delegations[{index}].{name}: is missing and required." for name in missing]
    return found


def _own(subnet: Properties) -> list[ipaddress.IPv4Network]:
    """The addresses of a subnet."""
    prefixes = [subnet["addressPrefix"]] if subnet.get("addressPrefix") else subnet.get("addressPrefixes") or []
    return [ipaddress.IPv4Network(each) for each in prefixes]


def _siblings(twin: Twin, network: str, but: str = "") -> list[Resource]:
    return [one for one in arm.below(twin.world, network) if one.token == SUBNET and not arm.same(one.id, but)]


def _check_subnet(twin: Twin, inputs: Properties) -> None:
    id_, name = arm.id_of(VIRTUAL_NETWORK)(inputs), inputs["subnetName"]
    network = arm.find(twin.world, id_)
    assert network is not None
    for held in _own(inputs):
        if not any(held.subnet_of(one) for one in _ranges(network.outputs)):
            text = f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of virtual network"
            raise Refusal("NetcfgSubnetRangeOutsideVnet", f"{text} '{network['name']}': {held}.")
        for other in _siblings(twin, id_, arm.id_of(SUBNET)(inputs)):
            if any(held.overlaps(one) for one in _own(other.outputs)):
                text = f"Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet"
                raise Refusal("NetcfgSubnetRangesOverlap", f"{text} in virtual network '{network['name']}': {other['name']} has {held}.")


def _update_network(twin: Twin, old: Resource, new: Resource) -> None:
    for subnet in _siblings(twin, old.id):
        for held in _own(subnet.outputs):
            if not any(held.subnet_of(one) for one in _ranges(new.outputs)):
                text = f"IpPrefix {held} on Vnet {old['name']} has active allocations and cannot be deleted: {subnet['name']} has it."
                raise Refusal("InUsePrefixCannotBeDeleted", text)


def _update_subnet(twin: Twin, old: Resource, new: Resource) -> None:
    """One that an environment is in stays as large as it is, and Container Apps'."""
    if user(twin, old) is None:
        return
    if _own(old.outputs) != _own(new.outputs):
        raise Refusal("InUseSubnetCannotBeUpdated", f"Subnet {old['name']} is in use and cannot be updated: an environment is in it.")
    if CONTAINER_APPS_DELEGATION in delegated(old.outputs) and CONTAINER_APPS_DELEGATION not in delegated(new.outputs):
        raise Refusal(
            "SubnetMissingRequiredDelegation",
            f"Subnet {old.id} requires any of the following delegation(s) [{CONTAINER_APPS_DELEGATION}] to reference service association "
            f"link {old.id}/{_LINK}.",
        )


def _delete_subnet(twin: Twin, subnet: Resource) -> None:
    if user(twin, subnet) is not None:
        raise Refusal(
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet['name']} is in use by {subnet.id}/{_LINK} and cannot be deleted. In order to delete the subnet, delete all "
            "the resources within the subnet. See aka.ms/deletesubnet.",
        )


def _delete_network(twin: Twin, network: Resource) -> None:
    """Its subnets go with it, where nobody is in them."""
    for subnet in _siblings(twin, network.id):
        _delete_subnet(twin, subnet)


def _etag() -> str:
    return f'W/"{uuid.uuid4()}"'


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=VIRTUAL_NETWORK,
            id=arm.id_of(VIRTUAL_NETWORK),
            limits=_network_limits,
            assigned=lambda twin, inputs: {"resourceGuid": str(uuid.uuid4())},
            computed=lambda twin, inputs: {"etag": _etag(), "enableDdosProtection": inputs.get("enableDdosProtection") or False},
            update=_update_network,
            delete=_delete_network,
            volatile=frozenset({"etag"}),
        ),
        absent=frozenset({"defaultPublicNatGateway", "flowLogs"}),
    ),
    azure(
        Row(
            token=SUBNET,
            id=arm.id_of(SUBNET),
            limits=_subnet_limits,
            computed=lambda twin, inputs: {"etag": _etag()},
            check=_check_subnet,
            update=_update_subnet,
            delete=_delete_subnet,
            volatile=frozenset({"etag"}),
        ),
        absent=_EMPTY,
    ),
)

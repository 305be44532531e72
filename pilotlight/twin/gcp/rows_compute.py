"""Compute Engine: networks and their subnetworks, which private services send through."""

from __future__ import annotations

import ipaddress
from typing import Any

from pilotlight.twin.forms import short
from pilotlight.twin.gcp import assigned
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import LABEL
from pilotlight.twin.gcp.types import NETWORK, RUN_SERVICE, SUBNETWORK
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

API = "compute.googleapis.com"
_LINK = "https://www.googleapis.com/compute/v1/"
# Compute Engine API v1, Network.mtu.
_MTU = (1300, 8896)
# Cloud Run documentation, "Direct VPC with a VPC network": the smallest range that it takes, and how long it keeps a subnetwork's
# addresses at most after the last service has left it ("wait 1-2 hours").
LONGEST_PREFIX = 26
KEPT_S = 2 * 3600
# Until when it keeps them, by the subnetwork's id; no program declares it, so the engine never sees it.
KEPT = "twin:compute/addresses:Addresses"
_ROUTE = {
    "routingMode": "REGIONAL",
    "bgpBestPathSelectionMode": "LEGACY",
    "bgpAlwaysCompareMed": False,
    "bgpInterRegionCost": "",
    "mtu": 1460,
    "internalIpv6Range": "",
}
_SUBNET = {
    "purpose": "PRIVATE",
    "stackType": "IPV4_ONLY",
    "privateIpGoogleAccess": False,
    "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
    "allowSubnetCidrRoutesOverlap": False,
    "externalIpv6Prefix": "",
    "internalIpv6Prefix": "",
    "secondaryIpRanges": [],
}


def network_id(properties: Properties) -> str:
    return f"projects/{properties['project']}/global/networks/{short(properties['name'])}"


def _subnetwork_id(properties: Properties) -> str:
    return f"projects/{properties['project']}/regions/{properties['region']}/subnetworks/{properties['name']}"


def _with(inputs: Properties, defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value if inputs.get(name) is None else inputs[name] for name, value in defaults.items()}


def _network_limits(inputs: Properties) -> list[str]:
    found, mtu = LABEL.problems("name", inputs), inputs.get("mtu")
    if isinstance(mtu, int) and not _MTU[0] <= mtu <= _MTU[1]:
        found.append(f"mtu: {mtu} is out of range: use {_MTU[0]} to {_MTU[1]}.")
    return found


def _delete_network(twin: Twin, network: Resource) -> None:
    held = [one.id for one in twin.world.find(SUBNETWORK) if short(one["network"]) == network["name"]]
    if held:
        raise Refusal("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", f"The network {network.id} is used by {', '.join(held)}: delete that first.")


def _range(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        return None


def _subnetwork_limits(inputs: Properties) -> list[str]:
    found, cidr = LABEL.problems("name", inputs), inputs.get("ipCidrRange")
    if isinstance(cidr, str):
        held = _range(cidr)
        # Compute Engine documentation, "Subnets": primary ranges have at least 8 addresses.
        if held is None or not 4 <= held.prefixlen <= 29:
            found.append(f"ipCidrRange: {cidr!r} is no range for a subnetwork: use one as 10.8.0.0/26, /4 to /29.")
    elif cidr is None and inputs.get("reservedInternalRange") is None and inputs.get("stackType") != "IPV6_ONLY":
        found.append("ipCidrRange: is missing: which addresses does the subnetwork have, as 10.8.0.0/26?")
    return found


def _check_subnetwork(twin: Twin, inputs: Properties) -> None:
    name = network_id({**inputs, "name": inputs["network"]})
    if twin.world.get(NETWORK, name) is None:
        raise Refusal("NOT_FOUND", f"The resource '{name}' was not found.", 404)
    mine = _range(inputs.get("ipCidrRange", ""))
    for other in twin.world.find(SUBNETWORK):
        theirs = _range(other.get("ipCidrRange", ""))
        same_network = short(other["network"]) == short(inputs["network"]) and other["project"] == inputs["project"]
        if mine and theirs and same_network and other.id != _subnetwork_id(inputs) and mine.overlaps(theirs):
            raise Refusal("INVALID_USAGE", f"The range {mine} overlaps with {theirs} of {other.id}: choose another one.")


def _delete_subnetwork(twin: Twin, subnetwork: Resource) -> None:
    for service in twin.world.find(RUN_SERVICE):
        if subnetwork.id in subnetworks_of(service):
            raise Refusal("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", f"{subnetwork.id} is used by {service.id}: delete that first.")
    kept = twin.world.get(KEPT, subnetwork.id)
    if kept is not None and twin.clock.now() < kept["until"]:
        text = f"{subnetwork.id} is already being used by addresses of Cloud Run: they go 1 to 2 hours after its services, try again then."
        raise Refusal("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", text)
    twin.world.delete(KEPT, subnetwork.id)


def sends_through(service: Resource) -> str:
    """The id of the subnetwork that everything goes through which a service sends; empty where none is."""
    access = service["template"].get("vpcAccess") or {}
    return next(iter(subnetworks_of(service)), "") if access.get("egress") == "ALL_TRAFFIC" else ""


def subnetworks_of(service: Resource) -> list[str]:
    """The ids of the subnetworks that a service has addresses of (Direct VPC egress)."""
    interfaces = (service["template"].get("vpcAccess") or {}).get("networkInterfaces") or []
    return [attached(service.outputs, one) for one in interfaces]


def attached(properties: Properties, interface: Properties) -> str:
    """The id of the subnetwork that an interface of a service is in."""
    # Cloud Run documentation, "Direct VPC with a VPC network": where only a network is named, its subnetwork of the same name.
    name = short(interface.get("subnetwork") or interface["network"])
    return f"projects/{properties['project']}/regions/{properties['location']}/subnetworks/{name}"


def left(twin: Twin, subnetwork: str) -> None:
    """A service of Cloud Run has no instance in that subnetwork (its id) any more."""
    twin.world.put(Resource(token=KEPT, id=subnetwork, urn="", outputs={"until": twin.clock.now() + KEPT_S}))


def too_small(subnetwork: Resource) -> bool:
    """Whether Cloud Run can't take its addresses from it."""
    held = _range(subnetwork.get("ipCidrRange", ""))
    return held is not None and held.prefixlen > LONGEST_PREFIX


def _subnetwork(twin: Twin, inputs: Properties) -> dict[str, Any]:
    held = _range(inputs.get("ipCidrRange", ""))
    return {
        **_with(inputs, _SUBNET),
        "gatewayAddress": str(held[1]) if held else "",
        "selfLink": _LINK + _subnetwork_id(inputs),
        "fingerprint": assigned.etag(),
        "ipv6CidrRange": "",
        "ipv6GceEndpoint": "",
        "state": "READY",
    }


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=NETWORK,
            id=network_id,
            name=Name(field="name", max_length=63, lower=True),
            replaces=frozenset({"name", "autoCreateSubnetworks", "description", "internalIpv6Range", "networkProfile", "params"}),
            assigned=lambda twin, inputs: dict.fromkeys(("networkId", "numericId"), assigned.digits(19)),
            computed=lambda twin, inputs: {**_with(inputs, _ROUTE), "gatewayIpv4": "", "selfLink": _LINK + network_id(inputs)},
            discovery="compute.v1:Network",
            rename={name: f"routingConfig.{name}" for name in ("routingMode", "bgpBestPathSelectionMode", "bgpInterRegionCost")},
            limits=_network_limits,
            delete=_delete_network,
        ),
        api=API,
    ),
    google(
        Row(
            token=SUBNETWORK,
            id=_subnetwork_id,
            name=Name(field="name", max_length=63, lower=True),
            replaces=frozenset({"name", "description", "network", "reservedInternalRange", "ipCollection", "params", "resolveSubnetMask"}),
            assigned=lambda twin, inputs: {"subnetworkId": int(assigned.digits(10)), "creationTimestamp": assigned.now(twin)},
            computed=_subnetwork,
            discovery="compute.v1:Subnetwork",
            limits=_subnetwork_limits,
            check=_check_subnetwork,
            delete=_delete_subnetwork,
        ),
        api=API,
        place="region",
    ),
)

"""Look at the subnet that a stack names: whether its environment can be placed there, which `up` would tell after minutes."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from components import subnets
from components.limits_azure import CONTAINER_APPS_DELEGATION, CONTAINER_APPS_SUBNET
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.azure.quotas import is_there
from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.subject import Subject
from stacks.checks_network import of_gpus, places

# Network API, subnets.get and virtualNetworks.get.
VERSION = "2024-05-01"
DELEGATE = "az network vnet subnet update --ids {} --delegations {}".format
# Container Apps reads the one and not the other (pulumi-azure-native issue 3244).
ONE_PREFIX = "it has a list of prefixes, of which Container Apps finds nothing (pulumi-azure-native issue 3244)"


def subnet(subject: Subject) -> Iterator[Finding]:
    """It is there, in the region, as large as it must be, Container Apps' by delegation, and nobody's yet. Nothing where the stack names
    none."""
    assert subject.settings is not None
    network = subject.settings.network
    if network is None or network.subnet_id is None:
        return
    id_, manager = network.subnet_id, subject.clients.manager()
    try:
        found, place = manager.ask(id_, VERSION), manager.ask(id_.rsplit("/", 2)[0], VERSION)
    except ApiError as error:
        if error.status != 404:
            raise
        allowed, mend = _allowed(subject), f"{_create(id_)}, mend network.subnetId, or use network.addresses"
        yield fail("subnet", f"{id_} is not there", allowed=allowed, mend=mend)
        return
    properties: Mapping[str, Any] = found.get("properties") or {}
    services = [str(one["properties"]["serviceName"]) for one in properties.get("delegations") or []]
    wrong = [*_place(subject, place), *_size(subject, properties), *_use(subject, properties)]
    if [one.lower() for one in services] != [CONTAINER_APPS_DELEGATION.lower()]:
        wrong.append(f"it is delegated to {', '.join(services) or 'no service'}")
        if len(wrong) == 1 and not services:
            yield fail("subnet", wrong[0], allowed=_allowed(subject), mend=DELEGATE(id_, CONTAINER_APPS_DELEGATION))
            return
    if wrong:
        yield fail("subnet", "; ".join(wrong), allowed=_allowed(subject), mend="name another one, or use network.addresses")
    else:
        yield ok("subnet", f"{properties['addressPrefix']}, room for {_room(properties['addressPrefix'])} replicas")


def _create(id_: str) -> str:
    """The command that makes the subnet; its addresses are for who has the network to say."""
    parts = id_.split("/")
    named = dict(zip(parts[1::2], parts[2::2], strict=False))
    where = f"--subscription {named['subscriptions']} --resource-group {named['resourceGroups']} --vnet-name {named['virtualNetworks']}"
    made = f"--name {named['subnets']} --address-prefixes PREFIX --delegations {CONTAINER_APPS_DELEGATION}"
    return f"az network vnet subnet create {where} {made}"


def _allowed(subject: Subject) -> str:
    return (
        f"an empty subnet of /{CONTAINER_APPS_SUBNET.high:g} or larger in {subject.region}, delegated to {CONTAINER_APPS_DELEGATION} "
        f"({CONTAINER_APPS_SUBNET.source})"
    )


def _place(subject: Subject, network: Mapping[str, Any]) -> Iterator[str]:
    location = str(network.get("location")).replace(" ", "").lower()
    if location != subject.region:
        yield f"its network is in {location}"


def _room(prefix: str) -> int:
    return subnets.replicas(ipaddress.ip_network(prefix).prefixlen)


def _size(subject: Subject, properties: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with its addresses."""
    assert subject.settings is not None
    prefix = properties.get("addressPrefix")
    if not prefix:
        yield ONE_PREFIX
        return
    held, wanted = ipaddress.IPv4Network(prefix), places(subject.settings)
    if held.prefixlen > CONTAINER_APPS_SUBNET.high:
        yield f"{held} is too small"
    elif _room(prefix) < wanted:
        yield f"{held} has room for {_room(prefix)} replicas, and the stack may have {wanted}{of_gpus(subject.settings)}"
    if kept := subnets.overlapped(held):
        yield f"{held} overlaps {kept}, which Container Apps keeps"


def _use(subject: Subject, properties: Mapping[str, Any]) -> Iterator[str]:
    """Who is in it already, other than this stack's environment."""
    links = [str((one.get("properties") or {}).get("link") or one.get("name")) for one in properties.get("serviceAssociationLinks") or []]
    if (links or properties.get("ipConfigurations")) and not is_there(subject):
        yield f"it is in use{f' by {links[0]}' if links else ''}"

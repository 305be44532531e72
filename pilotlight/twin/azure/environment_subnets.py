"""Which subnet an environment of Container Apps can be placed in, and whose subnet one is."""

from __future__ import annotations

import ipaddress

from components import subnets
from components.limits_azure import CONTAINER_APPS_DELEGATION, CONTAINER_APPS_SUBNET
from pilotlight.twin.azure import arm, locations, subscriptions
from pilotlight.twin.azure.types import ENVIRONMENT, SUBNET, VIRTUAL_NETWORK
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Container Apps documentation, "Virtual network configuration": the longest prefix where there are no workload profiles.
_PLAIN_PREFIX = 23
# What Container Apps leaves in a subnet that it uses (its name: microsoft-foundry/foundry-samples issue 153).
LINK = "legionservicelink"
_CLUSTERS = "Microsoft.ContainerService"
_AT = "vnetConfiguration.infrastructureSubnetId"


def check(twin: Twin, inputs: Properties) -> None:
    """Raises Refusal where an environment can't be in the subnet that it names."""
    id_ = (inputs.get("vnetConfiguration") or {}).get("infrastructureSubnetId")
    if id_:
        if subscriptions.is_off(twin, _CLUSTERS):
            # Azure/bicep issue 14935.
            text = f"is not registered with the required resource providers, please register with the resource providers {_CLUSTERS}."
            raise Refusal("SubscriptionIsNotRegistered", f"Subscripton '{inputs['subscriptionId']}' {text}", 409)
        subnet = _found(twin, str(id_), inputs)
        _require_delegation(subnet, bool(inputs.get("workloadProfiles")))
        _require_size(subnet, bool(inputs.get("workloadProfiles")))
        other = user(twin, subnet)
        if other is not None and not arm.same(other.id, arm.id_of(ENVIRONMENT)(inputs)):
            raise _invalid(f"The subnet is in use by {other.id}: an environment has its subnet for itself, use another one.")


def user(twin: Twin, subnet: Resource) -> Resource | None:
    """The environment that is in a subnet, None for one that is free."""
    return next((one for one in twin.world.find(ENVIRONMENT) if arm.same(_id(one), subnet.id)), None)


def delegated(subnet: Properties) -> list[str]:
    """The services that a subnet is delegated to."""
    return [str(one.get("serviceName")) for one in subnet.get("delegations") or []]


def _id(environment: Resource) -> str:
    return str((environment.get("vnetConfiguration") or {}).get("infrastructureSubnetId") or "")


def _found(twin: Twin, id_: str, inputs: Properties) -> Resource:
    """The subnet that is there, in the environment's subscription and place."""
    network = next((one for one in twin.world.find(VIRTUAL_NETWORK) if id_.lower().startswith(f"{one.id.lower()}/")), None)
    if network is None or not id_.lower().startswith(f"/subscriptions/{inputs['subscriptionId']}/".lower()):
        raise _invalid(f"Invalid vnet resource ID provided, or the virtual network could not be found. {_AT}: {id_!r}: make it first.")
    subnet = next((one for one in twin.world.find(SUBNET) if arm.same(one.id, id_)), None)
    if subnet is None or not subnet.get("addressPrefix"):
        why = "make the subnet first" if subnet is None else "it has `addressPrefixes`, give it one `addressPrefix` instead"
        raise _invalid(f"The subnet and its addressPrefix could not be found. {_AT}: {id_!r}: {why} (pulumi-azure-native issue 3244).")
    if locations.plain(network["location"]) != locations.plain(inputs["location"]):
        text = f"The virtual network {network['name']} is in {network['location']}: an environment in {inputs['location']} can't be in it."
        raise _invalid(text)
    return subnet


def _require_delegation(subnet: Resource, profiles: bool) -> None:
    services = [one.lower() for one in delegated(subnet.outputs)]
    if profiles and services != [CONTAINER_APPS_DELEGATION.lower()]:
        raise Refusal(
            "ManagedEnvironmentSubnetDelegationError",
            f"The subnet of the environment must be delegated to the service '{CONTAINER_APPS_DELEGATION}'. {subnet.id} is delegated to "
            f"{', '.join(delegated(subnet.outputs)) or 'none'}.",
        )
    if not profiles and services:
        raise Refusal(
            "ManagedEnvironmentV1SubnetDelegationNotAllowed",
            f"The subnet for consumption-only environment must not have delegations. Please remove the delegation "
            f"'{delegated(subnet.outputs)[0]}' from the subnet and retry the environment creation, or give it workload profiles.",
        )


def _require_size(subnet: Resource, profiles: bool) -> None:
    held, longest = ipaddress.IPv4Network(subnet["addressPrefix"]), int(CONTAINER_APPS_SUBNET.high) if profiles else _PLAIN_PREFIX
    if held.prefixlen > longest:
        raise _invalid(f"Provided subnet must have a size of at least /{longest}. {subnet.id} is {held} ({CONTAINER_APPS_SUBNET.source}).")
    kept = subnets.overlapped(held)
    if kept is not None:
        raise _invalid(f"The subnet {held} overlaps {kept}, which is reserved ({CONTAINER_APPS_SUBNET.source}).")


def _invalid(text: str) -> Refusal:
    return Refusal("ManagedEnvironmentInvalidNetworkConfiguration", f"The environment network configuration is invalid: {text}")

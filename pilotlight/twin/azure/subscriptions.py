"""What Resource Manager tells of a subscription before anything is in it. Every one whose id is well-formed is there, as for the
provider; `faults` (`account`) make it another one than usual."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.limits_azure import API_MANAGEMENT_TIERS, CONSUMPTION, CONTAINER_APPS_GPUS
from pilotlight.twin.account_faults import AZURE_QUOTAS
from pilotlight.twin.azure import account, apim_deleted, arm
from pilotlight.twin.azure.locations import REGIONS, plain
from pilotlight.twin.azure.types import ENVIRONMENT
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Workload profiles that are everywhere where Container Apps is (its documentation, "workload profiles").
_PROFILES = (CONSUMPTION, "D4", "D8", "D16", "D32", "E4", "E8", "E16", "E32")
# Of resource providers that nothing here is of, and that some of it leans on.
_OTHERS = {"Microsoft.ContainerService": {"managedClusters": "Microsoft.ContainerService"}}


def known(subscription: str) -> None:
    """Refusal where there can't be such a subscription."""
    if not _GUID.fullmatch(subscription):
        text = f"The provided subscription identifier '{subscription}' is malformed or invalid."
        raise Refusal("InvalidSubscriptionId", text)


def told(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Resource Manager API, subscriptions.get."""
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "displayName": "Local twin",
        "tenantId": account.TENANT,
        "state": twin.faults.said("subscription") or "Enabled",
    }


def provider(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Resource Manager API, providers.get: registered, with the types that the twin has, unless a test says otherwise."""
    (given,) = rest
    types: dict[str, str] = {}
    for token in arm.PATHS:
        namespace, _, name = arm.kind_of(token).partition("/")
        if namespace.lower() == given.lower():
            types[name], given = namespace, namespace
    types |= _OTHERS.get(given, {})
    if not types:
        raise Refusal(
            "InvalidResourceNamespace", f"The resource namespace '{given}' is invalid: the local twin has none of its types.", 404
        )
    return {
        "id": f"/subscriptions/{subscription}/providers/{given}",
        "namespace": given,
        "registrationState": "NotRegistered" if is_off(twin, given) else "Registered",
        "resourceTypes": [{"resourceType": name, "locations": _places(twin, f"{given}/{name}")} for name in sorted(types)],
    }


def permissions(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Authorization API, permissions.list: one entry for each role that holds there, for the developer an owner's."""
    if caller == account.PRINCIPAL:
        denied = [action for action in twin.faults.listed("denied") if "/" in action]
        return {"value": [{"actions": ["*"], "notActions": denied, "dataActions": [], "notDataActions": []}]}
    held = [one for role in twin.azure.iam.roles(caller, f"/subscriptions/{subscription}") for one in role.permissions]
    return {
        "value": [
            {
                "actions": [*one.actions],
                "notActions": [*one.not_actions],
                "dataActions": [*one.data_actions],
                "notDataActions": [*one.not_data_actions],
            }
            for one in held
        ]
    }


def usages(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Container Apps API, usages.list of a location: environments are counted; what GPUs are in use is not (there are none here)."""
    _registered(twin, "Microsoft.App")
    place = plain(rest[0])
    used = sum(
        arm.group_of(one.id) is not None and plain(str(one.get("location"))) == place and f"/{subscription}/".lower() in one.id.lower()
        for one in twin.world.find(ENVIRONMENT)
    )

    def usage(name: str) -> Any:
        limits = twin.faults.regional_quotas(name)
        count = used if name == "ManagedEnvironmentCount" else 0
        return {
            "unit": "Count",
            "currentValue": count,
            "limit": limits.get(place, limits[""]),
            "name": {"value": name, "localizedValue": name},
        }

    return {"value": [usage(name) for name in AZURE_QUOTAS]}


def profiles(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Container Apps API, availableWorkloadProfiles.get: those of everywhere, and GPUs where its documentation has them."""
    _registered(twin, "Microsoft.App")
    place = plain(rest[0])
    names = [*_PROFILES, *(one.type for one in CONTAINER_APPS_GPUS.values() if place in one.regions.names)]
    kind = "Microsoft.App/availableManagedEnvironmentsWorkloadProfileTypes"
    start = f"/subscriptions/{subscription}/providers/{kind}"
    return {
        "value": [
            {"id": f"{start}/{name}", "name": name, "type": kind, "location": rest[0], "properties": {"displayName": name}}
            for name in names
            if name not in twin.faults.listed("lacking")
        ]
    }


def tiers(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """API Management API, apiManagementSkus.list: an entry for each place and tier."""
    _registered(twin, "Microsoft.ApiManagement")
    return {
        "value": [
            {"resourceType": "service", "name": sku, "tier": sku, "locations": [place], "restrictions": []}
            for sku in (tier.sku for tier in API_MANAGEMENT_TIERS.values())
            for place in _places(twin, sku)
        ]
    }


def deleted_services(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """API Management API, deletedServices.listBySubscription."""
    _registered(twin, "Microsoft.ApiManagement")
    return {"value": list(_deleted(twin, subscription))}


def environment(twin: Twin, subscription: str, caller: str, rest: tuple[str, ...]) -> Any:
    """Container Apps API, managedEnvironments.get, as far as it tells that there is one."""
    id_ = f"/subscriptions/{subscription}{rest[0]}"
    found = arm.find(twin.world, id_)
    if found is None:
        group, name = id_.split("/")[4], id_.rpartition("/")[2]
        text = f"The Resource 'Microsoft.App/managedEnvironments/{name}' under resource group '{group}' was not found."
        raise Refusal("ResourceNotFound", text, 404)
    return {"id": found.id, "name": found["name"], "type": arm.kind_of(ENVIRONMENT), "location": found["location"]}


def _deleted(twin: Twin, subscription: str) -> Iterator[dict[str, Any]]:
    for held in apim_deleted.every(twin):
        id_, name = str(held.get("serviceId")), str(held.get("serviceId")).rpartition("/")[2]
        if f"/subscriptions/{subscription}/".lower() not in id_.lower():
            continue
        place = plain(str(held["location"]))
        yield {
            "id": f"/subscriptions/{subscription}/providers/Microsoft.ApiManagement/locations/{place}/deletedservices/{name}",
            "name": name,
            "type": "Microsoft.ApiManagement/deletedservices",
            "location": held["location"],
            "properties": {
                "serviceId": id_,
                "scheduledPurgeDate": _time(held["purges"]),
                "deletionDate": _time(held["purges"] - apim_deleted.KEPT_S),
            },
        }


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _places(twin: Twin, what: str) -> list[str]:
    return [] if what in twin.faults.listed("lacking") else sorted(REGIONS)


def is_off(twin: Twin, namespace: str) -> bool:
    """Whether the subscription is not registered for a resource provider: a test says so."""
    return namespace.lower() in {one.lower() for one in twin.faults.listed("unregistered")}


def _registered(twin: Twin, namespace: str) -> None:
    """Refusal for a call of a resource provider that the subscription is not registered for (the codes of azure-cli issue and pages)."""
    if is_off(twin, namespace):
        raise Refusal(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to register "
            "subscriptions.",
            409,
        )

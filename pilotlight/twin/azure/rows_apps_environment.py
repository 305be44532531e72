"""Environments of Container Apps: the network, the logs and the workload profiles that apps share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from components.limits_azure import CONSUMPTION, CONTAINER_APPS_GPUS, CONTAINER_APPS_PROFILES
from pilotlight.twin.azure import arm, environment_subnets, locations
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import APP, ENVIRONMENT, JOB
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Container Apps API, AppLogsConfiguration.destination.
_DESTINATIONS = ("log-analytics", "azure-monitor", "none")
# Container Apps documentation, "Workload profiles" (read 2026-11): machines of one's own, of which there is a least and a most.
_DEDICATED = ("D4", "D8", "D16", "D32", "E4", "E8", "E16", "E32", "NC24-A100", "NC48-A100", "NC96-A100")
_GPUS = {profile.type: profile for profile in CONTAINER_APPS_GPUS.values()}
_COUNTS = ("minimumCount", "maximumCount")
_NO_COUNTS = "WorkloadProfilePropertyNotSupported, hashicorp/terraform-provider-azurerm issue 31763"
# What the API never tells again.
_SHARED_KEY = ("appLogsConfiguration", "logAnalyticsConfiguration", "sharedKey")
# What a default domain begins with.
_WORDS = ("agreeable", "calm", "delightful", "gentle", "happy", "lively", "nice", "proud", "salmon", "victorious")


def _limits(inputs: Properties) -> list[str]:
    return [*_log_problems(inputs.get("appLogsConfiguration")), *_network_problems(inputs), *_profile_problems(inputs)]


def _log_problems(logs: Any) -> list[str]:
    if not isinstance(logs, Mapping):
        return []
    at, given, analytics = "appLogsConfiguration", logs.get("destination"), logs.get("logAnalyticsConfiguration")
    found = []
    if given is not None and given not in _DESTINATIONS:
        found.append(f"{at}.destination: {given!r} is not allowed: use one of {', '.join(_DESTINATIONS)}.")
    if given == "log-analytics":
        missing = [name for name in ("customerId", "sharedKey") if not (analytics or {}).get(name)]
        found += [f"{at}.logAnalyticsConfiguration.{name}: is missing and required with log-analytics." for name in missing]
    elif analytics is not None and given is not None:
        found.append(f"{at}.logAnalyticsConfiguration: is for the destination log-analytics alone: remove it.")
    return found


def _network_problems(inputs: Properties) -> list[str]:
    network = inputs.get("vnetConfiguration") or {}
    if network.get("infrastructureSubnetId"):
        return []
    found = []
    if network.get("internal"):
        found.append("vnetConfiguration.infrastructureSubnetId: is missing and required where `internal` is true.")
    if inputs.get("zoneRedundant"):
        found.append("vnetConfiguration.infrastructureSubnetId: is missing and required where zoneRedundant is true.")
    return found


def _profile_problems(inputs: Properties) -> list[str]:
    found = []
    profiles = [one for one in inputs.get("workloadProfiles") or [] if isinstance(one, Mapping)]
    names = [one.get("name") for one in profiles]
    for name in sorted({str(one) for one in names if one is not None and names.count(one) > 1}):
        found.append(f"workloadProfiles: the name {name!r} is there twice: names are unique.")
    location = locations.plain(str(inputs.get("location") or ""))
    for index, profile in enumerate(profiles):
        found += [f"workloadProfiles[{index}].{text}" for text in _one_profile(profile, location)]
    return found


def _one_profile(profile: Mapping[str, Any], location: str) -> list[str]:
    kind = profile.get("workloadProfileType")
    counted = [name for name in _COUNTS if profile.get(name) is not None]
    if kind in _DEDICATED:
        missing = [f"{name}: is missing: {kind} has machines of its own." for name in _COUNTS if name not in counted]
        low, high = (profile.get(name) for name in _COUNTS)
        wrong = isinstance(low, int) and isinstance(high, int) and low > high
        return [*missing, *([f"minimumCount: {low} is more than maximumCount, {high}."] if wrong else [])]
    if kind != CONSUMPTION and kind not in _GPUS:
        known = ", ".join((CONSUMPTION, *_GPUS, *_DEDICATED))
        told = f"workloadProfileType: {kind!r} is not allowed: use one of {known} ({CONTAINER_APPS_PROFILES})."
        return [told] if isinstance(kind, str) else []
    found = [f"{name}: is not for {kind}, which has no machines of its own: remove it ({_NO_COUNTS})." for name in counted]
    if kind in _GPUS and location and location not in _GPUS[kind].regions.names:
        found.append(f"workloadProfileType: {kind} is not in {location!r}: use one of {', '.join(_GPUS[kind].regions.names)}.")
    return found


def _assigned(twin: Twin, inputs: Properties) -> dict[str, Any]:
    place = locations.plain(inputs["location"])
    host = f"{secrets.choice(_WORDS)}{secrets.choice(('bay', 'cliff', 'field', 'hill', 'sea', 'wave'))}-{secrets.token_hex(4)}"
    return {
        "defaultDomain": f"{host}.{place}.azurecontainerapps.io",
        # RFC 5737: addresses that nobody has.
        "staticIp": f"203.0.113.{secrets.randbelow(254) + 1}",
    }


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    place = locations.plain(inputs["location"])
    below = arm.id_of(ENVIRONMENT)(inputs)
    return {
        "eventStreamEndpoint": f"https://{place}.azurecontainerapps.dev{below}/eventstream",
        "publicNetworkAccess": inputs.get("publicNetworkAccess") or "Enabled",
        "zoneRedundant": inputs.get("zoneRedundant") or False,
        "peerTrafficConfiguration": inputs.get("peerTrafficConfiguration") or {"encryption": {"enabled": False}},
    }


def _update(twin: Twin, old: Resource, new: Resource) -> None:
    """A profile keeps its type, and one that something runs on stays (Container Apps documentation, workload profiles: a profile is
    deleted once no app is left in it)."""
    before, after = _profiles(old), _profiles(new)
    for name, kind in after.items():
        if before.get(name, kind) != kind:
            raise Refusal(
                "WorkloadProfileTypeCannotBeChanged",
                f"workloadProfiles: {name!r} is of the type {before[name]} and can't become {kind}: add a profile of another name.",
            )
    used = {
        str(one["workloadProfileName"]): one for one in _held(twin, new) if one.get("workloadProfileName") in before.keys() - after.keys()
    }
    for name, one in used.items():
        raise Refusal("WorkloadProfileInUse", f"workloadProfiles: {name!r} can't be removed: {one['name']} runs on it. Move it first.", 409)


def _profiles(environment: Resource) -> dict[str, str]:
    return {str(one["name"]): str(one["workloadProfileType"]) for one in environment.get("workloadProfiles") or []}


def _held(twin: Twin, environment: Resource) -> list[Resource]:
    """The apps and jobs of an environment."""
    return [one for token in (APP, JOB) for one in twin.world.find(token) if arm.same(_environment(one), environment.id)]


def _delete(twin: Twin, resource: Resource) -> None:
    """One with apps or jobs in it stays: those go first."""
    held = _held(twin, resource)
    if held:
        raise Refusal(
            "ManagedEnvironmentHasContainerApps",
            f"The specified environment {resource['name']} cannot be deleted because it still contains {len(held)} apps or jobs: "
            f"{', '.join(sorted(str(one['name']) for one in held))}. Delete them first.",
            409,
        )


def _environment(app: Resource) -> str:
    return str(app.get("environmentId") or app.get("managedEnvironmentId") or "")


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=ENVIRONMENT,
            id=arm.id_of(ENVIRONMENT),
            # pulumi-azure-native, reports/forceNewTypes.json: every property of the network, and the suffix of a domain.
            replaces=frozenset({"vnetConfiguration", "customDomainConfiguration.dnsSuffix"}),
            limits=_limits,
            assigned=_assigned,
            computed=_computed,
            check=environment_subnets.check,
            update=_update,
            delete=_delete,
        ),
        absent=frozenset({"privateLinkDefaultDomain"}),
        write_only=(_SHARED_KEY,),
    ),
)

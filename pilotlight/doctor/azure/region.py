"""Checks of the region that a stack goes to: it is one, and what the stack is made of is there."""

from collections.abc import Iterator

from components.limits_azure import API_MANAGEMENT_TIERS, CONTAINER_APPS_GPUS
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.azure.providers import VERSION
from pilotlight.doctor.findings import Finding, closest, fail, ok
from pilotlight.doctor.subject import Subject

# Container Apps API, availableWorkloadProfiles.get; API Management API, apiManagementSkus.list.
PROFILES_VERSION, SKUS_VERSION = "2025-01-01", "2024-05-01"


def region(subject: Subject) -> Iterator[Finding]:
    """A location is said, and Azure has it."""
    from pilotlight.twin.azure.locations import REGIONS, problems

    if not subject.region:
        mend = f"pulumi config set azure-native:location westeurope --stack {subject.stack}"
        yield fail("region", "no location is set", allowed="one location", mend=mend)
        return
    wrong = problems(subject.region)
    if wrong:
        mend = f"pulumi config set azure-native:location {closest(subject.region, sorted(REGIONS))} --stack {subject.stack}"
        yield fail("region", wrong[0], allowed="a location of the public cloud", mend=mend)
    else:
        yield ok("region", subject.region)


def services(subject: Subject) -> Iterator[Finding]:
    """Container Apps is there, for callers API Management's tier too, and the GPU's workload profile."""
    assert subject.settings is not None
    lacks = list(_missing(subject))
    missing = [f"{name} (in {', '.join(there[:8])}{' …' if len(there) > 8 else ''})" for name, there in lacks]
    if missing:
        common = sorted(set.intersection(*(set(there) for _, there in lacks)))
        yield fail(
            "region.services",
            f"{subject.region} lacks {'; '.join(missing)}",
            allowed="a location that has everything",
            mend=f"pulumi config set azure-native:location {closest(subject.region, common or ['LOCATION'])} --stack {subject.stack}",
        )
    else:
        gateway = "" if subject.settings.auth is None else f" and API Management ({_sku(subject)})"
        yield ok("region.services", f"{subject.region} has Container Apps{gateway}")


def profile(subject: Subject) -> Iterator[Finding]:
    """The GPU's workload profile may be made in the region, as this subscription is told."""
    assert subject.settings is not None
    gpu = subject.settings.endpoint.gpu
    if gpu is None:
        return
    wanted = CONTAINER_APPS_GPUS[gpu]
    place = f"/subscriptions/{subject.account}/providers/Microsoft.App/locations/{subject.region}"
    told = subject.clients.manager().every(f"{place}/availableManagedEnvironmentsWorkloadProfileTypes", PROFILES_VERSION)
    there = sorted(str(one["name"]) for one in told)
    if wanted.type in there:
        yield ok("profile.gpu", f"{wanted.type} is in {subject.region}")
        return
    first, *others = [name for name in wanted.regions.names if name != subject.region]
    yield fail(
        "profile.gpu",
        f"this subscription can't have {wanted.type} in {subject.region}",
        allowed=", ".join(there) or "none is told",
        mend=f"pulumi config set azure-native:location {first} --stack {subject.stack}, or one of {', '.join(others)}",
    )


def _missing(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    """What is not in the region, with where it is."""
    assert subject.settings is not None
    manager, start = subject.clients.manager(), f"/subscriptions/{subject.account}/providers"
    types = manager.ask(f"{start}/Microsoft.App", VERSION).get("resourceTypes", [])
    for wanted in ("managedEnvironments", "containerApps"):
        there = [_plain(place) for one in types if one.get("resourceType") == wanted for place in one.get("locations", [])]
        if subject.region not in there:
            yield f"Microsoft.App/{wanted}", sorted(there)
    if subject.settings.auth is None:
        return
    try:
        skus = manager.every(f"{start}/Microsoft.ApiManagement/skus", SKUS_VERSION)
    except ApiError as error:
        if error.reason != "MissingSubscriptionRegistration":
            raise
        return
    there = [
        _plain(place)
        for one in skus
        if one.get("name") == _sku(subject) and not one.get("restrictions")
        for place in one.get("locations", [])
    ]
    if subject.region not in there:
        yield f"API Management's tier {_sku(subject)}", sorted(set(there))


def _sku(subject: Subject) -> str:
    """Of the tier that the stack asks for."""
    assert subject.settings is not None
    return API_MANAGEMENT_TIERS[subject.settings.tier].sku


def _plain(place: str) -> str:
    return place.replace(" ", "").lower()

"""Look at what a stack's destroyed gateways left: their names stay taken for two days."""

from collections.abc import Iterator

from components.azure.names import names_of
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.subject import Subject

# API Management API, deletedServices.listBySubscription.
VERSION = "2024-05-01"


def deleted(subject: Subject) -> Iterator[Finding]:
    """Told, and no problem: the next `up` has another name. They are this stack's by the group that they were in."""
    group = names_of(subject.project.name, subject.stack, subject.account).group
    path = f"/subscriptions/{subject.account}/providers/Microsoft.ApiManagement/deletedservices"
    try:
        found = subject.clients.manager().every(path, VERSION)
    except ApiError as error:
        if error.reason != "MissingSubscriptionRegistration":
            raise
        return
    own = f"/resourcegroups/{group}/".lower()
    for one in sorted(found, key=lambda one: str(one["name"])):
        about = one.get("properties") or {}
        if own in str(about.get("serviceId", "")).lower():
            yield Finding(
                id="deleted",
                status="ok",
                found=f"{one['name']}, an API Management service of this stack's, keeps its name until {about.get('scheduledPurgeDate')}: "
                "the next one has another",
                mend=f'az apim deletedservice purge --service-name {one["name"]} --location "{one.get("location", subject.region)}"',
            )

"""Checks of the APIs: those that the stack needs are on, or may be switched on by who deploys, who may have calls counted.

The program switches them on itself (`components/gcp/apis.py`); what it needs at all follows from the settings.
"""

from collections.abc import Iterator

from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.gcp.grants import grant
from pilotlight.doctor.subject import Subject
from stacks.settings_service import Settings

ENABLE, USE = "serviceusage.services.enable", "serviceusage.services.use"
CONSUMER = "roles/serviceusage.serviceUsageConsumer"
# Service Usage API v1, services.batchGet: names in one request.
BATCH = 30


def apis(subject: Subject) -> Iterator[Finding]:
    """On, or to be switched on (Service Usage API v1, services.batchGet)."""
    assert subject.settings is not None
    wanted = sorted(f"{api}.googleapis.com" for api in needed(subject.settings))
    off = [api for api in wanted if api not in _enabled(subject, wanted)]
    if not off:
        yield ok("apis", f"all {len(wanted)} are on")
        return
    if _granted(subject, ENABLE):
        yield ok("apis", f"{len(wanted) - len(off)} of {len(wanted)} are on, `up` switches {', '.join(off)} on")
        return
    yield fail(
        "apis",
        f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off, and these credentials may not switch APIs on",
        allowed=f"{ENABLE} on the project, or APIs that are on",
        mend=f"gcloud services enable {' '.join(off)} --project {subject.google_project} # by who may",
    )


def quota_project(subject: Subject) -> Iterator[Finding]:
    """Calls of the APIs that ask for a quota project may count against this one (`components/gcp/quota.py`)."""
    assert subject.settings is not None
    if not needed(subject.settings) & {"apikeys", "billingbudgets"}:
        return
    if _granted(subject, USE):
        yield ok("quota.project", f"calls count against {subject.google_project}")
        return
    yield fail(
        "quota.project",
        f"calls may not count against {subject.google_project}: keys and budgets would be refused with 403",
        allowed=f"{USE} on the project",
        mend=grant(subject, CONSUMER),
    )


def _granted(subject: Subject, permission: str) -> bool:
    """Whether these credentials have a right on the project (Resource Manager API v3, projects.testIamPermissions)."""
    path = f"/v3/projects/{subject.google_project}:testIamPermissions"
    answer = subject.clients.of("cloudresourcemanager").ask("POST", path, json={"permissions": [permission]})
    return permission in answer.get("permissions", [])


def _enabled(subject: Subject, wanted: list[str]) -> set[str]:
    """Those of the services that are on."""
    parent, found = f"projects/{subject.google_project}", set[str]()
    usage = subject.clients.of("serviceusage")
    for start in range(0, len(wanted), BATCH):
        names = [f"{parent}/services/{api}" for api in wanted[start : start + BATCH]]
        answer = usage.ask("GET", f"/v1/{parent}/services:batchGet", params={"names": names})
        # Names come back with the project's number.
        found |= {one["name"].rpartition("/")[2] for one in answer.get("services", []) if one.get("state") == "ENABLED"}
    return found


def needed(settings: Settings) -> set[str]:
    """The APIs that a stack's program switches on, by the first word of their address."""
    events = settings.pattern == "events"
    later = settings.answers is not None and settings.answers.async_
    drops = settings.budget is not None and settings.budget.on_exceeded == "drop-warming"
    asked = {
        "apigateway servicemanagement servicecontrol": not events,
        "apikeys": settings.auth is not None and settings.auth.mode == "api-key",
        "eventarc": events,
        "firestore": events or later,
        "pubsub": events or later or drops,
        "cloudscheduler": any(rule.kind in ("ping", "scheduled") for rule in settings.warming),
        "billingbudgets cloudbilling": settings.budget is not None,
        "compute": settings.endpoint.private,
        "monitoring": settings.alarms.enabled or settings.dashboard or settings.budget is not None,
    }
    always = {"artifactregistry", "cloudresourcemanager", "iam", "logging", "run", "storage"}
    return always | {api for names, wanted in asked.items() if wanted for api in names.split()}

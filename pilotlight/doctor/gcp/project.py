"""Checks of the project: whose credentials these are, whether it is there, whether somebody pays for it."""

from collections.abc import Iterator
from typing import Any

from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.exits import CommandError
from pilotlight.cli.gcp.clients import LOGIN, credentials_of, installed
from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.subject import Identity, Subject


def credentials(subject: Subject) -> tuple[Finding, Identity | None]:
    """Application-default credentials are there and good: what the provider and this command use."""
    if not subject.google_project:
        return fail(
            "credentials",
            "no project is set",
            allowed="one project",
            mend=f"pulumi config set gcp:project PROJECT --stack {subject.stack}",
        ), None
    if subject.local:
        twin = Identity(account=subject.google_project, arn="developer")
        return ok("credentials", f"project {subject.google_project}, the twin's developer"), twin
    try:
        found = credentials_of()
    except CommandError as error:
        return fail("credentials", str(error), allowed="application-default credentials", mend=LOGIN), None
    problem = _refused(found)
    if problem:
        return fail("credentials", f"Google refuses the credentials: {problem}", allowed="valid credentials", mend=LOGIN), None
    return ok("credentials", f"project {subject.google_project}, {_who(found)}"), Identity(account=subject.google_project, arn=_who(found))


def _who(credentials: Any) -> str:
    """The account, as far as credentials tell it: those of a person do not."""
    return str(getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None) or "a person's login")


def _refused(credentials: Any) -> str:
    """Why the credentials give no token; empty where they do."""
    with installed():
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    try:
        credentials.refresh(Request())
    except GoogleAuthError as error:
        return " ".join(str(error).split())[:300]
    return ""


def project(subject: Subject) -> Iterator[Finding]:
    """The project is there and active (Cloud Resource Manager API v3, projects.get)."""
    name = subject.google_project
    try:
        found = subject.clients.of("cloudresourcemanager").ask("GET", f"/v3/projects/{name}")
    except ApiError as error:
        # It answers the same for a project that is not there and for one that the caller may not see.
        if error.status not in (403, 404) or error.reason == "SERVICE_DISABLED":
            raise
        yield fail(
            "project",
            f"there is no project {name}, or these credentials may not see it",
            allowed="a project that the credentials are granted roles on",
            mend=f"gcloud projects create {name}, or set `gcp:project` in {subject.project.stack_file(subject.stack)}",
        )
        return
    if found.get("state") != "ACTIVE":
        yield fail(
            "project",
            f"{name} is {found.get('state')}",
            allowed="ACTIVE",
            mend=f"gcloud projects undelete {name}, or set another `gcp:project`",
        )
        return
    yield ok("project", f"{name} ({found['name']})")


def billing(subject: Subject) -> Iterator[Finding]:
    """An open billing account pays for it: without one most APIs can't be switched on (Cloud Billing API v1, getBillingInfo)."""
    name = subject.google_project
    found = subject.clients.of("cloudbilling").ask("GET", f"/v1/projects/{name}/billingInfo")
    if found.get("billingEnabled"):
        yield ok("billing", str(found["billingAccountName"]))
        return
    account = found.get("billingAccountName")
    yield fail(
        "billing",
        f"{account} is closed" if account else f"no billing account is linked to {name}",
        allowed="an open billing account",
        mend=f"gcloud billing projects link {name} --billing-account ACCOUNT",
    )

"""Who there is: service accounts that programs made and identities that Google made."""

from __future__ import annotations

import re

from pilotlight.twin.gcp import agents, services
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.types import ACCOUNT, ENABLED, IDENTITY
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

# IAM documentation, "Principal identifiers" (read 2026-11).
_KINDS = ("serviceAccount", "user", "group", "domain", "projectOwner", "projectEditor", "projectViewer", "principal", "principalSet")
ANYONE = frozenset({"allUsers", "allAuthenticatedUsers"})
SERVICE_ACCOUNT = "serviceAccount:"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def account(world: World, email: str) -> Resource | None:
    """The service account of that address, if a program made it."""
    return world.one(ACCOUNT, email=email)


def exists(world: World, email: str) -> bool:
    """Whether there is such a service account or agent."""
    if account(world, email) is not None or world.one(IDENTITY, email=email) is not None or world.get(agents.AGENT, email) is not None:
        return True
    return any(_made_by_google(world, project, email) for project in _projects(world) if project_number(project) in email)


def require(world: World, email: str) -> None:
    """Refusal where there is no such service account."""
    if not exists(world, email):
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Service account {email} does not exist: make it in this program (serviceaccount.Account, for an agent of Google's "
            f"projects.ServiceIdentity), and use that resource's `email` or `member`.",
        )


def member_problems(member: object) -> list[str]:
    """What is wrong with a member's form."""
    if not isinstance(member, str) or member in ANYONE:
        return []
    kind, _, name = member.partition(":")
    if kind not in _KINDS or not name:
        return [f"member: {member!r} is no principal: use serviceAccount:EMAIL, or one of {', '.join((*_KINDS[1:], *sorted(ANYONE)))}."]
    if kind in ("serviceAccount", "user", "group") and not _EMAIL.fullmatch(name):
        return [f"member: {member!r} names no e-mail address: use {kind}:EMAIL."]
    return []


def require_member(world: World, member: str) -> None:
    """Refusal for a member that is a service account which does not exist."""
    if member.startswith(SERVICE_ACCOUNT):
        require(world, member.removeprefix(SERVICE_ACCOUNT))


def _made_by_google(world: World, project: str, email: str) -> bool:
    if email == agents.compute_account(project):
        return services.enabled(world, project, "compute.googleapis.com")
    return any(
        email == agents.agent(project, service) and agents.there(world, project, service) for service in agents.services_with_agents()
    )


def _projects(world: World) -> set[str]:
    """Projects in which anything was switched on: in others nothing can be."""
    return {str(resource["project"]) for resource in world.find(ENABLED)}

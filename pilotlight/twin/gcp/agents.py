"""Identities that Google makes in a project: the agents of its services, and the default account of Compute Engine.

An agent is there when its service was asked to make it (`projects.ServiceIdentity`), or has been used. A grant to one that is not
there is refused, and so is a trigger of Eventarc's before its agent is.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.twin.gcp import services
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.types import IDENTITY, JOB, SUBSCRIPTION, TOPIC, TRIGGER
from pilotlight.twin.world import Resource, World

# An agent that a function of the provider made.
AGENT = "twin:gcp/agent:Agent"
STORAGE = "storage.googleapis.com"
EVENTARC = "eventarc.googleapis.com"
PUBSUB = "pubsub.googleapis.com"
_DOMAIN = "iam.gserviceaccount.com"
# IAM documentation, "Service agents" (read 2026-11). Most are called after their service.
_NAMES: Mapping[str, str] = {
    STORAGE: "gs-project-accounts",
    "run.googleapis.com": "serverless-robot-prod",
    "apigateway.googleapis.com": "gcp-sa-apigateway-mgmt",
    "monitoring.googleapis.com": "gcp-sa-monitoring-notification",
}
# What a service makes in its first use brings its agent along.
_USES: Mapping[str, tuple[str, ...]] = {
    PUBSUB: (TOPIC, SUBSCRIPTION),
    EVENTARC: (TRIGGER,),
    "cloudscheduler.googleapis.com": (JOB,),
}
# Made when the API is enabled.
_AT_ONCE = frozenset({"run.googleapis.com"})


def agent(project: str, service: str) -> str:
    """The e-mail address of a service's agent in a project."""
    name = _NAMES.get(service, f"gcp-sa-{service.split('.', 1)[0]}")
    return f"service-{project_number(project)}@{name}.{_DOMAIN}"


def compute_account(project: str) -> str:
    """The e-mail address of Compute Engine's default account, which Cloud Run uses where none is named."""
    return f"{project_number(project)}-compute@developer.gserviceaccount.com"


def make(world: World, project: str, service: str) -> str:
    """Make the agent, as a function of the provider does; its e-mail address."""
    email = agent(project, service)
    world.put(Resource(token=AGENT, id=email, urn="", outputs={"project": project, "service": service, "email": email}))
    return email


def there(world: World, project: str, service: str) -> bool:
    """Whether the agent of a service exists in a project."""
    email = agent(project, service)
    if world.get(AGENT, email) is not None or world.one(IDENTITY, email=email) is not None:
        return True
    if service in _AT_ONCE and services.enabled(world, project, service):
        return True
    return any(world.one(token, project=project) is not None for token in _USES.get(service, ()))


def services_with_agents() -> frozenset[str]:
    """Services whose agents may be there without having been asked for."""
    return frozenset({*_NAMES, *_USES})

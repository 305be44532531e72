"""Which of Google's APIs a project has enabled: what Google refuses everything else without."""

from __future__ import annotations

import difflib

from pilotlight.twin.gcp import discovery
from pilotlight.twin.gcp.types import API, ENABLED
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import World

# Service Usage documentation, "Enabled services": what a project has from the start (read 2026-11), as far as types here need it.
FROM_THE_START = frozenset(
    f"{name}.googleapis.com"
    for name in (
        "bigquery",
        "bigquerystorage",
        "cloudapis",
        "cloudtrace",
        "datastore",
        "logging",
        "monitoring",
        "servicemanagement",
        "serviceusage",
        "sql-component",
        "storage",
        "storage-api",
        "storage-component",
    )
)
_GOOGLE = ".googleapis.com"
_MANAGED = ".cloud.goog"


def enabled(world: World, project: str, service: str) -> bool:
    """Whether the project has it: from the start, or because a program switched it on (and left it on when it went)."""
    return service in FROM_THE_START or world.get(ENABLED, service_id(project, service)) is not None


def require(world: World, project: str, service: str) -> None:
    """Refusal, with what to declare, where the project has not enabled the API."""
    if not enabled(world, project, service):
        raise Refusal(
            "SERVICE_DISABLED",
            f"{service} has not been used in project {project} before or it is disabled: declare "
            f"gcp.projects.Service(…, service={service!r}) and let what needs it depend on it.",
            403,
        )


def service_id(project: str, service: str) -> str:
    return f"{project}/{service}"


def known_problem(world: World, service: str) -> str | None:
    """Why there is no such service, or None: Google's own by its discovery documents, managed ones by the APIs that have them."""
    if service.endswith(_MANAGED):
        if world.one(API, managedService=service) is not None:
            return None
        return f"{service} is no managed service of an API here: use the API's `managedService`."
    names = discovery.api_names() | {one.removesuffix(_GOOGLE) for one in FROM_THE_START}
    name = service.removesuffix(_GOOGLE)
    if service.endswith(_GOOGLE) and name in names:
        return None
    close = difflib.get_close_matches(name, sorted(names), 1)
    hint = f"did you mean {close[0] + _GOOGLE!r}?" if close else "use a name like run.googleapis.com."
    return f"{service!r} is no service of Google: {hint}"

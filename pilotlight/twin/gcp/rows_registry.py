"""Artifact Registry: repositories. What is pushed to them is `registry.py`."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.gcp import assigned, registry
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import LABEL, duration_problems
from pilotlight.twin.gcp.places import REGISTRIES
from pilotlight.twin.gcp.types import REPOSITORY
from pilotlight.twin.rows import Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

API = "artifactregistry.googleapis.com"
# Artifact Registry API, Repository.format (read 2026-11).
_FORMATS = ("DOCKER", "MAVEN", "NPM", "APT", "YUM", "PYTHON", "KFP", "GO", "GENERIC", "RUBY")
_LONGEST_S = 10 * 365 * 86_400.0


def _limits(inputs: Properties) -> list[str]:
    found = LABEL.problems("repositoryId", inputs)
    given = inputs.get("format")
    if isinstance(given, str) and given.upper() not in _FORMATS:
        found.append(f"format: {given!r} is not allowed: use one of {', '.join(_FORMATS)}.")
    names = [one.get("id") for one in inputs.get("cleanupPolicies") or []]
    found += [
        f"cleanupPolicies: the id {name!r} is there twice: ids are unique."
        for name in sorted({n for n in names if names.count(n) > 1 and n})
    ]
    for index, policy in enumerate(inputs.get("cleanupPolicies") or []):
        for field in ("olderThan", "newerThan"):
            value = (policy.get("condition") or {}).get(field)
            found += duration_problems(f"cleanupPolicies[{index}].condition.{field}", value, 0, _LONGEST_S)
    return found


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "name": inputs["repositoryId"],
        "registryUri": f"{inputs['location']}-docker.pkg.dev/{inputs['project']}/{inputs['repositoryId']}",
        "updateTime": assigned.now(twin),
        "mode": inputs.get("mode") or "STANDARD_REPOSITORY",
        "vulnerabilityScanningConfig": inputs.get("vulnerabilityScanningConfig") or {"enablementConfig": "INHERITED"},
    }


def _delete(twin: Twin, resource: Resource) -> None:
    """A repository takes its images with it."""
    registry.empty(twin, resource.id)


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=REPOSITORY,
            id=lambda p: f"projects/{p['project']}/locations/{p['location']}/repositories/{p['repositoryId']}",
            replaces=frozenset({"repositoryId", "format", "kmsKeyName", "mode", "remoteRepositoryConfig"}),
            assigned=lambda twin, inputs: {"createTime": assigned.now(twin)},
            computed=_computed,
            discovery="artifactregistry.v1:Repository",
            limits=_limits,
            delete=_delete,
        ),
        api=API,
        place="location",
        places=REGISTRIES,
        labelled=True,
    ),
)

"""Projects and locations that inputs may name."""

from __future__ import annotations

import difflib
import re
from functools import cache

from pilotlight.twin.gcp import discovery

# Resource Manager documentation, "Creating and managing projects": 6 to 30 characters; an organisation's domain may stand before it.
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
# Locations of several regions, as each service calls them (documentation of each, "locations", read 2026-11).
REGISTRIES = frozenset({"us", "europe", "asia"})
BUCKETS = frozenset({"us", "eu", "asia", "nam4", "eur4", "eur5", "eur7", "eur8", "asia1"})
DATABASES = frozenset({"nam5", "nam7", "eur3"})
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")


@cache
def regions() -> frozenset[str]:
    """The regions that the installed description of Cloud Run's API has an address for."""
    return frozenset(name for name in discovery.locations("run.v2") if _REGION.fullmatch(name))


def region_problems(path: str, value: object, also: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a location; `also` are names that are no region and are allowed. Case does not count."""
    if not isinstance(value, str) or value.lower() in regions() | also:
        return []
    close = difflib.get_close_matches(value.lower(), sorted(regions() | also), 1)
    hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(sorted(regions() | also))}."
    return [f"{path}: {value!r} is no location that Google Cloud has: {hint}"]


def project_problems(value: object) -> list[str]:
    """What is wrong with a project id; one that is missing altogether too."""
    if value is None:
        return ["project: is missing: set it with `pulumi config set gcp:project PROJECT`, or in the environment as GOOGLE_PROJECT."]
    if isinstance(value, str) and not _PROJECT.fullmatch(value):
        return [f"project: {value!r} is no project id: use 6 to 30 lower-case letters, digits and hyphens that begin with a letter."]
    return []

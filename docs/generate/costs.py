"""What of a plan is billed while nobody calls."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from docs.generate.billed import BILLED, FREE
from docs.generate.idle import Idle
from pilotlight.planned import Planned

_SCHEDULE = "aws:scheduler/schedule:Schedule"
# Schedules that swap a configuration: some times a week, of firings that are free by the million; UpdateEndpoint is not billed.
_FREE_SCHEDULE = "-schedules-edge-"
# Not a cloud's: a component, or the image whose storage the registry is billed for.
_NOT_BILLED = ("pilotlight:", "docker-build:index:Image", "pulumi:providers:")


@dataclass(frozen=True)
class Line:
    """One line of a page: what is billed, by which resources of the plan, for how many units (None: by size)."""

    idle: Idle
    resources: tuple[str, ...]
    units: float | None


def at_rest(resources: Sequence[Planned]) -> list[Line]:
    """What of a plan is billed at rest, in the table's order. KeyError names a resource that stands in neither table."""
    found: dict[Idle, list[Planned]] = {}
    for each in resources:
        for idle in _billed(each):
            if idle.units(each.inputs) != 0:
                found.setdefault(idle, []).append(each)
    return [Line(idle, tuple(one.name for one in found[idle]), _units(idle, found[idle])) for idle in BILLED if idle in found]


def _billed(resource: Planned) -> list[Idle]:
    """The lines of the table for a resource, none where it costs nothing at rest."""
    if resource.type.startswith(_NOT_BILLED) or (resource.type == _SCHEDULE and _FREE_SCHEDULE in resource.name):
        return []
    cloud, _, token = resource.type.partition(":")
    # `s3/bucket:Bucket`, on Azure `storage:Blob`.
    module, kind = re.split("[/:]", token)[0], token.rpartition(":")[2]
    if kind in FREE.get(cloud, {}).get(module, "").split():
        return []
    lines = [idle for idle in BILLED if idle.type == resource.type and idle.ending in resource.name]
    if not lines:
        raise KeyError(f"{resource.type} ({resource.name}): say in docs/generate/billed.py what it costs at rest, or that it is free.")
    return lines


def _units(idle: Idle, resources: Sequence[Planned]) -> float | None:
    units = [idle.units(each.inputs) for each in resources]
    if None in units:
        return None
    return max(filter(None, units)) if idle.most else sum(filter(None, units))

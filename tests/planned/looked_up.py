"""Plans, and how to look things up in them."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight.planned import Planned, planned


class Plan:
    """The resources of one plan."""

    def __init__(self, resources: Iterable[Planned]) -> None:
        self.resources = list(resources)
        self._by_urn = {each.urn: each for each in self.resources}

    def all(self, type_: str) -> list[Planned]:
        return [each for each in self.resources if each.type == type_]

    def one(self, type_: str, ending: str = "") -> Planned:
        """The only resource of a type, or the only one whose name ends so."""
        found = [each for each in self.all(type_) if each.name.endswith(ending)]
        assert len(found) == 1, f"{len(found)} of {type_} *{ending}: {sorted(each.name for each in self.resources)}"
        return found[0]

    def before(self, resource: Planned) -> set[str]:
        """URNs of all that is made before it."""
        seen: set[str] = set()
        todo = [*resource.waits_for]
        while todo:
            urn = todo.pop()
            if urn not in seen:
                seen.add(urn)
                todo += self._by_urn[urn].waits_for if urn in self._by_urn else []
        return seen


@functools.cache
def _plan(stack: str, changes: str) -> Plan:
    return Plan(planned(stack, json.loads(changes)))


def plan_of(stack: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """The plan of a ready stack with changed settings; equal calls share one."""
    return _plan(stack, json.dumps(changes or {}, sort_keys=True))

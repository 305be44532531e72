"""Differences between old and new inputs, by property path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pilotlight.twin.naming import is_generated
from pilotlight.twin.rows import Properties, Row
from pilotlight.twin.values import DEFAULTS, SIGNATURE, is_asset

Kind = Literal["ADD", "DELETE", "UPDATE"]
_ABSENT = object()
# Fields that no type is replaced for.
_TAGS = frozenset({"tags", "tagsAll", "labels", "pulumiLabels", "effectiveLabels"})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`paths` property path -> what happens there; `replaces` those whose change makes a new resource."""

    paths: Mapping[str, Kind]
    replaces: frozenset[str]
    delete_first: bool

    @property
    def any(self) -> bool:
        return bool(self.paths)

    @property
    def fields(self) -> list[str]:
        return sorted({top(path) for path in self.paths})


def difference(row: Row, old: Properties, new: Properties, also: frozenset[str] = frozenset()) -> Difference:
    """Compare inputs; `also` names fields that changed although their inputs did not."""
    before, after = (row.comparable({k: v for k, v in side.items() if k != DEFAULTS}) for side in (old, new))
    paths: dict[str, Kind] = dict(_compare(before, after, ""))
    paths.update({name: "UPDATE" for name in also if name not in {top(path) for path in paths}})
    replaces = frozenset(path for path in paths if path in row.replaces or _replaces(row, top(path)))
    first = not old.get(DEFAULTS) if row.delete_first else _name_taken(row, old, new)
    return Difference(paths=paths, replaces=replaces, delete_first=bool(replaces) and first)


def top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]


def _replaces(row: Row, name: str) -> bool:
    if name in row.replaces:
        return True
    return "*" in row.replaces and name not in _TAGS


def _name_taken(row: Row, old: Properties, new: Properties) -> bool:
    """The new one would get the old one's name, and two of a name cannot be there at once; or the provider takes it for granted."""
    if row.name is None:
        return False
    name = row.name.field
    return not is_generated(new, name) and new.get(name) is not None and (row.name.frees or new.get(name) == old.get(name))


def _compare(old: Any, new: Any, path: str) -> Iterator[tuple[str, Kind]]:
    if is_asset(old) and is_asset(new):
        # The hash decides: another checkout has another path.
        if (old[SIGNATURE], old.get("hash")) != (new[SIGNATURE], new.get("hash")):
            yield path, "UPDATE"
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _compare(old.get(key, _ABSENT), new.get(key, _ABSENT), _join(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            one, other = (side[index] if index < len(side) else _ABSENT for side in (old, new))
            yield from _compare(one, other, f"{path}[{index}]")
    elif old is _ABSENT or new is _ABSENT:
        yield path, "ADD" if old is _ABSENT else "DELETE"
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, "UPDATE"


def _join(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}" if key.replace("_", "").isalnum() else f'{path}["{key}"]'

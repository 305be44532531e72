"""Matching a request to a route: literal parts before `{name}` before `{name+}`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

T = TypeVar("T")


@lru_cache(maxsize=512)
def _parts(template: str) -> tuple[str, ...]:
    return tuple(part for part in template.split("/") if part)


def match_path(template: str, path: str) -> dict[str, str] | None:
    """The path parameters where `path` (as sent, still quoted) fits the template, else None."""
    wanted, found = _parts(template), [part for part in path.split("/") if part]
    parameters: dict[str, str] = {}
    for index, part in enumerate(wanted):
        if part.startswith("{") and part.endswith("+}"):
            if len(found) <= index:
                return None
            parameters[part[1:-2]] = unquote("/".join(found[index:]))
            return parameters
        if index >= len(found):
            return None
        if part.startswith("{") and part.endswith("}"):
            parameters[part[1:-1]] = unquote(found[index])
        elif part != unquote(found[index]):
            return None
    return parameters if len(found) == len(wanted) else None


def _rank(template: str, any_method: bool) -> tuple[tuple[int, ...], bool]:
    # Smaller is better: literals (0), parameters (1), the greedy rest (2), then a method of its own before ANY.
    kinds = [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in _parts(template)]
    return tuple(kinds), any_method


def best_route(routes: Iterable[tuple[str, str, T]], method: str, path: str) -> tuple[T, dict[str, str]] | None:
    """The route of (method, path template, route) that serves a request, with its path parameters."""
    candidates = [
        (_rank(template, route_method == "ANY"), route, parameters)
        for route_method, template, route in routes
        if route_method in (method, "ANY") and (parameters := match_path(template, path)) is not None
    ]
    if not candidates:
        return None
    _, route, parameters = min(candidates, key=lambda candidate: candidate[0])
    return route, parameters

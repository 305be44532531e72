"""Which API and operation of a service a request is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from pilotlight.twin.world import Resource

PARAMETER = re.compile(r"\{(\*?[^{}]+)\}")


@dataclass(frozen=True, kw_only=True)
class Route:
    """`path` is what follows the API's own path, still quoted; `parameters` are the values of the template's, unquoted."""

    api: Resource
    operation: Resource
    path: str
    parameters: dict[str, str]


def find(apis: Iterable[Resource], operations: Iterable[Resource], method: str, path: str) -> Route | None:
    """The operation of a method and path, of the API whose own path is the longest that fits; None where there is none."""
    own = [(api, rest) for api in apis if (rest := _below(api["path"], path)) is not None]
    if not own:
        return None
    api, rest = max(own, key=lambda pair: len(pair[0]["path"].strip("/")))
    found = []
    for operation in operations:
        parameters = _match(str(operation["urlTemplate"]), rest) if operation.id.startswith(f"{api.id}/operations/") else None
        if parameters is not None and str(operation["method"]).upper() == method:
            # What is written out goes before what a parameter takes.
            found.append(([PARAMETER.search(part) is not None for part in _segments(str(operation["urlTemplate"]))], operation, parameters))
    if not found:
        return None
    _, operation, parameters = min(found, key=lambda one: one[0])
    return Route(api=api, operation=operation, path=rest, parameters=parameters)


def template_parameters(template: str) -> list[str]:
    """The names of a template's parameters, of its query too."""
    return [name.lstrip("*") for name in PARAMETER.findall(template)]


def _below(own: str, path: str) -> str | None:
    prefix = own.strip("/")
    if not prefix:
        return path
    rest = path.removeprefix(f"/{prefix}")
    return (rest or "/") if rest != path and rest[:1] in ("", "/") else None


def _segments(template: str) -> list[str]:
    return template.partition("?")[0].removeprefix("/").split("/")


def _match(template: str, path: str) -> dict[str, str] | None:
    wanted, given = _segments(template), path.removeprefix("/").split("/")
    parameters: dict[str, str] = {}
    for index, part in enumerate(wanted):
        if part == "*" or part.startswith("{*"):
            if part != "*":
                parameters[part[2:-1]] = unquote("/".join(given[index:]))
            return parameters
        if index >= len(given):
            return None
        pattern = "".join(f"(?P<p{at}>.+?)" if at % 2 else re.escape(text) for at, text in enumerate(PARAMETER.split(part)))
        found = re.fullmatch(pattern, given[index])
        if found is None:
            return None
        parameters |= {name: unquote(found[f"p{2 * at + 1}"]) for at, name in enumerate(PARAMETER.findall(part))}
    return parameters if len(given) == len(wanted) else None

"""Which operation a request is for, and what its backend is asked for then."""

from __future__ import annotations

import posixpath
import re

from pilotlight.twin.gcp.gateway_document import Api, Operation, is_tail, variable
from pilotlight.twin.rows import Refusal

Values = tuple[tuple[str, str], ...]


def find(api: Api, method: str, path: str) -> tuple[Operation, Values]:
    """The operation of a method and path, with the values of the path's parameters. Refusal (404, 405) where there is none."""
    segments = tuple(normal(path).strip("/").split("/"))
    other: Operation | None = None
    for operation in api.operations:
        values = _match(operation.template, segments)
        if values is not None and operation.method == method:
            return operation, values
        other = other or (operation if values is not None else None)
    if other is None:
        raise Refusal("NOT_FOUND", "The current request is not defined by this API.", 404)
    template = "/" + "/".join(other.template)
    text = f'The current request is matched to the defined url template "{template}" but its http method is not allowed'
    raise Refusal("METHOD_NOT_ALLOWED", text, 405)


def normal(path: str) -> str:
    """The path as the gateway reads it: one slash for several, without `.` and `..` (RFC 3986, section 6)."""
    merged = re.sub("/+", "/", path) or "/"
    cleaned = posixpath.normpath(merged)
    return cleaned + "/" if merged.endswith("/") and cleaned != "/" else cleaned


def target(operation: Operation, path: str, query: str, values: Values) -> str:
    """The URL at the backend. An address that stays as it is gets the path's parameters in its query."""
    address = operation.backend.address.rstrip("/")
    if operation.backend.append_path:
        return f"{address}{normal(path)}{f'?{query}' if query else ''}"
    parts = [query, *(f"{name}={value}" for name, value in values)]
    whole = "&".join(part for part in parts if part)
    return f"{address}?{whole}" if whole else address


def _match(template: tuple[str, ...], segments: tuple[str, ...]) -> Values | None:
    tail = bool(template) and is_tail(template[-1])
    if len(segments) < len(template) - tail or (len(segments) > len(template) and not tail):
        return None
    values = []
    for place, wanted in enumerate(template):
        name = variable(wanted)
        given = "/".join(segments[place:]) if is_tail(wanted) else segments[place]
        if name is None and given != wanted:
            return None
        if name is not None:
            if not given and not is_tail(wanted):
                return None
            values.append((name, given))
    return tuple(values)

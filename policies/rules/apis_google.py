"""OpenAPI documents that gateways of Google Cloud are made from: who may call, for how long the gateway waits, what it counts.

API Gateway takes OpenAPI 2 ("OpenAPI extensions" of Cloud Endpoints: x-google-backend, x-google-quota, x-google-management) and 3 ("OpenAPI
3.x extensions in API Gateway": x-google-api-management, x-google-auth).
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .apis import operations, read, requirements, schemes, wants
from .documents import as_list
from .reading import View

_ISSUERS, _UNMATCHED = ("x-google-issuer", "x-google-auth"), "x-google-allow"
_BACKEND, _QUOTA = "x-google-backend", "x-google-quota"
_MANAGEMENT = ("x-google-management", "x-google-api-management")
# How long a gateway waits where a backend says nothing.
_DEADLINE_S = 15.0
_READS = ("GET ", "HEAD ")


class Wait(NamedTuple):
    """A route, the host that it leads to, and for how many seconds it is waited for: None for what is no number."""

    route: str
    host: str | None
    seconds: float | None


def document_of(place: View, path: str = "document.contents") -> Mapping[str, Any]:
    """One of a gateway's `openapiDocuments`; of its `managedServiceConfigs`, whose `path` is "contents". Raises Unread; ValueError for
    what is not base64, and for what is neither JSON nor YAML of an API."""
    return read(base64.b64decode(str(place.at(path)), validate=True).decode())


def open_routes(document: Mapping[str, Any]) -> Iterator[str]:
    """Each route that asks neither for a key nor for a token; what no route is for too, where it is let through."""
    known = {name for name, scheme in schemes(document) if scheme.get("type") == "apiKey" or any(each in scheme for each in _ISSUERS)}
    yield from (route for route, operation in operations(document) if not wants(operation, document, known))
    if document.get(_UNMATCHED) == "all":
        yield "every other route"


def lets_strangers_in(document: Mapping[str, Any]) -> Iterator[str]:
    """Each selector of a service that is configured without OpenAPI (gRPC) whose calls need neither a key nor a token (google.api.Usage,
    google.api.Authentication)."""
    proven = [
        str(each.get("selector"))
        for each in _rules(document, "authentication")
        if each.get("requirements") and not (each.get("allow_without_credential") or each.get("allowWithoutCredential"))
    ]
    for each in _rules(document, "usage"):
        opened = str(each.get("selector"))
        if (each.get("allow_unregistered_calls") or each.get("allowUnregisteredCalls")) and not any(
            opened == held or (held.endswith("*") and opened.startswith(held[:-1])) for held in proven
        ):
            yield opened


def _rules(document: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    return as_list((document.get(part) or {}).get("rules"))


def waits(document: Mapping[str, Any]) -> Iterator[Wait]:
    """For how long each route with a backend is waited for."""
    named = (document.get(_MANAGEMENT[1]) or {}).get("backends") or {}
    for route, operation in operations(document):
        backend = operation.get(_BACKEND, document.get(_BACKEND))
        backend = named.get(backend) if isinstance(backend, str) else backend
        if isinstance(backend, Mapping):
            came = backend.get("deadline")
            seconds = _DEADLINE_S if came is None else came if isinstance(came, int | float) else None
            yield Wait(route, host_of(backend.get("address")), seconds)


def host_of(address: Any) -> str | None:
    """The host of an address; None for what is none."""
    return urlsplit(address).hostname if isinstance(address, str) else None


def uncounted(document: Mapping[str, Any]) -> Iterator[str]:
    """Each route that takes a key and does more than to read, and that no quota counts; a token's calls a gateway can't count."""
    keys = {name for name, scheme in schemes(document) if scheme.get("type") == "apiKey"}
    limited = any(((document.get(each) or {}).get("quota") or {}).get("limits") for each in _MANAGEMENT)
    for route, operation in operations(document):
        taken = any(keys & set(each) for each in requirements(operation, document))
        if taken and not route.startswith(_READS) and not (limited and operation.get(_QUOTA)):
            yield route

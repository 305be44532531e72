"""OpenAPI documents that gateways of AWS and of Google Cloud are made from: the routes that nobody has to prove himself for."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from .reading import View

_METHODS = ("get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method")
_AUTH = "x-amazon-apigateway-auth"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_ISSUER, _UNMATCHED = "x-google-issuer", "x-google-allow"
_BACKEND, _QUOTA, _MANAGEMENT = "x-google-backend", "x-google-quota", "x-google-management"
# How long a gateway of Google's waits where a backend says nothing (Cloud Endpoints, "OpenAPI extensions": x-google-backend.deadline).
_DEADLINE_S = 15.0


def open_routes(body: Any, *, keys: bool) -> Iterator[str]:
    """Each route of a gateway of AWS's that asks neither for a key, where the gateway has `keys`, nor for a token nor for a signature;
    OPTIONS is what browsers send without any of them.

    A scheme that the document does not define, or that neither is a key nor has an authorizer, asks for nothing (API Gateway, "OpenAPI
    extensions": x-amazon-apigateway-authorizer). Raises ValueError for what is neither JSON nor YAML of an API.
    """
    document = _read(body)
    known = {name for name, scheme in _schemes(document) if _AUTHORIZER in scheme or (keys and scheme.get("type") == "apiKey")}
    for route, operation in _operations(document):
        signed = operation.get(_AUTH, document.get(_AUTH)) or {}
        if not _wants(operation, document, known) and str(signed.get("type", "NONE")).upper() == "NONE":
            yield route


def open_routes_of_google(body: Any) -> Iterator[str]:
    """Each route of a gateway of Google's that asks neither for a key nor for a token; what no route is for too, where it is let through
    (Cloud Endpoints, "OpenAPI extensions": x-google-allow, x-google-issuer). Raises ValueError as above."""
    document = _read(body)
    known = {name for name, scheme in _schemes(document) if _ISSUER in scheme or scheme.get("type") == "apiKey"}
    yield from (route for route, operation in _operations(document) if not _wants(operation, document, known))
    if document.get(_UNMATCHED) == "all":
        yield "every other route"


def google_document(place: View) -> str:
    """One of a gateway's `openapiDocuments` as text. Raises Unread; ValueError for what is not base64."""
    return base64.b64decode(str(place.at("document.contents")), validate=True).decode()


def waits_of_google(body: Any) -> Iterator[tuple[str, float]]:
    """Each route of a gateway of Google's, and for how many seconds it waits; none for a route that has no backend. Raises ValueError as
    above."""
    document = _read(body)
    for route, operation in _operations(document):
        backend = operation.get(_BACKEND, document.get(_BACKEND))
        if backend is not None:
            yield route, float(backend.get("deadline", _DEADLINE_S))


def counted_by_google(body: Any) -> bool:
    """Whether a gateway of Google's that takes keys counts calls by a limit; true where it takes none, since it counts by the key's
    project alone. Raises ValueError as above."""
    document = _read(body)
    if not any(scheme.get("type") == "apiKey" for _, scheme in _schemes(document)):
        return True
    limits = ((document.get(_MANAGEMENT) or {}).get("quota") or {}).get("limits")
    return bool(limits) and any(_QUOTA in operation for _, operation in _operations(document))


def _read(body: Any) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(body) if isinstance(body, str) else body
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, Mapping):
        raise ValueError("no mapping of an API's parts")
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in (document.get("paths") or {}).items():
        for method, operation in methods.items():
            if method.lower() in _METHODS:
                yield f"{method.upper()} {path}", operation or {}


def _schemes(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from (document.get("securityDefinitions") or {}).items()
    yield from ((document.get("components") or {}).get("securitySchemes") or {}).items()


def _wants(operation: Mapping[str, Any], document: Mapping[str, Any], known: set[str]) -> bool:
    """Whether a call must carry something of what is `known`; a requirement among several that asks for nothing makes all of them
    optional."""
    wanted = operation.get("security", document.get("security")) or []
    return bool(wanted) and all(known & set(each) for each in wanted)

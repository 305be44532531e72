"""OpenAPI documents that gateways of AWS and of Google Cloud are made from: the routes that nobody has to prove himself for."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_METHODS = ("get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method")
_AUTH = "x-amazon-apigateway-auth"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_ISSUER, _UNMATCHED = "x-google-issuer", "x-google-allow"


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

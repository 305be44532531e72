"""OpenAPI documents that gateways are made from: the routes of AWS's that nobody has to prove himself for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_METHODS = ("get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method")
_AUTH = "x-amazon-apigateway-auth"
_AUTHORIZER = "x-amazon-apigateway-authorizer"


def open_routes(body: Any, *, keys: bool) -> Iterator[str]:
    """Each route of a gateway of AWS's that asks neither for a key, where the gateway has `keys`, nor for a token nor for a signature;
    OPTIONS is what browsers send without any of them.

    A scheme that the document does not define, or that neither is a key nor has an authorizer, asks for nothing (API Gateway, "OpenAPI
    extensions": x-amazon-apigateway-authorizer). Raises ValueError for what is neither JSON nor YAML of an API.
    """
    document = read(body)
    known = {name for name, scheme in schemes(document) if _AUTHORIZER in scheme or (keys and scheme.get("type") == "apiKey")}
    for route, operation in operations(document):
        signed = operation.get(_AUTH, document.get(_AUTH)) or {}
        if not wants(operation, document, known) and str(signed.get("type", "NONE")).upper() == "NONE":
            yield route


def read(body: Any) -> Mapping[str, Any]:
    """A document that is given as text or as values. Raises ValueError for what is neither JSON nor YAML of an API."""
    document = _parsed(body) if isinstance(body, str) else body
    if not isinstance(document, Mapping):
        raise ValueError("no mapping of an API's parts")
    return document


def _parsed(text: str) -> Any:
    try:
        # YAML takes every JSON but that which is indented by tabs.
        return json.loads(text)
    except ValueError:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"neither JSON nor YAML ({str(error).splitlines()[0]})") from error


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Method and path of each, and what is said of it."""
    for path, methods in (document.get("paths") or {}).items():
        # `paths` may hold extensions as well.
        for method, operation in methods.items() if isinstance(methods, Mapping) else ():
            if str(method).lower() in _METHODS:
                yield f"{method.upper()} {path}", operation or {}


def schemes(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The name of each, and what is said of it."""
    for held in (document.get("securityDefinitions"), (document.get("components") or {}).get("securitySchemes")):
        yield from ((name, scheme or {}) for name, scheme in (held or {}).items())


def requirements(operation: Mapping[str, Any], document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a call must carry: one of these."""
    return operation.get("security", document.get("security")) or []


def wants(operation: Mapping[str, Any], document: Mapping[str, Any], known: set[str]) -> bool:
    """Whether a call must carry something of what is `known`; a requirement among several that asks for nothing makes all of them
    optional."""
    wanted = requirements(operation, document)
    return bool(wanted) and all(known & set(each) for each in wanted)

"""OpenAPI documents that gateways of AWS are made from: the routes that nobody has to prove himself for."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_METHODS = ("get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method")
_AUTH = "x-amazon-apigateway-auth"
_AUTHORIZER = "x-amazon-apigateway-authorizer"


def open_routes(body: Any, *, keys: bool) -> Iterator[str]:
    """Each route that asks neither for a key, where the gateway has `keys`, nor for a token nor for a signature; OPTIONS is what browsers
    send without any of them.
    Raises ValueError for what is neither JSON nor YAML of an API."""
    try:
        document = yaml.safe_load(body) if isinstance(body, str) else body
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, Mapping):
        raise ValueError("no mapping of an API's parts")
    for path, methods in (document.get("paths") or {}).items():
        for method, operation in methods.items():
            if method.lower() in _METHODS and not _asks(operation or {}, document, keys):
                yield f"{method.upper()} {path}"


def _asks(operation: Mapping[str, Any], document: Mapping[str, Any], keys: bool) -> bool:
    """Whether a call must carry something; a requirement among several that asks for nothing makes all of them optional.

    A scheme that the document does not define, or that neither is a key nor has an authorizer, asks for nothing (API Gateway, "OpenAPI
    extensions": x-amazon-apigateway-authorizer).
    """
    schemes = {**(document.get("securityDefinitions") or {}), **((document.get("components") or {}).get("securitySchemes") or {})}
    known = {name for name, scheme in schemes.items() if _AUTHORIZER in scheme or (keys and scheme.get("type") == "apiKey")}
    wanted = operation.get("security", document.get("security")) or []
    signed = operation.get(_AUTH, document.get(_AUTH)) or {}
    return bool(wanted and all(known & set(each) for each in wanted)) or str(signed.get("type", "NONE")).upper() != "NONE"

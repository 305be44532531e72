"""OpenAPI documents that gateways of AWS are made from: the routes that nobody has to prove himself for."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_METHODS = ("get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method")
_AUTH = "x-amazon-apigateway-auth"


def open_routes(body: Any) -> Iterator[str]:
    """Each route that asks neither for a key nor for a token nor for a signature; OPTIONS is what browsers send without any of them.
    Raises ValueError for what is neither JSON nor YAML of an API."""
    try:
        document = yaml.safe_load(body) if isinstance(body, str) else body
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, Mapping):
        raise ValueError("no mapping of an API's parts")
    for path, methods in (document.get("paths") or {}).items():
        for method, operation in methods.items():
            if method.lower() in _METHODS and not _asks(operation or {}, document):
                yield f"{method.upper()} {path}"


def _asks(operation: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether a call must carry something; an empty requirement among several makes all of them optional."""
    wanted = operation.get("security", document.get("security")) or []
    signed = operation.get(_AUTH, document.get(_AUTH)) or {}
    return bool(wanted and all(wanted)) or str(signed.get("type", "NONE")).upper() != "NONE"

"""Request validation of REST APIs: bodies by the method's models (JSON Schema draft 4), required parameters by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft4Validator

from pilotlight.twin.asgi import Request


@lru_cache(maxsize=64)
def _validator(schema: str) -> Draft4Validator:
    return Draft4Validator(json.loads(schema))


def invalid_body(route: Mapping[str, Any], request: Request, body: bytes) -> str | None:
    """Why the body breaks the model of its content type, or None. A type without a model is not validated, as on AWS."""
    if not route["validateBody"]:
        return None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    schema = next((schema for declared, schema in route["models"].items() if declared.lower() == kind), None)
    if schema is None:
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return "Invalid JSON"
    try:
        error = next(_validator(json.dumps(schema, sort_keys=True)).iter_errors(content), None)
    except RecursionError:
        return "The body is nested too deeply"
    return None if error is None else error.message[:500]


def missing_parameters(route: Mapping[str, Any], request: Request, path_parameters: Mapping[str, str]) -> list[str]:
    """The names of required parameters (`method.request.header.X: true`) that the request lacks."""
    if not route["validateParameters"]:
        return []
    query = dict(request.query)
    present = {"header": request.headers, "querystring": query, "path": path_parameters}
    missing = []
    for name, required in route["parameters"].items():
        _, _, place, bare = name.split(".", 3)
        key = bare.lower() if place == "header" else bare
        if required and not present[place].get(key):
            missing.append(bare)
    return missing

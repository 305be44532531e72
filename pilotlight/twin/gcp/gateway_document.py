"""The OpenAPI 2.0 document of a gateway, read: its operations, who may call them, where they lead, what they cost.

Google's documentation: "OpenAPI extensions" (x-google-…), "OpenAPI 2.0 feature limitations"; what they leave open is as ESPv2 does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.limits import API_GATEWAY_DEADLINE_DEFAULT_S, API_GATEWAY_DEADLINE_S
from pilotlight.twin.gcp.gateway_schemes import Place, Provider, security

METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
APPEND, CONSTANT = "APPEND_PATH_TO_ADDRESS", "CONSTANT_ADDRESS"
BACKEND, MANAGEMENT, QUOTA = "x-google-backend", "x-google-management", "x-google-quota"
_UNIT = "1/min/{project}"


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Where an operation leads. `audience` is the ID token's, None where the address tells it; without `authenticated` there is none."""

    address: str
    append_path: bool
    deadline_s: float
    audience: str | None
    authenticated: bool


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. Any of `providers` lets in, where there are some; a key is looked for in `places`."""

    name: str
    method: str
    template: tuple[str, ...]
    backend: Backend
    providers: tuple[Provider, ...]
    places: tuple[Place, ...]
    key_required: bool
    costs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How much of a metric a consumer may use in a minute."""

    name: str
    metric: str
    shown: str
    per_minute: int


@dataclass(frozen=True, kw_only=True)
class Api:
    """A whole document. `tokens` tells whether any operation asks for them: only then are headers about callers taken from requests."""

    operations: tuple[Operation, ...]
    limits: tuple[Limit, ...]
    tokens: bool


def read(document: Mapping[str, Any]) -> Api:
    """The API of a document. ValueError, one line a problem, for what API Gateway refuses or the twin does not serve."""
    found: list[str] = []
    operations = []
    limits = _told(found, "", lambda: _limits(document)) or []
    known = set(_told([], "", lambda: _metrics(document)) or ())
    for path, method, declared in declared_operations(document):
        operation = _told(found, f"{method} {path} ", lambda p=path, m=method, d=declared: _operation(document, p, m, d))
        if operation is not None:
            operations.append(operation)
            found += [
                f"{method} {path} costs {name!r}, which is no metric of {MANAGEMENT}." for name in operation.costs if name not in known
            ]
    if "openapi" in document:
        found = ["is OpenAPI 3: the local twin serves gateways of OpenAPI 2.0 (`swagger: '2.0'`)."]
    if found:
        raise ValueError("\n".join(found))
    return Api(
        # What is more definite is looked at first.
        operations=tuple(sorted(operations, key=lambda one: [_vagueness(segment) for segment in one.template])),
        limits=tuple(limits),
        tokens=any(operation.providers for operation in operations),
    )


def problems(document: Mapping[str, Any]) -> list[str]:
    """What `read` says against a document."""
    try:
        read(document)
    except ValueError as error:
        return str(error).splitlines()
    return []


def declared_operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(path, method, what is declared) of each operation."""
    for path, methods in (document.get("paths") or {}).items():
        for method, declared in methods.items() if isinstance(methods, Mapping) else ():
            if method in METHODS and isinstance(declared, Mapping):
                yield str(path), str(method), declared


def variable(segment: str) -> str | None:
    """The name of a template's segment that stands for any, None for one that stands for itself."""
    return segment[1:-1].partition("=")[0] if segment.startswith("{") and segment.endswith("}") else None


def is_tail(segment: str) -> bool:
    """Whether a template's segment stands for any number of them, the last ones."""
    return segment.endswith("=**}")


def _vagueness(segment: str) -> int:
    return 2 if is_tail(segment) else 1 if variable(segment) is not None else 0


def _told(found: list[str], where: str, reading: Any) -> Any:
    try:
        return reading()
    except ValueError as error:
        found.append(f"{where}{error}")
    except (AttributeError, KeyError, TypeError) as error:
        found.append(f"{where}is not of the form that OpenAPI and Google's extensions have: {error}.")
    return None


def _operation(document: Mapping[str, Any], path: str, method: str, declared: Mapping[str, Any]) -> Operation:
    providers, places, required = security(document, declared.get("security", document.get("security") or []))
    costs = ((declared.get(QUOTA) or {}).get("metricCosts") or {}).items()
    return Operation(
        name=str(declared.get("operationId", "")),
        method=method.upper(),
        template=_template(f"{str(document.get('basePath') or '').rstrip('/')}{path}"),
        backend=_backend(document, declared),
        providers=providers,
        places=places,
        key_required=required,
        costs={str(metric): int(cost) for metric, cost in costs},
    )


def _template(path: str) -> tuple[str, ...]:
    segments = tuple(path.strip("/").split("/"))
    for place, segment in enumerate(segments):
        if ("{" in segment or "}" in segment) and variable(segment) is None:
            raise ValueError(f"has {segment!r} in its path: a parameter is a whole segment, as {{id}}.")
        if is_tail(segment) and place != len(segments) - 1:
            raise ValueError(f"has {segment!r} within its path: ** is the last segment only.")
    return segments


def _backend(document: Mapping[str, Any], declared: Mapping[str, Any]) -> Backend:
    own = declared.get(BACKEND)
    backend = own or document.get(BACKEND) or {}
    address = str(backend.get("address") or "")
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"has {BACKEND} with address {address!r}: use an https:// address.")
    translation = backend.get("path_translation") or (CONSTANT if own else APPEND)
    if translation not in (APPEND, CONSTANT):
        raise ValueError(f"has {BACKEND} with path_translation {translation!r}: use {APPEND} or {CONSTANT}.")
    deadline = backend.get("deadline") or 0
    if not isinstance(deadline, int | float):
        raise ValueError(f"has {BACKEND} with deadline {deadline!r}: use a number of seconds.")
    return Backend(
        address=address,
        append_path=translation == APPEND,
        # What is no time at all is the default; what is longer than the gateway waits ends when it does.
        deadline_s=min(float(deadline), float(API_GATEWAY_DEADLINE_S.high)) if deadline > 0 else float(API_GATEWAY_DEADLINE_DEFAULT_S),
        audience=backend.get("jwt_audience"),
        authenticated=not backend.get("disable_auth"),
    )


def _metrics(document: Mapping[str, Any]) -> dict[str, str]:
    """The names of the metrics, with those that people see."""
    metrics = (document.get(MANAGEMENT) or {}).get("metrics") or ()
    return {str(one["name"]): str(one.get("displayName") or one["name"]) for one in metrics}


def _limits(document: Mapping[str, Any]) -> list[Limit]:
    shown = _metrics(document)
    limits = []
    for one in ((document.get(MANAGEMENT) or {}).get("quota") or {}).get("limits") or ():
        name, metric = one.get("name"), one.get("metric")
        if metric not in shown:
            raise ValueError(f"limits {metric!r} in {name!r}, which is no metric of {MANAGEMENT}.")
        if one.get("unit") != _UNIT:
            raise ValueError(f"limits {metric!r} in the unit {one.get('unit')!r}: use {_UNIT!r}, the only one.")
        if "STANDARD" not in (one.get("values") or {}):
            raise ValueError(f"limits {metric!r} in {name!r} without a value: give `values: {{STANDARD: number}}`.")
        limits.append(Limit(name=str(name), metric=metric, shown=shown[metric], per_minute=int(one["values"]["STANDARD"])))
    return limits

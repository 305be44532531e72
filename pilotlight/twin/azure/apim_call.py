"""One request on its way through API Management: what policies read and change. The names are those of their `context`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

# Headers whose values may hold commas: several are sent apart (the page of set-header, usage notes).
_APART = frozenset(
    {
        *("cookie", "date", "expires", "if-modified-since", "if-unmodified-since", "last-modified", "proxy-authenticate", "retry-after"),
        *("set-cookie", "user-agent", "warning", "www-authenticate"),
    }
)


class Headers:
    """Headers in their order, some of them repeated. Names are the same in any case."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = list(pairs)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The values with commas between, as `GetValueOrDefault` tells them."""
        values = [value for key, value in self.pairs if key.lower() == name.lower()]
        return ",".join(values) if values else default

    def delete(self, name: str) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0].lower() != name.lower()]

    def append(self, name: str, *values: str) -> None:
        """Add values, with commas after those that are there already."""
        if name.lower() not in _APART and values:
            held = self.get(name)
            values = (",".join(values if held is None else (held, *values)),)
            self.delete(name)
        self.pairs += [(name, value) for value in values]

    def replace(self, name: str, *values: str) -> None:
        self.delete(name)
        self.append(name, *values)


@dataclass(kw_only=True)
class Url:
    """`path` begins with a slash and is still quoted."""

    host: str
    path: str
    raw_query: str = ""
    scheme: str = "https"
    port: int = 443

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def query_string(self) -> str:
        return f"?{self.raw_query}" if self.raw_query else ""


@dataclass(kw_only=True)
class ApiRequest:
    method: str
    ip_address: str
    headers: Headers
    url: Url
    original_url: Url
    matched_parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""


@dataclass(kw_only=True)
class ApiResponse:
    """`body` comes once; `close` gives its connection back."""

    status_code: int
    headers: Headers = field(default_factory=Headers)
    body: bytes | AsyncIterator[bytes] = b""
    close: Callable[[], Any] | None = None
    reason: str | None = None

    @property
    def status_reason(self) -> str:
        if self.reason is None and self.status_code in {status.value for status in HTTPStatus}:
            return HTTPStatus(self.status_code).phrase
        return self.reason or ""


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A product, an API, an operation."""

    id: str
    name: str
    path: str = ""
    method: str = ""
    url_template: str = ""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """`begins` is when its quotas begin, in seconds since the epoch; `key` is the one that the caller has sent."""

    id: str
    name: str
    key: str
    primary_key: str
    secondary_key: str
    begins: float


@dataclass(frozen=True, kw_only=True)
class Deployment:
    service_name: str
    region: str
    gateway_id: str = "managed"


@dataclass(kw_only=True)
class LastError:
    """Reasons and messages of API Management's page "error handling"."""

    source: str
    reason: str
    message: str
    section: str = ""
    scope: str = ""
    path: str = ""
    policy_id: str = ""


@dataclass(kw_only=True)
class Call:
    """`base_url` is the backend's; `path` below it, still quoted. `extra` are headers that the answer gets whatever becomes of it."""

    request_id: str
    request: ApiRequest
    deployment: Deployment
    api: Entity | None = None
    operation: Entity | None = None
    product: Entity | None = None
    subscription: Subscription | None = None
    base_url: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    # By the machine's clock, as functions have it.
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    response: ApiResponse | None = None
    error: LastError | None = None
    extra: list[tuple[str, str]] = field(default_factory=list)

    @property
    def last_error(self) -> LastError | None:
        return self.error


class PolicyFailure(Exception):
    """A policy, or a step before it, that ends a request with an error: what the caller is told, unless `on-error` says otherwise."""

    def __init__(self, status: int, reason: str, message: str, headers: Iterable[tuple[str, str]] = (), *, told: str | None = None) -> None:
        """`told` is the message for the caller where it is another than `context.LastError` has."""
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.headers = list(headers)
        self.told = message if told is None else told


class Finished(Exception):
    """The answer is what the call's response says by now: nothing more is to be done."""

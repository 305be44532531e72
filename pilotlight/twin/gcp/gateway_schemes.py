"""Security schemes of a gateway's document: issuers of tokens, and where API keys lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An issuer of tokens. Without `audiences` it is the API's own service. `headers` are (name, prefix of the value)."""

    issuer: str
    jwks_uri: str | None
    audiences: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an API key lies: `kind` is `header` or `query`."""

    kind: str
    name: str


def security(document: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> tuple[tuple[Provider, ...], tuple[Place, ...], bool]:
    """Issuers of tokens, places of keys, and whether a key must be given.

    ValueError for combinations that API Gateway does not take (documentation, "OpenAPI 2.0 feature limitations").
    """
    if not isinstance(wanted, list) or not all(isinstance(alternative, Mapping) for alternative in wanted):
        raise ValueError(f"asks for security {wanted!r}: use a list of objects, as [{{key: []}}].")
    definitions = document.get("securityDefinitions") or {}
    providers: list[Provider] = []
    places: list[Place] = []
    for alternative in wanted:
        kinds = []
        for name in alternative:
            scheme = definitions.get(name)
            if not isinstance(scheme, Mapping):
                raise ValueError(f"asks for the security scheme {name!r}, which securityDefinitions has not.")
            kinds.append(scheme.get("type"))
            if scheme.get("type") == "apiKey":
                places.append(_place(name, scheme))
            else:
                providers.append(_provider(name, scheme))
        if len(kinds) - kinds.count("apiKey") > 1:
            raise ValueError("asks for tokens of two issuers at once: API Gateway takes them as alternatives only.")
    empty = any(not alternative for alternative in wanted)
    if places and len([alternative for alternative in wanted if alternative]) > 1:
        raise ValueError("has an API key among alternatives: API Gateway takes a key with a token, or without, but no `or` with one.")
    if providers and empty:
        raise ValueError("makes a token optional with an empty alternative: API Gateway has that for keys only.")
    return tuple(providers), tuple(places), bool(places) and not empty


def _place(name: str, scheme: Mapping[str, Any]) -> Place:
    if scheme.get("in") not in ("header", "query") or not scheme.get("name"):
        raise ValueError(f"asks for the key {name!r}: give it `in` (header or query) and `name`.")
    return Place(kind=scheme["in"], name=str(scheme["name"]).lower() if scheme["in"] == "header" else str(scheme["name"]))


def _provider(name: str, scheme: Mapping[str, Any]) -> Provider:
    if not scheme.get("x-google-issuer"):
        raise ValueError(f"asks for the scheme {name!r} without x-google-issuer: API Gateway knows API keys and issuers of tokens.")
    audiences = str(scheme.get("x-google-audiences") or "").split(",")
    places = scheme.get("x-google-jwt-locations") or [
        {"header": "Authorization", "value_prefix": "Bearer "},
        {"header": "X-Goog-Iap-Jwt-Assertion"},
        {"query": "access_token"},
    ]
    return Provider(
        issuer=str(scheme["x-google-issuer"]),
        jwks_uri=scheme.get("x-google-jwks_uri"),
        audiences=tuple(one.strip() for one in audiences if one.strip()),
        headers=tuple((str(one["header"]).lower(), str(one.get("value_prefix") or "")) for one in places if "header" in one),
        parameters=tuple(str(one["query"]) for one in places if "query" in one),
    )

"""What policy expressions may read: types with their members and methods, a closed part of API Management's own (its page "policy
expressions", context variable)."""

from __future__ import annotations

import json
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Member:
    """`type` of what it gives; `arguments` are the types of a method's arguments, of which the last `optional` may be left out."""

    type: str
    get: Callable[..., Any]
    arguments: tuple[str, ...] = ()
    optional: int = 0


@dataclass(frozen=True)
class Jwt:
    """A token's claims; whether it is good is another's to say."""

    claims: Mapping[str, Any]
    header: Mapping[str, Any]


def jwt_of(text: str) -> Jwt | None:
    """The token in a text, with or without its scheme; None where there is none."""
    parts = text.rpartition(" ")[2].split(".")
    try:
        header, claims = (json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    if len(parts) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return Jwt(claims=claims, header=header)


def values_of(claim: Any) -> list[str]:
    """The values of a claim as .NET tells them."""
    values = claim if isinstance(claim, list) else [] if claim is None else [claim]
    return [value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) for value in values]


def text_of(value: Any) -> str:
    """What an expression's value is where a text is asked for."""
    if value is None:
        return ""
    return str(value)


def round_trip(moment: datetime, form: str) -> str:
    """A moment as .NET's format `o` writes one of UTC. ValueError for another format."""
    if form != "o":
        raise ValueError(f"the local twin writes a moment in the format o, not {form}")
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def _attribute(type_: str, name: str) -> Member:
    return Member(type_, lambda owner: getattr(owner, name))


def _texts(*names: str) -> dict[str, Member]:
    """Members that are texts, by their names in C#."""
    return {name: _attribute("string", _snake(name)) for name in names}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() and index else letter.lower() for index, letter in enumerate(name))


_NOT_FOUND = "The given key was not present in the dictionary."


def _item(owner: Mapping[str, Any], key: str) -> Any:
    if key not in owner:
        raise LookupError(_NOT_FOUND)
    return owner[key]


_LOOKUPS = {
    "GetValueOrDefault": Member("string", lambda owner, key, default=None: owner.get(key, default), ("string", "string"), 1),
    "ContainsKey": Member("bool", lambda owner, key: owner.get(key) is not None, ("string",)),
}
_TO_STRING = {"ToString": Member("string", text_of)}
# Of each type the members that are read, then those that are called, then what an index gives.
MEMBERS: Mapping[str, Mapping[str, Member]] = {
    "context": {
        "RequestId": _attribute("guid", "request_id"),
        "Timestamp": _attribute("datetime", "timestamp"),
        "Request": _attribute("request", "request"),
        "Response": _attribute("response", "response"),
        "Variables": _attribute("variables", "variables"),
        "Subscription": _attribute("subscription", "subscription"),
        "Product": _attribute("entity", "product"),
        "Api": _attribute("api", "api"),
        "Operation": _attribute("operation", "operation"),
        "Deployment": _attribute("deployment", "deployment"),
        "LastError": _attribute("error", "error"),
    },
    "request": {
        **_texts("Method", "IpAddress"),
        "Headers": _attribute("headers", "headers"),
        "Url": _attribute("url", "url"),
        "OriginalUrl": _attribute("url", "original_url"),
        "MatchedParameters": _attribute("parameters", "matched_parameters"),
    },
    "response": {
        "StatusCode": _attribute("int", "status_code"),
        "StatusReason": _attribute("string", "status_reason"),
        "Headers": _attribute("headers", "headers"),
    },
    "url": {**_texts("Scheme", "Host", "Path", "QueryString"), "Port": _attribute("int", "port"), "Query": _attribute("lookup", "query")},
    "subscription": _texts("Id", "Name", "Key", "PrimaryKey", "SecondaryKey"),
    "entity": _texts("Id", "Name"),
    "api": _texts("Id", "Name", "Path"),
    "operation": _texts("Id", "Name", "Method", "UrlTemplate"),
    "deployment": _texts("ServiceName", "Region", "GatewayId"),
    "error": _texts("Source", "Reason", "Message", "Scope", "Section", "Path", "PolicyId"),
    "jwt": {
        "Subject": Member("string", lambda token: _claim(token, "sub")),
        "Issuer": Member("string", lambda token: _claim(token, "iss")),
        "Id": Member("string", lambda token: _claim(token, "jti")),
        "Algorithm": Member("string", lambda token: token.header.get("alg")),
        "Audiences": Member("strings", lambda token: values_of(token.claims.get("aud"))),
        "Claims": Member("claims", lambda token: token),
    },
    "string": {"Length": Member("int", len)},
    "strings": {"Length": Member("int", len)},
}
METHODS: Mapping[str, Mapping[str, Member]] = {
    "headers": _LOOKUPS,
    "lookup": _LOOKUPS,
    "parameters": _LOOKUPS,
    "variables": {
        "GetValueOrDefault": Member("string", lambda owner, key, default=None: owner.get(key, default), ("string", "string"), 1),
        "ContainsKey": Member("bool", lambda owner, key: key in owner, ("string",)),
    },
    "claims": {
        "GetValueOrDefault": Member(
            "string", lambda token, key, default=None: _claim(token, key) if key in token.claims else default, ("string", "string"), 1
        ),
        "ContainsKey": Member("bool", lambda token, key: key in token.claims, ("string",)),
    },
    "strings": {
        "Contains": Member("bool", lambda owner, value: value in owner, ("string",)),
        "FirstOrDefault": Member("string", lambda owner: owner[0] if owner else None),
    },
    "string": {
        **_TO_STRING,
        "AsJwt": Member("jwt", jwt_of),
        "ToLower": Member("string", str.lower),
        "ToLowerInvariant": Member("string", str.lower),
        "ToUpper": Member("string", str.upper),
        "Trim": Member("string", str.strip),
        "Contains": Member("bool", lambda owner, part: part in owner, ("string",)),
        "StartsWith": Member("bool", str.startswith, ("string",)),
        "EndsWith": Member("bool", str.endswith, ("string",)),
        "Replace": Member("string", str.replace, ("string", "string")),
    },
    "datetime": {"ToString": Member("string", lambda moment, form: round_trip(moment, form), ("string",))},
    "guid": _TO_STRING,
    "int": _TO_STRING,
    "bool": _TO_STRING,
}
INDEXES: Mapping[str, Member] = {
    "parameters": Member("string", _item, ("string",)),
    "variables": Member("object", _item, ("string",)),
    "claims": Member("strings", lambda token, key: values_of(_item(token.claims, key)), ("string",)),
    "strings": Member("string", lambda owner, index: owner[index], ("int",)),
}
# Called on a type instead of on a value.
STATIC: Mapping[str, Member] = {
    "string.IsNullOrEmpty": Member("bool", lambda text: not text, ("string",)),
    "string.IsNullOrWhiteSpace": Member("bool", lambda text: not (text or "").strip(), ("string",)),
    "Guid.NewGuid": Member("guid", lambda: str(uuid.uuid4())),
}


def _claim(token: Jwt, name: str) -> str | None:
    values = values_of(token.claims.get(name))
    return ",".join(values) if values else None

"""Small parts of the gateway rows: ids, names, what an update keeps."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# API Gateway API reference, CreateApiKey: a value of 20 to 128 characters; the service makes 40.
KEY_LENGTH = 40
REGION = "us-east-1"


def short_id(length: int) -> str:
    """An id as API Gateway makes them: lower-case letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def key_value() -> str:
    return "".join(secrets.choice(_KEY_ALPHABET) for _ in range(KEY_LENGTH))


def region_of(inputs: Properties) -> str:
    return str(inputs.get("region") or REGION)


def gateway_arn(inputs: Properties, path: str) -> str:
    """ARN of the control plane, as API Gateway writes it: with an empty account."""
    return f"arn:aws:apigateway:{region_of(inputs)}::{path}"


def last_part(properties: Properties) -> str:
    """The id at the end of `arn`: computed once, at creation."""
    return str(properties["arn"]).rpartition("/")[2]


def execution_arn(twin: Twin, inputs: Properties, api_id: str, stage: str | None = None) -> str:
    arn = f"arn:aws:execute-api:{region_of(inputs)}:{twin.account}:{api_id}"
    return f"{arn}/{stage}" if stage else arn


def defaults(inputs: Properties, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the service fills in where the program says nothing."""
    return {name: value for name, value in values.items() if inputs.get(name) is None}


def keep(*names: str) -> Callable[[Twin, Resource, Resource], dict[str, Any]]:
    """An update hook for outputs that are made at creation and never change."""
    return lambda twin, old, new: {name: old.outputs[name] for name in names if name in old.outputs}


def needs(twin: Twin, token: str, id: Any, message: str, **outputs: Any) -> Resource:
    """The resource that an input names; Refusal (NotFoundException) where the account has none, or it is another API's."""
    found = twin.world.get(token, str(id))
    if found is None or any(found.get(name) != value for name, value in outputs.items()):
        raise Refusal("NotFoundException", message, 404)
    return found


def bad_request(message: str) -> Refusal:
    return Refusal("BadRequestException", message)

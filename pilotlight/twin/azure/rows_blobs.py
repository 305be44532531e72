"""Blobs that a program puts into a container. The provider stores them with the account's key, whatever else it is signed in with."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.rows_storage import account_of
from pilotlight.twin.azure.types import BLOB, CONTAINER
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Blob service REST documentation, "Naming and referencing containers, blobs, and metadata" (read 2026-11).
_NAME_CHARACTERS = 1024
_NAME_PARTS = 254


def _limits(inputs: Properties) -> list[str]:
    found, name = [], inputs.get("blobName")
    if isinstance(name, str) and not 1 <= len(name) <= _NAME_CHARACTERS:
        found.append(f"blobName: has {len(name)} characters: use 1 to {_NAME_CHARACTERS}.")
    elif isinstance(name, str) and (name.count("/") >= _NAME_PARTS or name.endswith((".", "/"))):
        found.append(f"blobName: {name!r} is not allowed: use at most {_NAME_PARTS} parts, and no '.' or '/' at the end.")
    if inputs.get("type") == "Append":
        found.append("type: the local twin puts block blobs only: use Block, or leave it out.")
    return found


def require_keys(account: Resource) -> None:
    """Refusal where the provider could not do anything with a blob (pulumi-azure-native issue 2015, its custom_storage_azidentity.go)."""
    if account.get("allowSharedKeyAccess") is False:
        raise Refusal(
            "KeyBasedAuthenticationNotPermitted",
            "Key based authentication is not permitted on this storage account, and azure-native stores blobs with the account's key only: "
            f"set allowSharedKeyAccess on {account['name']}, or upload in another way.",
            403,
        )


def _check(twin: Twin, inputs: Properties) -> None:
    require_keys(account_of(twin, inputs))
    if arm.find(twin.world, arm.id_of(CONTAINER)(inputs)) is None:
        raise Refusal("ContainerNotFound", f"The specified container does not exist: {inputs['containerName']}.", 404)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    place = (inputs["accountName"], inputs["containerName"], quote(inputs["blobName"]))
    return {
        "type": inputs.get("type") or "Block",
        "url": twin.azure.url(twin, "blob", *place),
        "metadata": inputs.get("metadata") or {},
        # An upload without one has it.
        "contentType": inputs.get("contentType") or "application/octet-stream",
    }


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=BLOB,
            id=arm.id_of(BLOB),
            # The provider's own schema of the type, ForceNew.
            replaces=frozenset({"contentMd5", "source", "type"}),
            limits=_limits,
            check=_check,
            computed=_computed,
        )
    ),
)

"""Workbooks of Azure Monitor: pages of charts, judged by what their charts ask for."""

from __future__ import annotations

import uuid
from typing import Any

from pilotlight.twin.azure import arm, times, watched, workbook_items
from pilotlight.twin.azure.account import CLIENT
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import WORKBOOK
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin

# Workbooks REST API, "Workbooks - Create Or Update" (2023-06-01).
_KIND = "shared"


def _limits(inputs: Properties) -> list[str]:
    found = []
    if inputs.get("kind") not in (None, _KIND):
        found.append(f"kind: {inputs['kind']!r} is not allowed: use {_KIND!r}.")
    source = inputs.get("sourceId")
    if isinstance(source, str) and source != source.lower():
        # azurerm's documentation of application_insights_workbook, source_id.
        found.append(f"sourceId: {source!r} has capital letters: write it in small ones.")
    if inputs.get("storageUri"):
        found.append("storageUri: is not served by the local twin: leave it out, Azure keeps the content.")
    text, version = inputs.get("serializedData"), inputs.get("version")
    if isinstance(version, str) and version != workbook_items.VERSION:
        found.append(f"version: {version!r} is not that of the content: use {workbook_items.VERSION!r}.")
    return [*found, *(workbook_items.problems(text) if isinstance(text, str) else ())]


def _check(twin: Twin, inputs: Properties) -> None:
    """What its items are about must be there."""
    named = list(workbook_items.resources(inputs["serializedData"]))
    if (source := inputs.get("sourceId")) and "/" in source:
        named.append((source, arm.type_of(source)))
    for id_, kind in named:
        found = watched.kind_of(twin.world, id_)
        if found is None:
            raise Refusal("ResourceNotFound", f"serializedData: {id_!r} was not found: use the output `id` of a resource.", 404)
        if found.lower() != kind.lower():
            raise Refusal("BadRequest", f"serializedData: {id_!r} is a {found}, not a {kind}.")


def _changed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"timeModified": times.iso(twin.clock.now()), "revision": uuid.uuid4().hex, "userId": CLIENT, "kind": inputs.get("kind", _KIND)}


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=WORKBOOK,
            id=arm.id_of(WORKBOOK),
            limits=_limits,
            check=_check,
            computed=_changed,
            volatile=frozenset({"timeModified", "revision"}),
        ),
        absent=frozenset({"etag"}),
    ),
)

"""Resource groups."""

from __future__ import annotations

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import GROUP
from pilotlight.twin.rows import Row

ROWS: tuple[Row, ...] = (
    azure(Row(token=GROUP, id=arm.id_of(GROUP), computed=lambda twin, inputs: {"properties": {"provisioningState": "Succeeded"}})),
)

"""Lines that code of the functions writes, as a workspace holds them, and what queries find among them."""

from typing import Any

import pytest

from pilotlight.twin.azure import kusto
from pilotlight.twin.azure.log_analytics import TABLES
from pilotlight.twin.azure.log_lines import Source
from pilotlight.twin.azure.types import APP
from pilotlight.twin.world import Resource

NOON = 1_800_000_000.0


class Lines:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self.records = capsys, list[dict[str, Any]]()

    def by(self, app: str, at: float = NOON) -> None:
        """All that was written since, as lines of that app."""
        id_ = f"/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/{app}"
        owner = Resource(token=APP, id=id_, urn="", outputs={"location": "westeurope"})
        source = Source(workspace="w", owner=owner, environment="/e/env", container="main", image="i", replica="r")
        self.records += [source.entry(line, at) for line in self._capsys.readouterr().out.splitlines()]

    def asked(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in kusto.read(query, TABLES, NOON).run(self.records)]

"""Lines of Container Apps on their way to a workspace, as the diagnostic setting of their environment says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import DIAGNOSTIC_SETTING, WORKSPACE
from pilotlight.twin.world import Resource, World

CONSOLE = "ContainerAppConsoleLogs"
_MONITOR = "azure-monitor"
_ALL = "alllogs"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The container that writes: of a replica of an app's revision, or of a job's execution. `workspace` is the id of where to."""

    workspace: str
    owner: Resource
    environment: str
    container: str
    image: str
    replica: str
    revision: str = ""
    execution: str = ""

    @property
    def kept_in(self) -> str:
        return self.workspace

    def entry(self, line: str, moment: float) -> dict[str, Any]:
        """The line as a row of the table ContainerAppConsoleLogs (Azure Monitor, tables reference, read 2026-11)."""
        name = self.owner.id.rpartition("/")[2]
        return {
            "Type": CONSOLE,
            "TimeGenerated": iso(moment),
            "ContainerAppName": "" if self.execution else name,
            "JobName": name if self.execution else "",
            "RevisionName": self.revision,
            "ExecutionName": self.execution,
            "ContainerGroupName": self.replica,
            "ContainerName": self.container,
            "ContainerImage": self.image,
            "EnvironmentName": self.environment.rpartition("/")[2],
            "Location": self.owner["location"],
            # The twin has one pipe for both output streams.
            "Stream": "stdout",
            "Log": line,
            "_ResourceId": self.owner.id.lower(),
        }


def workspaces_of(world: World, environment_id: str) -> list[str]:
    """Ids of the workspaces that an environment's console lines go to."""
    environment = arm.find(world, environment_id)
    if environment is None or (environment.get("appLogsConfiguration") or {}).get("destination") != _MONITOR:
        return []
    settings = [one for one in world.find(DIAGNOSTIC_SETTING) if arm.same(str(one["resourceUri"]), environment_id)]
    wanted = [str(one["workspaceId"]) for one in settings if one.get("workspaceId") and _has_console(one)]
    return [one.id for one in world.find(WORKSPACE) if any(arm.same(one.id, id_) for id_ in wanted)]


def _has_console(setting: Resource) -> bool:
    """Whether console lines are among what a setting sends."""
    return any(
        one.get("enabled") and (one.get("category") == CONSOLE or str(one.get("categoryGroup")).lower() == _ALL)
        for one in setting.get("logs") or []
    )

"""A Pulumi project run by the real engine against provider servers of the twin, from a program given as a function."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from pulumi import automation as auto

Program = Callable[[], None]


@dataclass
class Project:
    """`run` names the engine command; every method raises auto.CommandError as the engine fails."""

    folder: Path
    ports: dict[str, int]
    pulumi: Path
    stack_name: str = "test"
    config: dict[str, str] = field(default_factory=lambda: {"aws:region": "us-east-1"})

    def __post_init__(self) -> None:
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        (self.folder / "work").mkdir(exist_ok=True)
        providers = ",".join(f"{name}:{port}" for name, port in self.ports.items())
        self._environment = {
            "PULUMI_DEBUG_PROVIDERS": providers,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.events: list[Any] = []

    def stack(self, program: Program) -> auto.Stack:
        settings = auto.ProjectSettings(name="tried", runtime="python", backend=auto.ProjectBackend(url=f"file://{self.folder / 'state'}"))
        options = auto.LocalWorkspaceOptions(
            work_dir=str(self.folder / "work"),
            project_settings=settings,
            env_vars=self._environment,
            pulumi_command=_command(self.pulumi),
        )
        stack = auto.create_or_select_stack(stack_name=self.stack_name, project_name="tried", program=program, opts=options)
        for name, value in self.config.items():
            stack.set_config(name, auto.ConfigValue(value))
        return stack

    def preview(self, program: Program) -> dict[str, int]:
        """Counts by operation."""
        self.events.clear()
        summary = self.stack(program).preview(on_event=self.events.append).change_summary
        return {str(getattr(kind, "value", kind)): count for kind, count in summary.items()}

    def up(self, program: Program) -> dict[str, int]:
        self.events.clear()
        result = self.stack(program).up(on_event=self.events.append, suppress_progress=True)
        return dict(result.summary.resource_changes or {})

    def refresh(self, program: Program) -> dict[str, int]:
        self.events.clear()
        return dict(self.stack(program).refresh(on_event=self.events.append).summary.resource_changes or {})

    def destroy(self, program: Program) -> dict[str, int]:
        return dict(self.stack(program).destroy().summary.resource_changes or {})

    def unlock(self, program: Program) -> None:
        self.stack(program).cancel()

    def state_text(self) -> str:
        """The engine's own state as it lies on disk: the Automation API's export shows secrets in clear."""
        return (self.folder / "state" / ".pulumi" / "stacks" / "tried" / f"{self.stack_name}.json").read_text()


def engines() -> list[psutil.Process]:
    """The running engines that this process started."""
    return [child for child in psutil.Process(os.getpid()).children(recursive=True) if child.name() == "pulumi"]


def _command(pulumi: Path) -> auto.PulumiCommand:
    """The Automation API looks for <root>/bin/pulumi."""
    return auto.PulumiCommand(root=str(pulumi.parent.parent))

"""A Pulumi project run by the real engine against provider servers of the twin, from a program given as a function."""

from __future__ import annotations

import gc
import inspect
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from pulumi import automation as auto

Program = Callable[[], None]
_left: list[Any] = []


class EngineFailed(Exception):
    """The engine ended with an error."""


@dataclass
class Project:
    """Every engine command raises EngineFailed, with what the engine printed."""

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
        summary = self._run(lambda: self.stack(program).preview(on_event=self.events.append)).change_summary
        return {str(getattr(kind, "value", kind)): count for kind, count in summary.items()}

    def up(self, program: Program) -> dict[str, int]:
        self.events.clear()
        result = self._run(lambda: self.stack(program).up(on_event=self.events.append, suppress_progress=True))
        return dict(result.summary.resource_changes or {})

    def refresh(self, program: Program) -> dict[str, int]:
        self.events.clear()
        return dict(self._run(lambda: self.stack(program).refresh(on_event=self.events.append)).summary.resource_changes or {})

    def destroy(self, program: Program) -> dict[str, int]:
        return dict(self._run(lambda: self.stack(program).destroy()).summary.resource_changes or {})

    def _run(self, command: Callable[[], Any]) -> Any:
        failure = ""
        try:
            return command()
        except (auto.CommandError, auto.InlineSourceRuntimeError) as error:
            failure = str(error)
        # Outside of the handler: the error's frames hold the program's coroutine, which the Automation API leaves unfinished.
        sweep(1)
        raise EngineFailed(failure)

    def unlock(self, program: Program) -> None:
        self.stack(program).cancel()

    def state_text(self) -> str:
        """The engine's own state as it lies on disk: the Automation API's export shows secrets in clear."""
        return (self.folder / "state" / ".pulumi" / "stacks" / "tried" / f"{self.stack_name}.json").read_text()


def sweep(seconds: float = 1) -> None:
    """Collect what is left of programs whose engine failed, here and without a word, and not in the middle of another test.

    After an engine was killed the program's thread needs a moment to notice.
    """
    told, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    deadline = time.monotonic() + seconds
    try:
        while gc.collect() is not None and _programs() and time.monotonic() < deadline:
            time.sleep(0.1)
        # One that waits for an engine that is gone never ends by itself: while it is held, it is not heard of after the last test, and
        # no later test waits for it again.
        _left.extend(_programs())
    finally:
        sys.unraisablehook = told


def _programs() -> list[Any]:
    left = {id(one) for one in _left}
    return [one for one in gc.get_objects() if inspect.iscoroutine(one) and one.__name__ == "run_in_stack" and id(one) not in left]


def engines() -> list[psutil.Process]:
    """The running engines that this process started."""
    return [child for child in psutil.Process(os.getpid()).children(recursive=True) if child.name() == "pulumi"]


def _command(pulumi: Path) -> auto.PulumiCommand:
    """The Automation API looks for <root>/bin/pulumi."""
    return auto.PulumiCommand(root=str(pulumi.parent.parent))

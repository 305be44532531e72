"""What a deployment shows while it runs and when it is over: progress on standard error, results on standard output."""

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from pilotlight.cli.diagnostics import Diagnostic
from pilotlight.cli.events import Run, Step

# operation → sign, colour, what is happening, what has happened, what would happen
_WORDS: Mapping[str, tuple[str, str, str, str, str]] = {
    "create": ("+", "green", "creating", "created", "to create"),
    "update": ("~", "yellow", "updating", "updated", "to update"),
    "replace": ("±", "magenta", "replacing", "replaced", "to replace"),
    "create-replacement": ("±", "magenta", "creating the replacement", "replacement created", "to replace"),
    "delete-replaced": ("±", "magenta", "deleting the replaced", "replaced one deleted", "to delete when replaced"),
    "delete": ("-", "red", "deleting", "deleted", "to delete"),
    "refresh": ("·", "dim", "reading", "read", "to read"),
    "read": ("·", "dim", "reading", "read", "to read"),
    "import": ("=", "cyan", "importing", "imported", "to import"),
}
_COUNTS = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
_COLOURS = {"error": "red", "warning": "yellow"}


class Report:
    """Progress of one operation on one stack. Nothing but `finish` writes to standard output."""

    def __init__(self, operation: str, stack: str, *, as_json: bool) -> None:
        self._operation, self._stack, self._as_json = operation, stack, as_json
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._out = Console(highlight=False, soft_wrap=True)
        self._busy: dict[str, str] = {}
        self._status: Status | None = self._err.status("starting the engine") if self._err.is_terminal else None

    def live(self) -> AbstractContextManager[object]:
        """The line that names what is in flight, on a terminal; nothing elsewhere."""
        return self._status if self._status is not None else _Nothing()

    def say(self, text: str) -> None:
        self._err.print(Text(text, style="dim"))

    def show(self, news: Step | Diagnostic | None) -> None:
        """One line for a step that ended or a diagnostic."""
        if isinstance(news, Diagnostic):
            label = "" if news.severity == "info" else f"{news.severity}: "
            self._err.print(Text(f"{label}{news}", style=_COLOURS.get(news.severity, "")))
        elif news is not None:
            self._step(news)

    def _step(self, step: Step) -> None:
        sign, colour, doing, done, planned = _WORDS.get(step.operation, ("·", "dim", step.operation, step.operation, step.operation))
        if step.state == "started":
            # A component is busy as long as its parts are: the parts are the news.
            if not step.type.startswith("pilotlight:"):
                self._busy[step.urn] = f"{doing} {step.name}"
        else:
            self._busy.pop(step.urn, None)
        if self._status is not None:
            self._status.update(", ".join(list(self._busy.values())[:4]) or "waiting for the program")
        # `refresh` reads every resource; only what changed is worth a line. `replace` repeats its two parts.
        if step.state == "started" or step.operation in ("refresh", "read"):
            return
        if step.operation == "replace" and self._operation != "preview":
            return
        if self._operation == "preview":
            if step.operation in ("create-replacement", "delete-replaced"):
                return
            word = planned
        else:
            word = f"{done if step.state == 'done' else f'{doing} failed'}{f'  {step.seconds:.1f} s' if step.seconds is not None else ''}"
        self._err.print(Text(f" {sign} {step.type:<40} {step.name}  {word}", style="red" if step.state == "failed" else colour))

    def finish(self, run: Run, result: str, seconds: float) -> None:
        """The outputs, the result, and last the engine's counts, one a line; or one JSON document."""
        if self._as_json:
            sys.stdout.write(json.dumps(document(self._operation, self._stack, run, result, seconds), indent=2) + "\n")
            return
        if self._operation == "up" and run.outputs and result == "succeeded":
            width = max(map(len, run.outputs))
            for name, value in run.outputs.items():
                self._out.print(Text(f"  {name:<{width}}  {value if isinstance(value, str) else json.dumps(value)}"))
        self._out.print(Text(f"{self._operation} {result} in {seconds:.1f} s", style="green" if result == "succeeded" else "red"))
        # A program that was refused before its first resource leaves the stack itself in the engine's counts: that is nothing done.
        for line in counts(run.changes, preview=self._operation == "preview") if run.steps or result == "succeeded" else []:
            self._out.print(line)


def counts(changes: Mapping[str, int], *, preview: bool) -> list[str]:
    """`2 to create`, `3 unchanged` for a preview, `2 created`, `3 unchanged` for what was done; in the engine's numbers."""
    lines = []
    for operation, count in changes.items():
        word = operation if operation not in _COUNTS else f"to {operation}" if preview else _COUNTS[operation]
        lines.append(f"{count} {word}")
    return lines


def document(operation: str, stack: str, run: Run, result: str, seconds: float) -> dict[str, Any]:
    """The `--json` answer of preview, up, refresh and destroy. Secrets are `[secret]`."""
    return {
        "stack": stack,
        "operation": operation,
        "result": result,
        "seconds": round(seconds, 3),
        "changes": run.changes,
        "resources": [
            {
                "urn": step.urn,
                "type": step.type,
                "name": step.name,
                "operation": step.operation,
                "state": step.state,
                "seconds": None if step.seconds is None else round(step.seconds, 3),
                "properties": list(step.properties),
            }
            for step in run.steps.values()
        ],
        "outputs": run.outputs,
        "diagnostics": [
            {"severity": found.severity, "resource": found.resource, "message": found.message} for found in run.diagnostics.found
        ],
        "policyPacks": run.packs,
        "policyLevels": run.levels,
        "violations": [asdict(found) for found in run.diagnostics.violations],
    }


class _Nothing(AbstractContextManager[object]):
    def __exit__(self, *_: object) -> None:
        return None

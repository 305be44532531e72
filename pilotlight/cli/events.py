"""What an engine run did, gathered from the events of its log. Pure: no clock, no terminal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.cli.diagnostics import Diagnostic, Diagnostics

STACK_TYPE = "pulumi:pulumi:Stack"
# The engine's published markers of secrets and of what only an `up` can tell.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SECRET_MARK = "4dabf18193072939515e22adb298388d"  # noqa: S105 (not a secret)
# Steps that are part of a replacement; the step `replace` counts for all of them.
_PARTS_OF_REPLACE = {"create-replacement", "delete-replaced", "discard-replaced", "remove-pending-replace"}
# How the engine's operations count. Others (read, import, …) keep their names.
CHANGES = {"create": "create", "update": "update", "replace": "replace", "delete": "delete", "same": "unchanged"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step on one resource. `state` is started, done or failed; `seconds` is None until it ended; `properties` are the inputs that
    change, by name, `old` and `new` all of them before and after, which are not to be shown: some are secret."""

    urn: str
    operation: str
    state: str
    seconds: float | None = None
    properties: tuple[str, ...] = ()
    old: Mapping[str, Any] = field(default_factory=dict, repr=False)
    new: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]

    @property
    def type(self) -> str:
        """The short type: `aws:iam/role:Role` → `aws:iam:Role`."""
        token = self.urn.split("::")[-2].rsplit("$", 1)[-1]
        return re.sub(r"/[^:]*", "", token)


@dataclass(kw_only=True)
class Run:
    """The run so far. `result` is the engine's word (succeeded, failed, canceled), None until its summary came, as the names of the policy
    packs that judged it; `levels` are what these were told of rules beside their own word."""

    result: str | None = None
    packs: list[str] = field(default_factory=list)
    levels: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    steps: dict[tuple[str, str], Step] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    _started: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any], now: float) -> Step | Diagnostic | None:
        """Note one event that came at `now` (s, any clock). Returns what is worth a line of progress, if anything."""
        if "diagnosticEvent" in event:
            return self.diagnostics.take(event["diagnosticEvent"])
        if "policyEvent" in event:
            return self.diagnostics.take_policy(event["policyEvent"])
        if "summaryEvent" in event:
            self._summary(event["summaryEvent"])
        for kind, state in (("resourcePreEvent", "started"), ("resOutputsEvent", "done"), ("resOpFailedEvent", "failed")):
            if kind in event:
                return self._step(event[kind]["metadata"], state, now)
        return None

    def _step(self, metadata: Mapping[str, Any], state: str, now: float) -> Step | None:
        urn, operation = metadata["urn"], metadata["op"]
        if metadata.get("type") == STACK_TYPE:
            self._outputs(metadata.get("new"))
            return None
        # Default providers are the engine's own bookkeeping; it does not count them either.
        if operation == "same" or str(metadata.get("type")).startswith("pulumi:providers:"):
            return None
        if operation in _PARTS_OF_REPLACE - {"create-replacement", "delete-replaced"}:
            return None
        key = (urn, operation)
        if state == "started":
            self._started[key] = now
        seconds = None if state == "started" else now - self._started.get(key, now)
        old, new = ((metadata.get(side) or {}).get("inputs") or {} for side in ("old", "new"))
        step = Step(urn=urn, operation=operation, state=state, seconds=seconds, properties=_properties(metadata), old=old, new=new)
        before = self.steps.get(key)
        self.steps[key] = step
        # A component ends twice in a preview: when it is planned, and when its outputs are.
        return None if before is not None and before.state == step.state == "done" else step

    def _outputs(self, new: Mapping[str, Any] | None) -> None:
        """Keep the newest outputs of the stack; secrets never leave the engine's log in clear, and are named as such here."""
        if new and new.get("outputs"):
            self.outputs = {name: _shown(value) for name, value in new["outputs"].items()}

    def _summary(self, summary: Mapping[str, Any]) -> None:
        self.result = summary.get("result")
        # A pack of a folder is told as `NAME|local|FOLDER`.
        self.packs = sorted(filter(None, (name.split("|")[0] for name in summary.get("PolicyPacks") or {})))
        counts: dict[str, int] = {}
        for operation, count in (summary.get("resourceChanges") or {}).items():
            if operation not in _PARTS_OF_REPLACE:
                name = CHANGES.get(operation, operation)
                counts[name] = counts.get(name, 0) + count
        order = list(CHANGES.values())
        self.changes = dict(sorted(counts.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 9, item[0])))


def _properties(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the inputs that differ, without their values, some of which are secret."""
    if metadata["op"] == "create":
        return ()
    named = metadata.get("diffs") or [re.split(r"[.\[]", path)[0] for path in metadata.get("detailedDiff") or {}]
    return tuple(dict.fromkeys(str(name) for name in named))


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "[secret]" if _SECRET_MARK in value else {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return "[unknown]" if value == _UNKNOWN else value

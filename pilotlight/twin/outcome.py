"""What came of an operation: outputs that must be there, inputs that live outputs tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.values import DEFAULTS
from pilotlight.twin.world import Resource


def inputs_of(live: Properties, recorded: Properties, declared: schema.SdkType) -> dict[str, Any]:
    """The inputs that would give the live outputs; what is an input only cannot drift and stays."""
    inputs: dict[str, Any] = {}
    for name, value in recorded.items():
        if name in live and name != DEFAULTS:
            inputs[name] = live[name] if has_drifted(value, live[name], exact=name == "tags") else value
        elif name not in declared.outputs:
            inputs[name] = value
    return inputs


def has_drifted(recorded: Any, live: Any, *, exact: bool = False) -> bool:
    """Whether a live value differs from the recorded input in what the input says: fields that only the cloud fills are not drift."""
    if isinstance(recorded, Mapping) and isinstance(live, Mapping) and not exact:
        return any(key not in live or has_drifted(value, live[key]) for key, value in recorded.items())
    if isinstance(recorded, list) and isinstance(live, list) and len(recorded) == len(live):
        return any(has_drifted(one, other) for one, other in zip(recorded, live, strict=True))
    return bool(recorded != live)


def require_outputs(declared: schema.SdkType, made: Resource, absent: frozenset[str]) -> None:
    """An output that the SDK says is always there must be there: the engine would hand on "absent" without a word.

    Outputs that are inputs too are not counted, the cloud fills them only for some kinds of the resource; neither are those that it
    leaves out (`absent`).
    """
    missing = sorted(
        (declared.settled - set(declared.fields) - absent) - {name for name, value in made.outputs.items() if value is not None}
    )
    if missing:
        raise Refusal("MissingOutput", f"The twin's row of {made.token} gives no {', '.join(missing)}: that is an error in the row.", 500)

"""Outputs as a preview may know them where a provider tells only what was given: anything that the cloud could add is unknown."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import _types

from pilotlight.twin import schema
from pilotlight.twin.rows import Properties
from pilotlight.twin.values import UNKNOWN

# What no update changes (pulumi-azure-native, preview of an update).
_STABLE = ("name", "location")


def outputs(declared: schema.SdkType, inputs: Properties, olds: Properties | None = None) -> dict[str, Any]:
    """The outputs of a resource that is to be made, or with `olds`, its outputs so far, to be updated."""
    stable = {name: olds[name] for name in _STABLE if name in olds and name in declared.outputs} if olds is not None else {}
    return {**_object(inputs, schema.answers(declared.token)), **stable}


def _object(given: Properties, answers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(given[name], answer) if given.get(name) is not None else UNKNOWN for name, answer in answers.items()}


def _value(given: Any, answer: Any) -> Any:
    """What was given, in as far as it has the form of the output."""
    options = schema.alternatives(answer)
    held = next((typing.get_args(one) for one in options if _holds(one, given)), None)
    if held and isinstance(given, Mapping):
        return {key: _value(value, held[1]) for key, value in given.items()}
    if held and isinstance(given, list):
        return [_value(value, held[0]) for value in given]
    classes = [one for one in options if isinstance(one, type) and _types.is_output_type(one)]
    if classes and isinstance(given, Mapping):
        # Of several forms nobody can tell which it will be: what was given is taken for it, as the provider does.
        return _object(given, _types.output_type_types(classes[0])) if len(classes) == 1 else given
    return given if not isinstance(given, Mapping | list) or Any in options else UNKNOWN


def _holds(answer: Any, given: Any) -> bool:
    kinds = (Mapping, dict) if isinstance(given, Mapping) else (Sequence, list) if isinstance(given, list) else ()
    return typing.get_origin(answer) in kinds

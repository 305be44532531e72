"""The JSON schema of the file that `--policy-pack-config` takes."""

from collections.abc import Sequence
from typing import Any

from .model import Rule

_LEVELS = {"enum": ["advisory", "mandatory", "remediate", "disabled"]}


def schema(rules: Sequence[Rule]) -> dict[str, Any]:
    """For editors and CI: a rule's name → its level, or an object of level and parameters."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the policy pack",
        "type": "object",
        "additionalProperties": False,
        "properties": {"all": _LEVELS, **{rule.id: _of(rule) for rule in rules}},
    }


def _of(rule: Rule) -> dict[str, Any]:
    given = {"enforcementLevel": {**_LEVELS, "default": rule.level}, **{name: dict(each) for name, each in rule.parameters.items()}}
    return {
        "description": f"{rule.idea} {rule.fix}",
        "anyOf": [_LEVELS, {"type": "object", "additionalProperties": False, "properties": given}],
    }

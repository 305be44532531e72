"""Forms that inputs of resources must have, each with the sentence that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.twin.rows import Properties


@dataclass(frozen=True)
class Form:
    """`text` completes "'X' is not allowed: use …"."""

    pattern: str
    text: str

    def problems(self, field: str, inputs: Properties) -> list[str]:
        value = inputs.get(field)
        if not isinstance(value, str) or re.fullmatch(self.pattern, value):
            return []
        return [f"{field}: {value!r} is not allowed: use {self.text}."]


def choice_problems(path: str, value: object, allowed: tuple[str, ...]) -> list[str]:
    """What is wrong with a text that is to be one of some."""
    return (
        [f"{path}: {value!r} is not allowed: use one of {', '.join(allowed)}."] if isinstance(value, str) and value not in allowed else []
    )


def short(name: str) -> str:
    """The last part of a full name, or the name itself: many inputs take either."""
    return name.rsplit("/", 1)[-1]


def only_one(inputs: Properties, *fields: str, at: str = "") -> list[str]:
    """A sentence where not exactly one of the fields is given."""
    given = [field for field in fields if inputs.get(field) is not None]
    if len(given) == 1:
        return []
    if given:
        return [f"{', '.join(f'{at}{field}' for field in given)}: exclude each other: use exactly one of {', '.join(fields)}."]
    return [f"{' or '.join(f'{at}{field}' for field in fields)}: none is given: use exactly one of them."]

"""Forms that ids and names of Google Cloud's resources must have, each with the sentence that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.twin.rows import Properties

DURATION = re.compile(r"\d+(?:\.\d{1,9})?s")


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


# RFC 1035 as Google's APIs quote it: `[a-z]([-a-z0-9]*[a-z0-9])?`, 63 characters.
LABEL = Form(
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "up to 63 lower-case letters, digits and hyphens that begin with a letter and end with none"
)


def seconds(text: object) -> float | None:
    """`600s` as 600.0; None for what is no duration."""
    return float(text[:-1]) if isinstance(text, str) and DURATION.fullmatch(text) else None


def duration_problems(field: str, value: object, low: float, high: float) -> list[str]:
    """What is wrong with a duration that is to lie between two numbers of seconds."""
    if not isinstance(value, str):
        return []
    found = seconds(value)
    if found is None:
        return [f"{field}: {value!r} is no duration: use seconds, as '{low:g}s'."]
    return [] if low <= found <= high else [f"{field}: {value!r} is out of range: use '{low:g}s' to '{high:g}s'."]


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

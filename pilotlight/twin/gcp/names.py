"""Forms that ids and names of Google Cloud's resources must have, each with the sentence that says so."""

from __future__ import annotations

import re

from pilotlight.twin.forms import Form

DURATION = re.compile(r"\d+(?:\.\d{1,9})?s")
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

"""Rules for labels, which are the same for every type that takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import regex  # type: ignore[import-untyped]

# Resource Manager documentation, "Requirements for labels" (read 2026-11): letters of every script that has no cases are allowed too.
MAX_LABELS = 64
_KEY = regex.compile(r"[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}")
_VALUE = regex.compile(r"[\p{Ll}\p{Lo}\p{N}_-]{0,63}")


def label_problems(labels: Any, path: str = "labels") -> list[str]:
    """What is wrong with labels, a sentence each."""
    if not isinstance(labels, Mapping):
        return []
    found = [f"{path}: there are {len(labels)}: use at most {MAX_LABELS}."] if len(labels) > MAX_LABELS else []
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            found.append(
                f"{path}: the key {key!r} is not allowed: use up to 63 lower-case letters, digits, _ and -, beginning with a letter."
            )
        elif isinstance(value, str) and not _VALUE.fullmatch(value):
            found.append(f'{path}["{key}"]: {value!r} is not allowed: use up to 63 lower-case letters, digits, _ and -.')
    return found

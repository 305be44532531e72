"""Rules for tags, which are the same for every type that takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.limits_azure import AZURE_TAGS

# Resource Manager documentation, "Use tags to organize your Azure resources", limitations (read 2026-11).
_LONGEST_NAME, _LONGEST_VALUE = 512, 256
_REFUSED = re.compile(r"[<>%&\\?/]")


def tag_problems(tags: Any) -> list[str]:
    """What is wrong with tags, a sentence each."""
    if not isinstance(tags, Mapping):
        return []
    found = [f"tags: there are {len(tags)}: use at most {AZURE_TAGS.high}."] if len(tags) not in AZURE_TAGS else []
    spelt: dict[str, str] = {}
    for name, value in tags.items():
        if (other := spelt.setdefault(name.lower(), name)) != name:
            found.append(f"tags: {other!r} and {name!r} differ in case alone, which makes one name of them: use another.")
        if not 0 < len(name) <= _LONGEST_NAME or _REFUSED.search(name):
            found.append(f"tags: the name {name!r} is not allowed: use 1 to {_LONGEST_NAME} characters without < > % & \\ ? /.")
        elif isinstance(value, str) and len(value) > _LONGEST_VALUE:
            found.append(f'tags["{name}"]: has {len(value)} characters: use at most {_LONGEST_VALUE}.')
    return found

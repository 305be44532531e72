"""Names that the provider makes up where the program gives none: the resource's own name and digits of the engine's seed."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.rows import Name
from pilotlight.twin.values import DEFAULTS

# So many digits are no end of a name: they are a UUID, and the whole of it.
UUID = 32


def fill_name(name: Name, urn: str, seed: bytes, news: Mapping[str, Any], olds: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The inputs with the name field set, and problems (sentences).

    A generated name is kept over updates; a replacement is checked without old inputs and with a new seed, and so gets a new one.
    """
    inputs = dict(news)
    if name.field in news:
        return inputs, []
    generated = olds.get(name.field) if name.field in olds.get(DEFAULTS, []) else None
    generated = generated or _generate(name, urn.rsplit("::", 1)[1], seed)
    inputs[name.field] = generated
    if not name.digits:
        return inputs, _problems(name, generated)
    inputs[DEFAULTS] = [name.field]
    return inputs, _problems(name, generated)


def is_generated(inputs: Mapping[str, Any], field: str) -> bool:
    return field in inputs.get(DEFAULTS, [])


def _generate(name: Name, logical: str, seed: bytes) -> str:
    if name.digits == UUID:
        return str(uuid.UUID(hashlib.sha256(seed).hexdigest()[:UUID]))
    base = logical.lower() if name.lower else logical
    return f"{base}{name.joint}{hashlib.sha256(seed).hexdigest()[: name.digits]}" if name.digits else base


def _problems(name: Name, generated: str) -> list[str]:
    if len(generated) > name.max_length:
        return [
            f"{name.field}: the generated name {generated!r} has {len(generated)} characters and {name.max_length} are allowed: "
            f"use a resource name of at most {name.max_length - name.digits - len(name.joint)} characters, or set {name.field}."
        ]
    if name.pattern and not re.fullmatch(name.pattern, generated):
        return [f"{name.field}: the generated name {generated!r} does not match {name.pattern}: rename the resource, or set {name.field}."]
    return []

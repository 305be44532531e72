"""What of a stack's settings may stay when it moves to another cloud."""

from collections.abc import Mapping
from typing import Any

from components.capabilities import common
from pilotlight.planned import changed


def leaves(tree: Mapping[str, Any], above: str = "") -> list[str]:
    """Dotted keys of everything that holds a value."""
    found: list[str] = []
    for key, value in tree.items():
        found += leaves(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}"]
    return found


def without_what_is_not_common(service: Mapping[str, Any]) -> dict[str, Any]:
    mode = service.get("auth", {}).get("mode")
    return changed(service, {key: None for key in leaves(service) if not common(key, mode)})

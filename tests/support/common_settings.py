"""What of a stack's settings may stay when it moves to another cloud."""

from collections.abc import Iterable, Mapping
from typing import Any

from components.capabilities import common
from pilotlight.planned import changed


def leaves(tree: Mapping[str, Any], above: str = "") -> list[str]:
    """Dotted keys of everything that holds a value."""
    found: list[str] = []
    for key, value in tree.items():
        found += leaves(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}"]
    return found


def without_what_is_not_common(service: Mapping[str, Any], clouds: Iterable[str]) -> dict[str, Any]:
    """The settings that each of these clouds honours."""
    mode, clouds = service.get("auth", {}).get("mode"), tuple(clouds)
    left = changed(service, {key: None for key in leaves(service) if not common(key, mode, clouds)})
    # A part of which nothing may stay goes as a whole.
    return {key: value for key, value in left.items() if value != {}}

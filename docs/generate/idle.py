"""A line of the tables of what resources cost while nobody calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Inputs = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What a resource of `type` is billed for at rest.

    ending  part of the logical name that it is meant for; empty: all of the type
    of      one unit and several in words: "alarm|alarms"
    unit    what the price is for: "alarm and month"
    usd     price of one unit, None where nothing dated is at hand: then the page shows the link alone
    units   how many of them one resource has a month, None where the size decides; 0: this one costs nothing at rest
    most    of several resources only the largest is in use at a time
    free    what every account has free a month, in units
    off     the setting that removes it
    """

    type: str
    ending: str = ""
    what: str
    of: str
    kind: Literal["storage", "alarms", "requests", "calls", "capacity", "view"]
    unit: str
    usd: float | None = None
    source: str = ""
    link: str
    units: Callable[[Inputs], float | None] = lambda inputs: 1
    most: bool = False
    free: float = 0
    off: str


def by_size(inputs: Inputs) -> float | None:
    """Whoever stores more pays more."""
    return None

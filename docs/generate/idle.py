"""A line of the tables of what resources cost while nobody calls."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Inputs = Mapping[str, Any]
MONTH_DAYS = 30
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What a resource of `type` is billed for at rest.

    ending  part of the logical name that it is meant for; empty: all of the type
    of      one unit and several in words: "alarm|alarms"
    unit    what the price is for: "alarm and month"
    usd     price of one unit, None where nothing dated is at hand: then the page shows the link alone
    also    what else the same is billed by: price and unit of each
    units   how many of them one resource has a month, None where the size decides; 0: this one costs nothing at rest
    most    of several resources only the largest is in use at a time
    free    what every account has free a month, in units: all its stacks together
    off     the setting that removes it
    """

    type: str
    ending: str = ""
    what: str
    of: str
    kind: Literal["storage", "alarms", "requests", "calls", "capacity", "network", "view"]
    unit: str
    usd: float | None = None
    also: tuple[tuple[float, str], ...] = ()
    source: str = ""
    link: str
    units: Callable[[Inputs], float | None] = lambda inputs: 1
    most: bool = False
    free: float = 0
    off: str


def dollars(usd: float) -> str:
    """An amount with three digits that count, and without exponent: $0.1, $0.0000042."""
    if usd >= 0.001:
        return f"${usd:.3g}"
    return "$" + f"{usd:.{2 - math.floor(math.log10(usd))}f}".rstrip("0")


def by_size(inputs: Inputs) -> float | None:
    """Whoever stores more pays more."""
    return None


def due(minutes: str, hours: str, days: str) -> float:
    """How often fields of a cron expression come in a month of 30 days."""
    return _values(minutes, 60) * _values(hours, 24) * _values(days, 7) * MONTH_DAYS / 7


def _values(field: str, every: int) -> int:
    """How many values a field of a cron expression has: `*`, `0,30`, `8-17`, `MON-FRI`."""
    if field in ("*", "?"):
        return every
    numbered = re.sub("[A-Z]{3}", lambda day: str(_DAYS.index(day[0])), field)
    return sum((int(last or first) - int(first)) % every + 1 for first, _, last in (part.partition("-") for part in numbered.split(",")))

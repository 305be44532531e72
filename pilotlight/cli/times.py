"""Times on the command line: lengths such as `24h`, moments in ISO 8601."""

import re
from datetime import UTC, datetime

from pilotlight.cli.exits import CommandError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str, option: str = "--since") -> int:
    """`30s`, `10m`, `2h`, `1d` in seconds; raises CommandError for anything else."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise CommandError(f"{option} {text}: use a number and s, m, h or d, such as 10m.")
    return int(match[1]) * _UNITS[match[2]]


def moment_of(text: str, option: str) -> datetime:
    """A moment with its offset, `2026-11-02T09:00+01:00` or `2026-11-02T08:00Z`; raises CommandError for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"{option} {text}: use a moment with its offset, such as 2026-11-02T09:00+01:00 or 2026-11-02T08:00Z.")
    return moment


def shown(instant: float) -> str:
    """Seconds since the epoch as people and `--at` read them, in UTC."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

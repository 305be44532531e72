"""Times as Azure writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(instant: float) -> str:
    """Seconds since the epoch as `2026-11-26T13:01:02.3456789Z`."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"

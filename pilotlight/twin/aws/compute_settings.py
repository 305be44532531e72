"""How long an idle worker is kept: minutes as on AWS, or what a person who wants to see cold starts says."""

from __future__ import annotations

import os

VARIABLE = "PILOTLIGHT_KEEP_WARM_S"
# AWS names no number; what others measured is 5 to 15 minutes.
DEFAULT_S = 300.0


def initial_keep_warm_s() -> float:
    """Seconds that an idle worker stays: PILOTLIGHT_KEEP_WARM_S, else 300. ValueError for anything but a number of 0 or more."""
    text = os.environ.get(VARIABLE, str(DEFAULT_S))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{VARIABLE}: {text!r}: use seconds as a number of 0 or more, 300 is the default.")
    return value

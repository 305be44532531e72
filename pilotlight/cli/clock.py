"""`clock`: what time it is on the twin, and moving it: what is due on the way (schedules, retries, alarms) runs, in its order."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home
from pilotlight.cli.times import moment_of, seconds_of, shown

# What `stacks/` reads instead of the machine's time (ISO 8601 with its offset).
NOW = "PILOTLIGHT_NOW"
# How long a fast-forward may run: a day of schedules takes seconds, a year of pings many minutes.
PATIENCE_S = 3600.0
# Further from the machine's time than starting a command takes: the clock was moved.
MOVED_S = 5.0
COMING = 5


def wish_of(advance: str | None, until: str | None, speed: float | None) -> dict[str, Any]:
    """What the control API is asked for; empty to look only. Raises CommandError for more than one wish, or one that can't be read."""
    wishes: dict[str, Any] = {}
    if advance is not None:
        wishes["advance_s"] = seconds_of(advance, "--advance")
    if until is not None:
        wishes["until"] = moment_of(until, "--until").isoformat()
    if speed is not None:
        wishes["speed"] = speed
    if len(wishes) > 1:
        raise CommandError("--advance, --until and --speed exclude each other: move the clock first, then change its speed.")
    return wishes


def clock(wish: Mapping[str, Any], *, as_json: bool) -> Exit:
    """Move the twin's clock, or look at it, and print what ran on the way and what comes next."""
    from pilotlight.twin import client

    try:
        running = client.ensure_running(Home.of_user().path)
        found = client.call(running, "clock", wish or None, timeout_s=PATIENCE_S)
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    found["now"] = shown(float(found["now"]))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return Exit.OK
    ran, due = found.get("ran") or [], found.get("due") or []
    lines = [f"{one['at']}  {one['name']}{'  ' + str(one['said']) if one.get('said') else ''}" for one in ran]
    speed = "" if found["speed"] == 1 else f", running {found['speed']:g} times as fast"
    lines.append(
        f"The twin's time is {found['now']}{speed}" + (f"; {len(ran)} things ran on the way." if wish and "speed" not in wish else ".")
    )
    lines += [f"  next  {one['at']}  {one['name']}" for one in due[:COMING]]
    sys.stdout.write("\n".join(lines) + "\n")
    return Exit.OK


def moved_to(home: Path) -> str | None:
    """The twin's time in ISO 8601 where it is not the machine's, because it was moved or runs at another speed; else None."""
    from pilotlight.twin import client

    try:
        running = client.find(home)
        found = client.call(running, "clock") if running else None
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    if found is None or (found["speed"] == 1 and abs(float(found["now"]) - time.time()) < MOVED_S):
        return None
    return shown(float(found["now"]))

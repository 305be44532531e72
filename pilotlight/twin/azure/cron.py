"""Cron as Container Apps reads it, in rules of KEDA's and in schedules of jobs."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.unix_cron import UnixCron

# A weekday of 7, alone or at an end of a range: the parser of both (robfig/cron v3) counts them from 0 to 6.
_SEVEN = re.compile(r"(?:^|[,-])7(?:$|[,/-])")


def cron_of(text: str, zone: ZoneInfo) -> UnixCron:
    """BadExpression names the part that is wrong."""
    found = UnixCron.of(text, zone)
    if _SEVEN.search(text.split()[4]):
        raise BadExpression(f"{text!r}: weekday 7: use 0 for Sunday, up to 6.")
    return found

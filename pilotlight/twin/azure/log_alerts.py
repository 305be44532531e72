"""Alerts on log lines: their queries asked on the twin's clock, over the lines that came in their windows.

Real lines come minutes late, and a rule looks at what is there; here they are there at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pilotlight.twin.azure import log_analytics, log_rules
from pilotlight.twin.azure.fired_alerts import FiredAlerts
from pilotlight.twin.azure.log_analytics import LogAnalytics
from pilotlight.twin.azure.types import LOG_ALERT
from pilotlight.twin.metrics import MINUTE_S
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

PLACE = "log_alerts:LogAlerts"


class LogAlerts(Plane):
    """A rule's alert fires when its criterion is met, and resolves after three checks at which it is not. Mails are sent for both."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._alerts = FiredAlerts(twin, "Log", "Log Alerts V2")
        self._timer: Timer | None = None

    async def start(self) -> None:
        self._timer = self.twin.timers.every(lambda after: (after // MINUTE_S + 1) * MINUTE_S, self._minute, "log alerts")

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def update(self, old: Resource, new: Resource) -> None:
        """Its alerts of before are of another rule."""
        self._alerts.delete(old)

    def delete(self, resource: Resource) -> None:
        self._alerts.delete(resource)

    async def _minute(self, due: float) -> str | None:
        said: list[str] = []
        for alert in self.twin.world.find(LOG_ALERT):
            rule = log_rules.read(alert)
            lines = self.twin.azure.planes.made(log_analytics.PLACE)
            if rule is None or due % rule.every_s != 0 or not isinstance(lines, LogAnalytics):
                continue
            # Many lines are looked through: not in the loop.
            rows = await asyncio.to_thread(lines.found, rule.scope, rule.query, due - rule.window_s, due)
            said += self._alerts.judge(alert, rule, rule.figures(rows), due)
        self._alerts.forget(due)
        return "; ".join(said) or None

"""Metric alerts: judged on the twin's clock over the metrics that its services count; what fires and resolves, and the mails.

Real figures come minutes late; here they are there with their minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pilotlight.twin.azure import alert_rules, monitor_counts
from pilotlight.twin.azure.alert_rules import Rule
from pilotlight.twin.azure.fired_alerts import FiredAlerts
from pilotlight.twin.azure.types import METRIC_ALERT
from pilotlight.twin.metrics import MINUTE_S, Metrics
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin


class MetricAlerts(Plane):
    """An alert fires when its criterion is met, for each combination of its dimensions' values by itself, and resolves after three checks
    at which it is not; a window without figures is not met. Mails are sent for both."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.metrics = Metrics(twin.clock.now, twin.home / "azure-metrics.sqlite3")
        self._alerts = FiredAlerts(twin, "Metric", "Platform")
        self._timer: Timer | None = None
        self._rules: dict[str, Rule] = {}
        # What is asked of which metric of what: replaced whole, since rules come in threads of the providers.
        self._asked: Mapping[tuple[str, str], tuple[Rule, ...]] = {}

    async def start(self) -> None:
        for alert in self.twin.world.find(METRIC_ALERT):
            self._take(alert)
        self._timer = self.twin.timers.every(lambda after: (after // MINUTE_S + 1) * MINUTE_S, self._minute, "metric alerts")

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.metrics.close()

    def create(self, resource: Resource) -> None:
        self._take(resource)

    def update(self, old: Resource, new: Resource) -> None:
        """Its alerts of before are of another rule."""
        self.delete(old)
        self._take(new)

    def delete(self, resource: Resource) -> None:
        self._set({id_: rule for id_, rule in self._rules.items() if id_ != resource.id})
        self._alerts.delete(resource)

    def wants(self, scope: str, metric: str) -> bool:
        """Whether an alert asks for a metric of what has that id."""
        return (scope.lower(), metric) in self._asked

    def count(self, scope: str, values: Mapping[str, float], labels: Mapping[str, str], *, at: float | None = None) -> None:
        """Keep those values that an alert asks for, now or at an instant."""
        scope = scope.lower()
        kept = {name: value for name, value in values.items() if any(rule.takes(labels) for rule in self._asked.get((scope, name), ()))}
        if kept:
            self.metrics.put(scope, kept, labels, at=at)

    def _take(self, alert: Resource) -> None:
        rule = alert_rules.read(alert)
        if rule is not None:
            self._set({**self._rules, alert.id: rule})

    def _set(self, rules: dict[str, Rule]) -> None:
        asked: dict[tuple[str, str], tuple[Rule, ...]] = {}
        for rule in rules.values():
            key = (rule.scope, rule.metric)
            asked[key] = (*asked.get(key, ()), rule)
        self._rules, self._asked = rules, asked

    async def _minute(self, due: float) -> str | None:
        if not self._rules:
            return None
        await monitor_counts.sample(self.twin, self, due)
        said: list[str] = []
        for id_, rule in self._rules.items():
            alert = self.twin.world.get(METRIC_ALERT, id_)
            if alert is not None and due % rule.every_s == 0:
                said += self._alerts.judge(alert, rule, rule.figures(self.metrics, due), due)
        self._alerts.forget(due)
        # What nothing looks at is written too.
        self.metrics.flush()
        return "; ".join(said) or None

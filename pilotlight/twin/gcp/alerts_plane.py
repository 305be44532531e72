"""Alert policies: judged every minute of the twin's clock over the metrics that its services count and the lines that they write; their
incidents, and the mails.

Real figures come minutes late (Cloud Monitoring documentation, "latency of metric data"); here they are there with their minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.gcp import alert_conditions, assigned, log_filter
from pilotlight.twin.gcp.alert_conditions import NotJudged
from pilotlight.twin.gcp.log_entries import timestamp
from pilotlight.twin.gcp.logging_plane import PLACE as LOGS
from pilotlight.twin.gcp.logging_plane import logs_of
from pilotlight.twin.gcp.metric_counts import sample_subscriptions
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.types import ALERT, ALERT_POLICY, CHANNEL
from pilotlight.twin.metrics import MINUTE_S, Metrics
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

_LOG = logging.getLogger(__name__)
OPEN, CLOSED = "OPEN", "CLOSED"
SENDER = "alerting-noreply@google.com"
# Monitoring API v3, AlertPolicy.AlertStrategy.autoClose: where it is not set.
_AUTO_CLOSE_S = 7 * 24 * 3600.0


class AlertsPlane(Plane):
    """An incident opens when every period of a condition's duration breaches, and closes when the last one does not; where nobody can
    tell, after the policy's `autoClose`. Mails are sent for both; other kinds of channel are told nothing."""

    # Whose API tells of incidents.
    needs = (LOGS,)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.metrics = Metrics(twin.clock.now, twin.home / "google-metrics.sqlite3")
        self._timer: Timer | None = None

    async def start(self) -> None:
        self._timer = self.twin.timers.every(lambda after: (after // MINUTE_S + 1) * MINUTE_S, self._minute, "alert policies")

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.metrics.close()

    def create(self, resource: Resource) -> None:
        for condition in resource["conditions"]:
            if condition.get("conditionMatchedLog"):
                continue
            try:
                alert_conditions.read(condition)
            except NotJudged as reason:
                _LOG.warning("%s: its condition %r is not judged: %s", resource["displayName"], condition["displayName"], reason)

    def update(self, old: Resource, new: Resource) -> None:
        """Its incidents of before are of another policy."""
        self.delete(old)
        self.create(new)

    def delete(self, resource: Resource) -> None:
        for alert in self.twin.world.find(ALERT, policy=resource.id):
            self.twin.world.delete(ALERT, alert.id)

    async def _minute(self, due: float) -> str | None:
        policies = [policy for policy in self.twin.world.find(ALERT_POLICY) if policy.get("enabled", True)]
        if policies:
            sample_subscriptions(self.twin, self.metrics, due)
        said = [text for policy in policies for text in self._judged(policy, due)]
        # What nothing looks at is written too.
        self.metrics.flush()
        return "; ".join(said) or None

    def _judged(self, policy: Resource, now: float) -> Iterator[str]:
        for declared in policy["conditions"]:
            if lines := declared.get("conditionMatchedLog"):
                yield from self._looked_for(policy, str(declared["displayName"]), str(lines["filter"]), now)
                continue
            try:
                condition = alert_conditions.read(declared)
            except NotJudged:
                continue
            last, met, value = condition.met(self.metrics, now)
            name = str(declared["displayName"])
            alert = self._open(policy, name)
            if alert is None and met:
                labels = {selector: text for selector, equal, text in condition.where if equal}
                metric = {"type": condition.metric, "labels": _of("metric", labels)}
                resource = {"type": condition.resource, "labels": _of("resource", labels)}
                said = f"{name} is {_shown(value)}, its threshold {condition.threshold:g}."
                yield self._opened(policy, name, {"metric": metric, "resource": resource}, said, now)
            elif alert is not None and value is not None and last:
                self._keep(alert, seen=now)
            elif alert is not None and (last is False or (last is None and now - alert["seen"] >= _auto_close_s(policy))):
                yield self._closed(policy, alert, _shown(value), now)

    def _looked_for(self, policy: Resource, name: str, text: str, now: float) -> Iterator[str]:
        """A line of the last minute opens an incident, and only time ends it. How often it mails is not held to the policy's limit."""
        found, alert = self._lines(str(policy["project"]), text, now), self._open(policy, name)
        if alert is None and found:
            yield self._opened(policy, name, {"resource": found[0]["resource"]}, f"{name}: {len(found)} lines in a minute.", now)
        elif alert is not None and found:
            self._keep(alert, seen=now)
        elif alert is not None and now - alert["seen"] >= _auto_close_s(policy):
            yield self._closed(policy, alert, "not in the log any more", now)

    def _lines(self, project: str, text: str, now: float) -> list[Mapping[str, Any]]:
        logs, chosen = logs_of(self.twin), log_filter.read(text)
        if logs is None:
            return []
        entries = logs.store.entries(project, since=now - MINUTE_S, newest_first=False, after=None)
        return [entry for (at, _), entry in entries if at < now and chosen.matches(entry)]

    def _open(self, policy: Resource, name: str) -> Resource | None:
        """The incident of a condition that is open."""
        return next(iter(self.twin.world.find(ALERT, policy=policy.id, condition=name, state=OPEN)), None)

    def _opened(self, policy: Resource, name: str, about: Mapping[str, Any], said: str, now: float) -> str:
        outputs = {
            "project": policy["project"],
            "policy": policy.id,
            "policyName": policy["displayName"],
            "condition": name,
            "state": OPEN,
            "openTime": timestamp(now),
            **about,
            "seen": now,
        }
        id_ = f"projects/{policy['project']}/alerts/{assigned.digits(19)}"
        self.twin.world.put(Resource(token=ALERT, id=id_, urn="", outputs=outputs))
        return self._told(policy, OPEN, said)

    def _closed(self, policy: Resource, alert: Resource, value: str, now: float) -> str:
        self._keep(alert, state=CLOSED, closeTime=timestamp(now))
        return self._told(policy, CLOSED, f"{alert['condition']} is {value}.")

    def _keep(self, alert: Resource, **changed: Any) -> None:
        self.twin.world.put(replace(alert, outputs={**alert.outputs, **changed}))

    def _told(self, policy: Resource, state: str, text: str) -> str:
        """Mail the policy's channels; what happened."""
        subject, told = f"[ALERT {state}] {policy['displayName']}", []
        content = str((policy.get("documentation") or {}).get("content") or "")
        for name in policy.get("notificationChannels") or []:
            channel = self.twin.world.get(CHANNEL, name)
            if channel is not None and (address := (channel.get("labels") or {}).get("email_address")):
                self.twin.sns.mail(SENDER, address, subject, f"{text}\n{content}".strip(), confirmed=True)
                told.append(address)
        return f"{policy['displayName']}: {state}" + (f" (mailed to {', '.join(told)})" if told else "")


def _of(kind: str, labels: Mapping[str, str]) -> dict[str, str]:
    before = f"{kind}.labels."
    return {selector.removeprefix(before): text for selector, text in labels.items() if selector.startswith(before)}


def _shown(value: float | None) -> str:
    return "without data" if value is None else f"{value:g}"


def _auto_close_s(policy: Resource) -> float:
    return seconds((policy.get("alertStrategy") or {}).get("autoClose")) or _AUTO_CLOSE_S

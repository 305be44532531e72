"""Alerts that fired, whatever their rule looks at: kept, mailed, resolved, forgotten."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pilotlight.twin.azure import arm, times
from pilotlight.twin.azure.types import ACTION_GROUP, ALERT
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

FIRED, RESOLVED = "Fired", "Resolved"
SENDER = "azure-noreply@microsoft.com"
# Azure Monitor documentation, "What are Azure Monitor alerts?": so many checks in a row that are not met (of logs that are looked at
# every 5 to 15 minutes too), and how long alerts are kept.
_GOOD_CHECKS = 3
KEPT_S = 30 * 86_400
# The values of an alert's dimensions, by their names: each combination is judged, and fires, by itself.
Combination = tuple[tuple[str, str], ...]


class Judged(Protocol):
    """What a rule asks for."""

    def met(self, value: float) -> bool:
        """Whether a figure is one to tell of."""

    def said(self, key: Combination, value: float) -> str:
        """The sentence that is mailed then."""


class FiredAlerts:
    """The alerts of rules of one kind; `signal` and `service` are what Alerts Management calls it. The alerts of a rule that is deleted
    go with it, where Azure would keep them for 30 days."""

    def __init__(self, twin: Twin, signal: str, service: str) -> None:
        self._twin, self._signal, self._service = twin, signal, service

    def judge(self, alert: Resource, rule: Judged, figures: Mapping[Combination, float], now: float) -> Iterator[str]:
        """Fire and resolve by what the figures of one check are; each a sentence. What has no figure is not met."""
        fired = {_combination(one): one for one in self._twin.world.find(ALERT, rule=alert.id, monitorCondition=FIRED)}
        for key, value in figures.items():
            if rule.met(value) and key not in fired:
                yield self._fired(alert, key, rule.said(key, value), now)
        for key, one in fired.items():
            if key in figures and rule.met(figures[key]):
                if one["good"]:
                    self._keep(one, good=0)
            elif one["good"] + 1 < _GOOD_CHECKS:
                self._keep(one, good=one["good"] + 1)
            else:
                self._keep(one, monitorCondition=RESOLVED, changed=now)
                yield self._told(alert, RESOLVED, f"Its criterion was not met at {_GOOD_CHECKS} checks in a row.", now)

    def delete(self, rule: Resource) -> None:
        for alert in self._twin.world.find(ALERT, rule=rule.id):
            self._twin.world.delete(ALERT, alert.id)

    def forget(self, now: float) -> None:
        """Alerts that are kept no longer; one that still stands stays, so that it does not fire again."""
        for one in self._twin.world.find(ALERT, monitorCondition=RESOLVED):
            if now - one["started"] > KEPT_S:
                self._twin.world.delete(ALERT, one.id)

    def _fired(self, alert: Resource, key: Combination, text: str, now: float) -> str:
        id_ = f"/{'/'.join(alert.id.strip('/').split('/')[:2])}/providers/Microsoft.AlertsManagement/alerts/{uuid.uuid4()}"
        outputs = {
            "rule": alert.id,
            "signal": self._signal,
            "service": self._service,
            "scope": str(alert["scopes"][0]),
            "severity": f"Sev{alert['severity']:g}",
            "description": str(alert.get("description") or ""),
            "combination": [list(each) for each in key],
            "monitorCondition": FIRED,
            "started": now,
            "changed": now,
            "good": 0,
        }
        self._twin.world.put(Resource(token=ALERT, id=id_, urn="", outputs=outputs))
        return self._told(alert, FIRED, text, now)

    def _keep(self, one: Resource, **changed: Any) -> None:
        self._twin.world.put(replace(one, outputs={**one.outputs, **changed}))

    def _told(self, alert: Resource, condition: str, text: str, now: float) -> str:
        """Mail the alert's action groups; what happened."""
        name, told = str(alert["name"]), []
        about = f"{arm.type_of(str(alert['scopes'][0]))} {alert['scopes'][0]}"
        subject = f"{condition}:Sev{alert['severity']:g} Azure Monitor Alert {name}"
        for id_ in groups_of(alert.outputs):
            group = arm.find(self._twin.world, id_)
            if group is None or group.token != ACTION_GROUP or not group.get("enabled", True):
                continue
            for receiver in group.get("emailReceivers") or []:
                body = f"{text}\n{alert.get('description') or ''}\n{about}\n{times.iso(now)}"
                self._twin.sns.mail(SENDER, receiver["emailAddress"], subject, body, confirmed=True)
                told.append(str(receiver["emailAddress"]))
        return f"{name}: {condition}" + (f" (mailed to {', '.join(told)})" if told else "")


def groups_of(alert: Mapping[str, Any]) -> list[str]:
    """The ids of the action groups of a rule: rules on metrics list them one by one, rules on logs together."""
    actions = alert.get("actions") or []
    return [str(one.get("actionGroupId")) for one in actions] if isinstance(actions, list) else list(actions.get("actionGroups") or [])


def _combination(one: Resource) -> Combination:
    return tuple((str(name), str(value)) for name, value in one["combination"])

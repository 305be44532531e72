"""Metric alerts on the twin's clock: what fires and resolves, whom it is mailed to, and how Alerts Management lists it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.aws.sns import SnsService
from pilotlight.twin.azure import types
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.azure.metric_alerts import MetricAlerts
from pilotlight.twin.azure.monitor_counts import PLACE, gateway_answered
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.clock import Clock
from pilotlight.twin.metrics import MINUTE_S
from pilotlight.twin.timers import Timers
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP, NAME, Account
from tests.parts.twin.azure.test_alerts import WATCHED, alert, criterion
from tests.parts.twin.azure.test_resource_manager import ask

ALERTS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts"
START, DAY_S = 1_790_000_100.0, 86_400


class Watched(Account):
    """A service that is watched, on a clock that stands still but for `minutes`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, azure_planes({types.METRIC_ALERT: PLACE}))
        # A whole number: sums of its seconds are exact.
        self.twin.clock = Clock(START, 0)
        self.twin.timers = Timers(self.twin.clock)
        self.twin.wait = asyncio.run
        self.twin.sns = SnsService()
        self.twin.sns.attach(self.twin)
        self.group()
        self.service = self.make(types.API_MANAGEMENT, "tried", WATCHED)

    @property
    def plane(self) -> MetricAlerts:
        plane = self.twin.azure.planes.made(PLACE)
        assert isinstance(plane, MetricAlerts)
        return plane

    def rule(self, name: str = "errors", *criteria: dict[str, Any], **given: Any) -> Resource:
        return self.make(types.METRIC_ALERT, name, alert(self.service.id, *criteria, ruleName=name, **given))

    def mailed(self) -> dict[str, Any]:
        """The actions of an alert that is mailed."""
        given = {**IN_GROUP, "location": "global", "groupShortName": "ops", "enabled": True}
        receivers = [{"name": "mail", "emailAddress": "ops@example.com"}]
        group = self.make(types.ACTION_GROUP, "mail", {**given, "emailReceivers": receivers})
        return {"actions": [{"actionGroupId": group.id}]}

    def answers(self, *statuses: int) -> None:
        for status in statuses:
            gateway_answered(self.twin, self.service, status)

    def minutes(self, count: int = 1) -> list[str]:
        """What was said at the end of each of so many minutes."""
        said = []
        for _ in range(count):
            now = self.twin.clock.now()
            self.twin.clock.advance((now // MINUTE_S + 1) * MINUTE_S - now)
            said.append(asyncio.run(self.plane._minute(self.twin.clock.now())) or "")
        return said

    def listed(self, **asked: str) -> list[dict[str, Any]]:
        status, content = self.asked(**asked)
        assert status == 200, content
        return [one["properties"]["essentials"] for one in content["value"]]

    def asked(self, **asked: str) -> tuple[int, Any]:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return ask(self, ALERTS, version=f"2019-05-05-preview&{query}" if query else "2019-05-05-preview")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    asyncio.run(made.twin.azure.planes.close())
    made.world.close()


def test_an_alert_fires_once_and_resolves_after_three_checks_without_it(watched: Watched) -> None:
    made = watched.rule(**watched.mailed())
    watched.answers(200, 404)
    assert watched.minutes() == [""]
    watched.answers(500)
    assert watched.minutes() == ["errors: Fired (mailed to ops@example.com)"]
    [told] = watched.listed()
    assert (told["monitorCondition"], told["severity"], told["alertRule"]) == ("Fired", "Sev1", made.id)
    assert (told["targetResource"], told["targetResourceGroup"]) == (watched.service.id, NAME)
    assert "monitorConditionResolvedDateTime" not in told
    # In its window for four minutes more, then three checks.
    assert watched.minutes(6) == [""] * 6
    assert watched.minutes() == ["errors: Resolved (mailed to ops@example.com)"]
    [told] = watched.listed()
    assert (told["monitorCondition"], told["monitorConditionResolvedDateTime"]) == ("Resolved", told["lastModifiedDateTime"])
    mails = [json.loads(line) for line in watched.twin.sns.mails.read_text().splitlines()]
    subject = "{}:Sev1 Azure Monitor Alert errors"
    assert [(one["to"], one["subject"]) for one in mails] == [
        ("ops@example.com", subject.format(condition)) for condition in ("Fired", "Resolved")
    ]
    assert "Total of Requests (GatewayResponseCodeCategory 5xx) is 1, its threshold 0." in mails[0]["text"]


def test_a_check_that_is_met_begins_the_count_anew(watched: Watched) -> None:
    watched.rule(windowSize="PT1M")
    watched.answers(500)
    assert watched.minutes(3) == ["errors: Fired", "", ""]
    watched.answers(500)
    assert watched.minutes(4) == ["", "", "", "errors: Resolved"]
    watched.answers(500)
    assert watched.minutes() == ["errors: Fired"], "another alert"
    assert [one["monitorCondition"] for one in watched.listed()] == ["Fired", "Resolved"]


def test_an_alert_is_checked_by_its_frequency(watched: Watched) -> None:
    watched.twin.clock.advance(900 - watched.twin.clock.now() % 900)
    watched.rule(evaluationFrequency="PT15M", windowSize="PT30M")
    watched.answers(500)
    assert watched.minutes(15) == [""] * 14 + ["errors: Fired"]


def test_combinations_of_values_fire_by_themselves(watched: Watched) -> None:
    both = [{"name": "GatewayResponseCodeCategory", "operator": "Include", "values": ["4xx", "5xx"]}]
    watched.rule("errors", criterion(dimensions=both), windowSize="PT1M")
    watched.answers(404)
    assert watched.minutes(2) == ["errors: Fired", ""]
    watched.answers(500)
    assert watched.minutes(2) == ["errors: Fired", "errors: Resolved"]
    assert [one["monitorCondition"] for one in watched.listed()] == ["Resolved", "Fired"]


def test_what_no_alert_asks_for_is_not_kept(watched: Watched) -> None:
    watched.answers(500)
    watched.rule()
    watched.answers(200, 404)
    assert watched.plane.metrics.known() == []
    watched.answers(503)
    assert [one.name for one in watched.plane.metrics.known()] == ["Requests"]


def test_a_rule_that_changes_or_goes_takes_its_alerts_along(watched: Watched) -> None:
    made = watched.rule()
    watched.answers(500)
    watched.minutes()
    changed = watched.change(made, {**made.inputs, "enabled": False})
    assert watched.listed() == []
    watched.answers(500)
    assert watched.minutes() == [""]
    watched.delete(watched.change(changed, {**made.inputs, "enabled": True}))
    watched.answers(500)
    assert (watched.minutes(), watched.listed()) == ([""], [])


def test_an_alert_stands_and_is_counted_on_after_a_restart(watched: Watched) -> None:
    watched.rule(windowSize="PT1M")
    watched.answers(500)
    assert watched.minutes(2) == ["errors: Fired", ""]
    asyncio.run(watched.twin.azure.planes.close())
    asyncio.run(watched.twin.azure.planes.start(watched.twin))
    assert watched.minutes(2) == ["", "errors: Resolved"]


def test_mail_goes_to_no_action_group_that_is_off(watched: Watched) -> None:
    actions = watched.mailed()
    [group] = watched.world.find(types.ACTION_GROUP)
    watched.rule(**actions)
    watched.change(group, {**group.inputs, "enabled": False})
    watched.answers(500)
    assert watched.minutes() == ["errors: Fired"]


def test_alerts_are_listed_by_what_is_asked_for(watched: Watched) -> None:
    made = watched.rule(windowSize="PT1M")
    watched.rule("others", criterion(dimensions=[]), severity=3)
    watched.answers(500)
    watched.minutes(1)

    def rules(**asked: str) -> list[str]:
        return sorted(one["alertRule"].rpartition("/")[2] for one in watched.listed(**asked))

    assert rules() == rules(monitorCondition="fired", targetResource=watched.service.id, targetResourceGroup=NAME) == ["errors", "others"]
    assert rules(severity="Sev3") == ["others"]
    assert rules(alertRule=made.id) == ["errors"]
    assert rules(monitorCondition="Resolved") == rules(targetResourceGroup="another") == []
    watched.minutes(3)
    assert rules(monitorCondition="Resolved") == ["errors"]
    watched.twin.clock.advance(2 * DAY_S)
    assert (rules(), rules(timeRange="7d")) == ([], ["errors", "others"])
    assert watched.asked(pageCount="5")[1]["error"]["message"].startswith("pageCount: not known to the local twin")
    assert watched.asked(timeRange="2d")[0] == 400


def test_alerts_are_kept_for_thirty_days_unless_they_stand(watched: Watched) -> None:
    watched.rule(windowSize="PT1M")
    watched.answers(500)
    watched.minutes(4)
    watched.answers(500)
    watched.minutes()
    watched.twin.clock.advance(31 * DAY_S)
    watched.minutes()
    assert [one["monitorCondition"] for one in watched.world.find(types.ALERT)] == ["Fired"]


def test_who_may_not_read_alerts_is_not_told_of_them(watched: Watched) -> None:
    watched.twin.faults.set({"account": {"denied": ["Microsoft.AlertsManagement/alerts/read"]}})
    assert watched.asked()[1]["error"]["code"] == "AuthorizationFailed"

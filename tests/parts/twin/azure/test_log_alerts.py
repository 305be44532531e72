"""Alerts on log lines: what is refused of them, what fires and resolves on the twin's clock, whom it is mailed to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.aws.sns import SnsService
from pilotlight.twin.azure import log_alerts, log_analytics, types
from pilotlight.twin.azure.log_alerts import LogAlerts
from pilotlight.twin.azure.log_analytics import LogAnalytics
from pilotlight.twin.azure.log_lines import Source
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.clock import Clock
from pilotlight.twin.metrics import MINUTE_S
from pilotlight.twin.timers import Timers
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP, NAME, Account
from tests.parts.twin.azure.test_alerts import previewed
from tests.parts.twin.azure.test_metric_alerts import ALERTS
from tests.parts.twin.azure.test_resource_manager import ask

START, QUARTER = 1_790_000_100.0, 15
FAULTY = 'ContainerAppConsoleLogs | where Log has "fault"'
AGES = "ContainerAppConsoleLogs | extend line = parse_json(Log) | project TimeGenerated, age_s = todouble(line.seconds)"


def condition(**more: Any) -> dict[str, Any]:
    given = {"query": FAULTY, "timeAggregation": "Count", "operator": "GreaterThan", "threshold": 0, **more}
    return {name: value for name, value in given.items() if value is not None}


def rule(scope: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        **IN_GROUP,
        "ruleName": "faults",
        "kind": "LogAlert",
        "severity": 1,
        "scopes": [scope],
        "evaluationFrequency": "PT15M",
        "windowSize": "PT15M",
        "autoMitigate": True,
        "criteria": {"allOf": [*conditions] or [condition()]},
        **more,
    }


AGED = {"query": AGES, "timeAggregation": "Maximum", "metricMeasureColumn": "age_s", "threshold": 3600}


class Watched(Account):
    """A workspace whose lines are watched, on a clock that stands still but for `minutes`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, azure_planes({types.LOG_ALERT: log_alerts.PLACE, types.WORKSPACE: log_analytics.PLACE}))
        self.twin.clock = Clock(START, 0)
        self.twin.timers = Timers(self.twin.clock)
        self.twin.wait = asyncio.run
        self.twin.sns = SnsService()
        self.twin.sns.attach(self.twin)
        self.group()
        self.workspace = self.make(types.WORKSPACE, "logs", {**IN_GROUP, "workspaceName": "logs"})

    def plane(self, place: str) -> Any:
        return self.twin.azure.planes.made(place)

    def mailed(self) -> dict[str, Any]:
        given = {**IN_GROUP, "location": "global", "groupShortName": "ops", "enabled": True}
        receivers = [{"name": "mail", "emailAddress": "ops@example.com"}]
        return {"actions": {"actionGroups": [self.make(types.ACTION_GROUP, "mail", {**given, "emailReceivers": receivers}).id]}}

    def says(self, *lines: str) -> None:
        plane = self.plane(log_analytics.PLACE)
        assert isinstance(plane, LogAnalytics)
        owner = Resource(token=types.APP, id="/e/apps/api", urn="", outputs={"location": "westeurope"})
        source = Source(workspace=self.workspace.id, owner=owner, environment="/e/env", container="main", image="i", replica="r")

        async def say() -> None:
            for line in lines:
                plane.write(source, line)

        asyncio.run(say())

    def minutes(self, count: int = QUARTER) -> list[str]:
        """What was said at the end of each of so many minutes, where something was."""
        plane, said = self.plane(log_alerts.PLACE), []
        assert isinstance(plane, LogAlerts)
        for _ in range(count):
            now = self.twin.clock.now()
            self.twin.clock.advance((now // MINUTE_S + 1) * MINUTE_S - now)
            said.append(asyncio.run(plane._minute(self.twin.clock.now())) or "")
        return [each for each in said if each]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    asyncio.run(made.twin.azure.planes.close())
    made.world.close()


def test_an_alert_fires_once_and_resolves_after_three_checks_without_it(watched: Watched) -> None:
    made = watched.make(types.LOG_ALERT, "faults", rule(watched.workspace.id, **watched.mailed()))
    assert made.id.endswith("/Microsoft.Insights/scheduledQueryRules/faults")
    watched.says("all is well")
    assert watched.minutes() == []
    watched.says('{"event": "fault"}', "another fault")
    assert watched.minutes() == ["faults: Fired (mailed to ops@example.com)"]
    status, content = ask(watched, ALERTS, version="2019-05-05-preview")
    [told] = [one["properties"]["essentials"] for one in content["value"]]
    assert (status, told["signalType"], told["monitorService"], told["monitorCondition"]) == (200, "Log", "Log Alerts V2", "Fired")
    assert (told["targetResource"], told["alertRule"], told["targetResourceGroup"]) == (watched.workspace.id, made.id, NAME)
    assert watched.minutes(2 * QUARTER) == []
    assert watched.minutes() == ["faults: Resolved (mailed to ops@example.com)"]
    mails = [json.loads(line) for line in watched.twin.sns.mails.read_text().splitlines()]
    assert [one["subject"] for one in mails] == [f"{word}:Sev1 Azure Monitor Alert faults" for word in ("Fired", "Resolved")]
    assert "Count of rows is 2, its threshold 0." in mails[0]["text"]


def test_a_number_of_the_lines_is_held_against_a_threshold_and_none_is_not_met(watched: Watched) -> None:
    watched.make(types.LOG_ALERT, "old", rule(watched.workspace.id, condition(**AGED), ruleName="old"))
    assert watched.minutes() == []
    watched.says('{"seconds": 3600}', "no number")
    assert watched.minutes() == []
    watched.says('{"seconds": 30}', '{"seconds": 3601.5}')
    assert watched.minutes() == ["old: Fired"]


@pytest.mark.parametrize(("made", "fires"), [("Minimum", False), ("Average", True), ("Total", True)])
def test_what_is_made_of_the_numbers(watched: Watched, made: str, fires: bool) -> None:
    watched.make(types.LOG_ALERT, "old", rule(watched.workspace.id, condition(**{**AGED, "timeAggregation": made, "threshold": 10})))
    watched.says('{"seconds": 5}', '{"seconds": 20}')
    assert watched.minutes() == (["faults: Fired"] if fires else [])


def test_only_what_came_in_the_window_counts(watched: Watched) -> None:
    watched.make(types.LOG_ALERT, "faults", rule(watched.workspace.id, evaluationFrequency="PT5M", windowSize="PT5M"))
    watched.says("fault")
    assert watched.minutes(5) == ["faults: Fired"]
    other = watched.make(types.WORKSPACE, "others", {**IN_GROUP, "workspaceName": "others"})
    watched.make(types.LOG_ALERT, "elsewhere", rule(other.id, ruleName="elsewhere"))
    watched.says("fault")
    assert (watched.minutes(19), watched.minutes(1)) == ([], ["faults: Resolved"])


def test_what_is_off_or_gone_says_nothing(watched: Watched) -> None:
    off = watched.make(types.LOG_ALERT, "off", rule(watched.workspace.id, ruleName="off", enabled=False))
    on = watched.make(types.LOG_ALERT, "faults", rule(watched.workspace.id))
    watched.says("fault")
    assert watched.minutes() == ["faults: Fired"]
    for each in (off, on):
        watched.delete(each)
    assert watched.world.find(types.ALERT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "LogToMetric"}, "kind: 'LogToMetric' is not served by the local twin: use LogAlert."),
        ({"autoMitigate": False}, "autoMitigate: the local twin's alerts resolve by themselves"),
        ({"evaluationFrequency": "PT2M"}, "evaluationFrequency: 'PT2M' is not allowed: use one of PT1M, PT5M, PT10M"),
        ({"windowSize": "PT5M"}, "windowSize: PT5M is shorter than evaluationFrequency PT15M"),
        ({"severity": 5}, "severity: 5 is not allowed"),
        ({"muteActionsDuration": "PT5M"}, "muteActionsDuration: is not served by the local twin"),
        ({"scopes": ["/a", "/b"]}, "scopes: use one workspace."),
        ({"criteria": {"allOf": []}}, "criteria.allOf: has 0 conditions: use one."),
        ({"criteria": {"allOf": [condition(), condition()]}}, "criteria.allOf: has 2 conditions"),
    ],
)
def test_what_is_refused_of_a_rule(watched: Watched, change: dict[str, Any], said: str) -> None:
    assert said in previewed(watched, types.LOG_ALERT, {**rule(watched.workspace.id), **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": "Nope"}, "criteria.allOf[0].query: The request had some invalid properties"),
        ({"timeAggregation": "Median"}, "timeAggregation: 'Median' is not allowed: use one of Count, Average"),
        ({"operator": "More"}, "operator: 'More' is not allowed"),
        ({"threshold": None}, "threshold: is missing"),
        ({"metricMeasureColumn": "n"}, "metricMeasureColumn: rows are counted: leave it out."),
        ({**AGED, "metricMeasureColumn": "TimeGenerated"}, "'TimeGenerated' is no column of numbers that the query makes: it has age_s."),
        ({"failingPeriods": {"minFailingPeriodsToAlert": 1, "numberOfEvaluationPeriods": 2}}, "judges one period: use 1 of 1."),
        ({"dimensions": [{"name": "Log", "operator": "Include", "values": ["*"]}]}, "dimensions: is not served by the local twin"),
        ({"criterionType": "DynamicThresholdCriterion"}, "criterionType: 'DynamicThresholdCriterion' is not served"),
    ],
)
def test_what_is_refused_of_a_condition(watched: Watched, change: dict[str, Any], said: str) -> None:
    assert said in previewed(watched, types.LOG_ALERT, rule(watched.workspace.id, condition(**change)))


def test_what_is_asked_and_told_must_be_there(watched: Watched) -> None:
    scope = watched.workspace.id
    assert "was not found" in watched.refused(types.LOG_ALERT, rule(f"{scope}-gone"))
    group = watched.mailed()["actions"]["actionGroups"][0]
    assert "is no workspace" in watched.refused(types.LOG_ALERT, rule(group))
    assert "is no action group that is there" in watched.refused(types.LOG_ALERT, rule(scope, actions={"actionGroups": [scope]}))

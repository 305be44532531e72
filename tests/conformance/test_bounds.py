"""What bounds the cost of warming, on a whole stack: pings inside their window, a lease that ends, a budget that drops the floor."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.conformance.observed import observed_of
from tests.conformance.stacks import STACKS
from tests.conformance.warmed import SOON, WINDOW, Warmed, brought_up, local_now, next_monday
from tests.support.clients import client
from tests.support.deployment import Deployment
from tests.support.size import only_all

*OTHERS, FIRST = [ready.name for ready in STACKS if ready.pattern == "api" and ready.cloud == "aws"]
PINGED = 2
# Before the window that keeps one instance warm, so that none is warm but by the pings.
PINGS = {
    "kind": "ping",
    "everyMinutes": 5,
    "parallel": PINGED,
    "cron": "30 7 * * MON",
    "until": "40 7 * * MON",
    "timezone": WINDOW["timezone"],
}
USD = 100
MAIL = "ops@example.com"
BUDGET = {"monthlyUsd": USD, "alertAt": [0.5], "onExceeded": "drop-warming", "email": MAIL}


@pytest.fixture(scope="module", params=[FIRST, *(pytest.param(name, marks=only_all) for name in OTHERS)])
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before its pings; the lease of the window ends with Tuesday."""
    stack = str(request.param)
    monday = next_monday(local_now(deployment))
    window = {**WINDOW, "leaseUntil": (monday + timedelta(days=1)).date().isoformat()}
    yield brought_up(deployment, stack, monday, [PINGS, window], {"budget": BUDGET})
    deployment.report("destroy", stack)


def said(ran: list[dict[str, Any]], name: str) -> str:
    """What the timers of that name had to tell."""
    return "; ".join(one["said"] for one in ran if one["name"] == name)


def schedules(warmed: Warmed) -> dict[str, str]:
    """The names of the stack's schedules, and when each was changed."""
    listed = client(warmed.variables, "scheduler").list_schedules(GroupName=warmed.made["scheduleGroup"])["Schedules"]
    return {each["Name"]: str(each["LastModificationDate"]) for each in listed}


def scaled(warmed: Warmed) -> int:
    """How many scalable targets and scheduled actions the account has for the stack's platform."""
    asked, scaling = {"ServiceNamespace": warmed.made["platform"].removeprefix("aws-")}, client(warmed.variables, "application-autoscaling")
    return len(
        scaling.describe_scalable_targets(**asked)["ScalableTargets"] + scaling.describe_scheduled_actions(**asked)["ScheduledActions"]
    )


def test_a_ping_touches_as_many_instances_as_the_plan_says_and_no_caller_waits_for_one(warmed: Warmed) -> None:
    observed = observed_of(warmed.deployment, warmed.made)
    role, group = ("-model", "-model") if warmed.made["platform"] == "aws-lambda" else ("-api", "Endpoints")
    before = observed.processes(role)
    warmed.goes_to(warmed.at("07:31"))
    told = observed.line("-warmer", event="warmed")
    assert (told["pings"], told["answered"], told["instances"]) == (PINGED, PINGED, PINGED)
    assert len(observed.processes(role)) >= PINGED > len(before)
    assert not warmed.is_cold(), "the cold start was the ping's"
    assert observed.line(group, event="request")["status"] == 200
    lines = [line.get("event") for line in observed.lines(group)]
    assert (lines.count("ping"), lines.count("request")) == (PINGED, 1), "a ping is no request"
    warmed.goes_to(warmed.at("07:50"))
    pings = [line for line in observed.lines("-warmer") if line.get("event") == "warmed"]
    assert len(pings) == 2, "at half past and five minutes later; then the window is over"
    span = {"StartTime": warmed.at("07:20"), "EndTime": warmed.at("07:50"), "Period": 1800, "Statistics": ["Sum"]}
    service = [{"Name": "Service", "Value": warmed.stack}]
    [counted] = client(warmed.variables, "cloudwatch").get_metric_statistics(
        Namespace="Pilotlight", MetricName="Pings", Dimensions=service, **span
    )["Datapoints"]
    assert counted["Sum"] == 2 * PINGED


def test_a_spent_budget_is_told_and_drops_the_floor_until_an_up_with_a_refresh(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("08:00") + SOON)
    assert warmed.floor() == 1
    warmed.deployment.twin("spend", {"usd": 0.6 * USD})
    # Costs are known hours later: three times a day on the twin, at 8, 16 and 24 o'clock UTC.
    told = said(warmed.goes_to(warmed.at("10:05")), "budgets")
    assert "over 50 %" in told
    assert MAIL in told
    assert warmed.floor() == 1, "an alert drops nothing"
    warmed.deployment.twin("spend", {"usd": 1.01 * USD})
    assert "over 100 %" in said(warmed.goes_to(warmed.at("18:05")), "budgets")
    warmed.goes_to(warmed.at("08:00", days=1) + timedelta(minutes=20))
    assert warmed.floor() == 0, "neither the window's start nor the assertion after it raises what the budget has dropped"
    warmed.deployment.pulumi("up", "--refresh", "--yes", "--skip-preview", "-s", warmed.stack)
    assert (warmed.floor(), warmed.declared()) == (1, 1)
    assert not warmed.is_cold(fresh=True)
    warmed.goes_to(warmed.at("12:00", days=1) + SOON)
    assert warmed.floor() == 0


def test_the_lease_ends_the_window_and_the_next_up_takes_away_what_it_made(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("08:00", days=2) + timedelta(minutes=20))
    assert warmed.floor() == 0
    before = schedules(warmed)
    pings = {name: changed for name, changed in before.items() if "-ping-" in name}
    report = warmed.up()
    told = [each["message"] for each in report["diagnostics"] if each["severity"] == "warning" and "leaseUntil" in each["message"]]
    assert len(told) == 1
    assert told[0].startswith("warming.1.leaseUntil: ")
    assert (warmed.floor(), warmed.declared()) == (0, 0)
    assert (schedules(warmed), scaled(warmed)) == (pings, 0), "nothing of the window is left, and the pings are as they were"
    warmed.deployment.configure(warmed.stack, {"warming": [PINGS]})
    assert set(warmed.up()["changes"]) == {"unchanged"}, "to take the rule out changes nothing"


@only_all
def test_an_up_at_the_very_end_of_a_lease_inside_its_window_leaves_no_floor(warmed: Warmed) -> None:
    night = {**WINDOW, "cron": "0 22 * * *", "until": "0 6 * * *", "leaseUntil": warmed.at("12:00", days=2).date().isoformat()}
    warmed.deployment.configure(warmed.stack, {"warming": [PINGS, night]})
    warmed.up()
    end = warmed.at("00:00", days=3)
    warmed.goes_to(end - timedelta(seconds=20))
    assert (warmed.floor(), warmed.declared()) == (1, 0), "the state is that of before the window"
    assert warmed.deployment.report("up", warmed.stack, "--local", "--at", end.isoformat())["result"] == "succeeded"
    warmed.goes_to(end + timedelta(minutes=20))
    assert warmed.floor() == 0
    warmed.goes_to(end + timedelta(hours=1))
    warmed.up()
    assert (warmed.floor(), scaled(warmed)) == (0, 0)
    assert all("-ping-" in name for name in schedules(warmed))

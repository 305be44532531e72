"""What bounds the cost of warming, on a whole stack: pings inside their window, a lease that ends, a budget that drops the floor."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from components.warming_checks import AVERAGED
from tests.conformance.warmed import (
    APIS,
    SOON,
    WINDOW,
    ZONE,
    AzureWarmed,
    GoogleWarmed,
    Warmed,
    brought_up,
    local_now,
    next_monday,
)
from tests.support.deployment import Deployment
from tests.support.size import only_all

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
# By default one, by `make test-all` every one.
USUAL = "aws-lambda-api"
BOUNDED = [name for name, ready in APIS.items() if ready.has("warming.ping")]


def pings_of(stack: str) -> dict[str, Any]:
    """So many as its platform takes at a time."""
    return {**PINGS, "parallel": 1 if APIS[stack].service["endpoint"]["platform"] in AVERAGED else PINGED}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=() if name == USUAL else only_all) for name in BOUNDED])
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before its pings; the lease of the window ends with Tuesday."""
    stack = str(request.param)
    monday = next_monday(local_now(deployment))
    while (monday + timedelta(days=1)).month != monday.month:
        # In a new month nothing is spent yet.
        monday += timedelta(days=7)
    window = {**WINDOW, "leaseUntil": (monday + timedelta(days=1)).date().isoformat()}
    yield brought_up(deployment, stack, monday, [pings_of(stack), window], {"budget": BUDGET})
    deployment.report("destroy", stack)


def said(ran: list[dict[str, Any]], name: str) -> str:
    """What the timers of that name had to tell."""
    return "; ".join(one["said"] for one in ran if one["name"] == name)


def test_a_ping_touches_as_many_instances_as_the_plan_says_and_no_caller_waits_for_one(warmed: Warmed) -> None:
    pinged = pings_of(warmed.stack)["parallel"]
    observed, (role, group), sent = warmed.observed, warmed.model, pinged * warmed.requests
    before = observed.processes(role)
    ran = warmed.goes_to(warmed.at("07:31"))
    told = observed.line("-warmer", event="warmed")
    assert (told["pings"], told["answered"], told["instances"]) == (sent, sent, pinged)
    if isinstance(warmed, GoogleWarmed):
        assert_only_its_job_calls_the_warmer(warmed, ran)
    assert len(observed.processes(role)) >= pinged > len(before)
    assert not warmed.is_cold(), "the cold start was the ping's"
    assert observed.line(group, event="request")["status"] == 200
    # A new version of a function is pinged too, before it is used.
    own = [line for line in observed.lines(group) if line.get("event") == "request" or told["request_id"] in str(line.get("request_id"))]
    lines = [line.get("event") for line in own]
    assert (lines.count("ping"), lines.count("request")) == (sent, 1), "a ping is no request"
    warmed.goes_to(warmed.at("07:50"))
    pings = [line for line in observed.lines("-warmer") if line.get("event") == "warmed"]
    assert len(pings) == 2, "at half past and five minutes later; then the window is over"
    assert pings[1]["cold"] == 0, "what the first one warmed is there for the second one"
    assert warmed.pinged(warmed.at("07:20"), warmed.at("07:50")) == 2 * sent


def assert_only_its_job_calls_the_warmer(warmed: GoogleWarmed, ran: list[dict[str, Any]]) -> None:
    """By its token: the same request without one is refused, as Cloud Scheduler's would be."""
    [called] = [one["said"] for one in ran if warmed.pings in one["name"]]
    address = called.removeprefix("POST ").removesuffix(" answered 200")
    assert f"{warmed.made['endpointName']}-warmer" in address, called
    assert httpx.post(address, json={"parallel": 1}).status_code in (401, 403, 404)


def test_a_spent_budget_is_told_and_drops_the_floor_until_an_up_with_a_refresh(warmed: Warmed) -> None:
    if isinstance(warmed, AzureWarmed):
        pytest.skip("a budget is looked at once a day there, and asked (the test below)")
    warmed.goes_to(warmed.at("08:00") + SOON)
    assert warmed.floor() == 1
    warmed.deployment.twin("spend", {"usd": 0.6 * USD})
    # Costs are known hours later: three times a day on the twin, at 8, 16 and 24 o'clock UTC.
    told = said(warmed.goes_to(warmed.at("10:05")), warmed.budgets)
    assert "over 50" in told
    assert MAIL in told
    assert warmed.floor() == 1, "an alert drops nothing"
    warmed.deployment.twin("spend", {"usd": 1.01 * USD})
    assert "over 100" in said(warmed.goes_to(warmed.at("18:05")), warmed.budgets)
    warmed.goes_to(warmed.at("08:00", days=1) + timedelta(minutes=20))
    assert warmed.floor() == 0, "neither the window's start nor the assertion after it raises what the budget has dropped"
    dropped = warmed.told()
    assert (dropped["status"], dropped["mend"]) == ("warn", f"pilotlight up {warmed.stack} --refresh")
    # By the job's own clock, which the twin does not move.
    assert dropped["found"].startswith("the budget dropped the warming floor on 20"), dropped
    refreshed(warmed)
    warmed.goes_to(warmed.at("10:30", days=1))
    assert warmed.floor() == (0 if warmed.drops_again else 1)
    if warmed.drops_again:
        # As long as it is spent every message says so: only a larger budget, or a new month, ends that.
        warmed.deployment.configure(warmed.stack, {"budget": {"monthlyUsd": 2 * USD}})
        refreshed(warmed)
    ran = warmed.goes_to(warmed.at("12:00", days=1) + SOON)
    assert warmed.floor() == 0, ran


def test_a_spent_budget_that_is_asked_takes_the_floor_until_an_up_with_a_refresh(warmed: Warmed) -> None:
    """On Azure: looked at once a day, on the twin at 8 o'clock UTC, and asked at 23 past every fourth hour."""
    if not isinstance(warmed, AzureWarmed):
        pytest.skip("a budget tells of itself there (the test above)")
    warmed.goes_to(warmed.at("08:00") + SOON)
    assert (warmed.floor(), warmed.told()["status"]) == (1, "ok")
    warmed.deployment.twin("spend", {"usd": 1.01 * USD})
    ran = warmed.goes_to(warmed.at("10:45"))
    told = said(ran, warmed.budgets)
    assert "over 50" in told
    assert MAIL in told
    assert warmed.floor() == 0, ran
    dropped = warmed.told()
    assert (dropped["status"], dropped["mend"]) == ("warn", f"pilotlight up {warmed.stack} --refresh")
    assert dropped["found"].startswith(f"the budget dropped the warming floor on {warmed.day.date()} at "), dropped
    assert observed_never(warmed), "what pings has no schedule any more"
    # As long as it is spent every run says so: only a larger budget, or a new month, ends that.
    warmed.deployment.configure(warmed.stack, {"budget": {**BUDGET, "monthlyUsd": 2 * USD}})
    refreshed(warmed)
    assert not observed_never(warmed)
    ran = warmed.goes_to(warmed.at("12:00") + warmed.lowered)
    assert warmed.floor() == 0, ran


def observed_never(warmed: Warmed) -> bool:
    """Whether no ping is due on the twin in this week or the next, each of which has some by the plan."""
    weeks = (warmed.day + timedelta(weeks=2)).date().isoformat()
    return not any(warmed.pings in one["name"] for one in warmed.deployment.twin("clock")["due"] if one["at"] < weeks)


def refreshed(warmed: Warmed) -> None:
    """`up --refresh` restores the plan."""
    warmed.deployment.pulumi("up", "--refresh", "--yes", "--skip-preview", "-s", warmed.stack)
    assert (warmed.floor(), warmed.declared(), warmed.told()["status"]) == (1, 1, "ok")
    assert not warmed.is_cold(fresh=True)


def test_the_lease_ends_the_window_and_the_next_up_takes_away_what_it_made(warmed: Warmed) -> None:
    last = warmed.at("12:00", days=1) + SOON
    if local_now(warmed.deployment) < last:
        # The window of the last day is over, whichever tests came before.
        warmed.goes_to(last)
    ran = warmed.goes_to(warmed.at("08:00", days=2) + timedelta(minutes=20))
    assert warmed.floor() == 0
    if isinstance(warmed, GoogleWarmed):
        assert_the_right_has_ended(warmed, ran)
    before = warmed.schedules()
    pings = {name: changed for name, changed in before.items() if warmed.pings in name}
    assert pings
    report = warmed.up()
    told = [each["message"] for each in report["diagnostics"] if each["severity"] == "warning" and "leaseUntil" in each["message"]]
    assert len(told) == 1
    assert told[0].startswith("warming.1.leaseUntil: ")
    assert (warmed.floor(), warmed.declared()) == (0, 0)
    assert (warmed.schedules(), warmed.scaled()) == (pings, 0), "nothing of the window is left, and the pings are as they were"
    warmed.deployment.configure(warmed.stack, {"warming": [pings_of(warmed.stack)]})
    assert set(warmed.up()["changes"]) == {"unchanged"}, "to take the rule out changes nothing"


def assert_the_right_has_ended(warmed: GoogleWarmed, ran: list[dict[str, Any]]) -> None:
    """A job has no end: it goes on, and is refused to act as the endpoint's account."""
    raised = warmed.raised(ran)
    assert raised, "no job was due that raises the floor"
    assert all("answered 403" in said and "iam.serviceAccounts.actAs" in said for said in raised), raised


@only_all
def test_an_up_at_the_very_end_of_a_lease_inside_its_window_leaves_no_floor(warmed: Warmed) -> None:
    night = {**WINDOW, "cron": "0 22 * * *", "until": "0 6 * * *", "leaseUntil": warmed.at("12:00", days=2).date().isoformat()}
    warmed.deployment.configure(warmed.stack, {"warming": [pings_of(warmed.stack), night]})
    warmed.up()
    end = warmed.at("00:00", days=3)
    warmed.goes_to(end - timedelta(seconds=20))
    assert (warmed.floor(), warmed.declared()) == (1, 0), "the state is that of before the window"
    assert warmed.deployment.report("up", warmed.stack, "--local", "--at", end.isoformat())["result"] == "succeeded"
    warmed.goes_to(end + timedelta(minutes=20))
    assert warmed.floor() == 0
    warmed.goes_to(end + timedelta(hours=1))
    warmed.up()
    assert (warmed.floor(), warmed.scaled()) == (0, 0)
    assert all(warmed.pings in name for name in warmed.schedules())


@only_all
def test_pings_go_by_the_local_clock_and_end_with_their_lease(warmed: Warmed) -> None:
    """On Azure, where jobs start by UTC and the warmer looks at its clock: whether a start is inside the window, and before the end."""
    if not isinstance(warmed, AzureWarmed):
        pytest.skip("schedules know zones and ends there")
    first, last = warmed.at("22:00", days=3), warmed.at("23:00", days=4)
    warmed.goes_to(warmed.at("09:00", days=3))
    night = {"kind": "ping", "everyMinutes": 60, "cron": "0 22 * * *", "until": "0 2 * * *", "timezone": ZONE.key}
    warmed.deployment.configure(warmed.stack, {"warming": [{**night, "leaseUntil": last.date().isoformat()}]})
    warmed.up()
    began = len(warmed.ran("warmed")), len(warmed.ran("not_warmed"))
    warmed.goes_to(warmed.at("09:00", days=5))
    sent, not_sent = warmed.ran("warmed")[began[0] :], warmed.ran("not_warmed")[began[1] :]
    inside = [first + timedelta(hours=hours) for hours in range(4)] + [last - timedelta(hours=1), last]
    assert [moment.replace(minute=0, second=0, microsecond=0) for moment in sent] == inside
    assert all(moment.minute == 0 for moment in sent), sent
    assert any(moment > last for moment in not_sent), "a job starts after the lease's end too"
    hours = {moment.hour for moment in not_sent if moment < last}
    assert hours, "and at the hours that another time of the year would mean"
    assert not hours & {moment.hour for moment in inside}

"""Warming on Azure: windows as rules of the endpoint's, pings as jobs, and the same declared whenever the program runs."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from components.args import WarmingArgs
from components.azure.warming import due, in_utc, offsets
from components.azure.windows import window_rules
from components.warming_checks import Facts, problems
from components.warming_plan import Ping, Plan, Provisioned, Scheduled, floor_at
from components.warming_schedule import Firing
from components.warming_window import DAYS, gaps, instant
from pilotlight.planned import planned
from pilotlight.twin.azure.cron import cron_of
from pilotlight.twin.azure.scale_rules import CronRule
from stacks.plan import NOW
from tests.planned.azure.conftest import ALERT, APP, ASSIGNMENT, EVENTS, IDENTITY, JOB, STACK, container, granted, plan_of, variables

WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin", "instances": 2}
PING = {"kind": "ping", "everyMinutes": 5}
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


_cron = cache(cron_of)


def live(plan: Plan, declared: datetime, moment: datetime) -> int:
    """The replicas that the rules ask for at a moment, as KEDA reads them, with the minimum, as an `up` at `declared` leaves them."""
    asked = [plan.base]
    for rule in window_rules(WarmingArgs(plan=plan, now=declared)):
        told = {key: str(value) for key, value in rule.metadata.items()}
        zone = ZoneInfo(told["timezone"])
        one = CronRule(start=_cron(told["start"], zone), end=_cron(told["end"], zone), replicas=int(told["desiredReplicas"]))
        if one.active(moment.timestamp()):
            asked.append(one.replicas)
    return max(asked)


def test_a_window_is_a_rule_beside_that_of_requests_and_no_floor_is_declared() -> None:
    scale = plan_of({"warming": [WINDOW]}).one(APP, "endpoint-app").inputs["template"]["scale"]
    assert [each["name"] for each in scale["rules"]] == ["http-0", "cron-1"]
    assert scale["rules"][1]["custom"] == {
        "type": "cron",
        "metadata": {"timezone": "Europe/Berlin", "start": "0 8 * * MON-FRI", "end": "0 18 * * MON-FRI", "desiredReplicas": "2"},
    }
    assert scale["minReplicas"] == 0


def test_what_is_warm_always_is_the_minimum() -> None:
    changes = {"warming": [{"kind": "provisioned", "instances": 2}]}
    assert plan_of(changes).one(APP, "endpoint-app").inputs["template"]["scale"]["minReplicas"] == 2
    assert plan_of(changes).all(JOB) == []


@pytest.mark.parametrize(
    ("rules", "asked", "seconds"),
    [
        ([], None, 300),
        ([WINDOW], None, 300),
        ([{**PING, "everyMinutes": 2}], None, 300),
        ([PING], None, 420),
        ([{**PING, "everyMinutes": 30}, PING], None, 1920),
        ([], 60, 60),
        ([PING], 60, 420),
        ([PING], 3600, 3600),
    ],
)
def test_a_replica_stays_as_long_as_the_setting_says_and_until_the_next_ping_has_come(
    rules: list[object], asked: int | None, seconds: int
) -> None:
    made = plan_of({"warming": rules, "endpoint.cooldownSeconds": asked})
    assert made.one(APP, "endpoint-app").inputs["template"]["scale"]["cooldownPeriod"] == seconds
    assert made.one(APP, "function-app").inputs["template"]["scale"]["cooldownPeriod"] == 300


@pytest.mark.parametrize("rules", [[WINDOW], [WINDOW, PING, {"kind": "provisioned"}], [{**WINDOW, "leaseUntil": "2026-11-30"}]])
def test_the_program_declares_the_same_at_every_moment_of_a_month(rules: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """So there is nothing that an `up` could undo, inside a window, outside, or at its edges."""
    found = set()
    for moment in ("2026-11-02T00:00:00+00:00", "2026-11-23T06:59:59+00:00", "2026-11-23T07:00:00+00:00", "2026-11-28T12:00:00+00:00"):
        monkeypatch.setenv(NOW, moment)
        found.add(json.dumps([(each.urn, dict(each.inputs)) for each in planned(STACK, {"warming": rules})], default=str, sort_keys=True))
    assert len(found) == 1


def test_each_job_that_fails_is_an_alarm() -> None:
    made = plan_of({"warming": [{**PING, "cron": "0 8 * * MON-FRI", "until": "0 10 * * MON-FRI", "timezone": "Europe/Berlin"}, PING]})
    watched = {each.inputs["ruleName"]: each.inputs["scopes"] for each in made.all(ALERT) if each.inputs["ruleName"].startswith("warmer-")}
    assert sorted(watched.values()) == sorted([each.outputs["id"]] for each in made.all(JOB))
    assert {"warmer-0-0-errors", "warmer-1-0-errors"} <= set(watched)


PLANS = {
    "weekdays": Plan(rules=(Scheduled(cron="0 8 * * MON-FRI", until="0 18 * * MON-FRI", timezone="Europe/Berlin"),)),
    "nights": Plan(
        rules=(
            Scheduled(cron="30 21 * * FRI-SUN", until="15 6 * * SAT-MON", timezone="America/New_York", instances=3),
            Provisioned(instances=1),
        )
    ),
    "over the week's end": Plan(rules=(Scheduled(cron="0 20 * * SAT-MON", until="0 22 * * SAT-MON", timezone="Asia/Kolkata"),)),
    "leased": Plan(
        rules=(
            Scheduled(
                cron="0 8 * * MON-FRI", until="0 18 * * MON-FRI", timezone="Europe/Berlin", instances=2, lease_until=date(2027, 2, 9)
            ),
        )
    ),
    "leased nights": Plan(
        rules=(Scheduled(cron="0 22 * * *", until="0 6 * * *", timezone="Australia/Sydney", instances=2, lease_until=date(2027, 1, 31)),)
    ),
}


@pytest.mark.parametrize("words", PLANS)
@pytest.mark.parametrize("declared", [MONDAY, MONDAY + timedelta(days=6, hours=9)])
def test_the_rules_ask_for_the_plans_floor_at_every_quarter_of_an_hour_of_months(words: str, declared: datetime) -> None:
    """Over the ends of months, years and leases; of what clocks skip tells the next test."""
    plan = PLANS[words]
    wrong = []
    for quarter in range(-8 * 96, 88 * 96, 3):
        moment = MONDAY + timedelta(minutes=15 * quarter)
        if live(plan, declared, moment) != floor_at(plan, moment):
            wrong.append(moment.isoformat())
    assert wrong == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Europe/London", "Australia/Lord_Howe", "America/Nuuk"])
def test_what_is_refused_around_the_time_that_clocks_skip_is_what_the_rules_get_wrong(zone: str) -> None:
    """Edges at every quarter of an hour around it: the rest is the plan's floor, in the week before and on the day after."""
    [(skipped, shown)] = [gap for gap in gaps(zone) if gap[0].year == 2027]
    change, hour = instant(skipped, ZoneInfo(zone)), timedelta(hours=1)
    moments = [change + step * hour for step in (*range(-150, 48, 6), *(quarter / 4 for quarter in range(-8, 13)))]
    refused, wrong = set(), set()
    for quarter in range(-5, 10):
        edge = skipped + quarter / 4 * hour
        for key, start, end in (("cron", edge, edge + 30 * hour), ("until", edge - 30 * hour, edge)):
            plan = Plan(rules=(Scheduled(cron=on(start), until=on(end), timezone=zone),))
            told = problems(plan, Facts(platform="azure-container-apps", most=5), MONDAY)
            refused |= {(key, edge) for text in told if text.startswith(f"warming.0.{key}: {on(edge)!r}: {zone} skips {skipped:%H:%M} to")}
            assert len(told) == len({(key, edge)} & refused)
            wrong |= {(key, edge) for moment in moments if live(plan, MONDAY, moment) != floor_at(plan, moment)}
    assert refused == wrong
    assert {edge for _, edge in refused} == {skipped + step / 4 * hour for step in range(int((shown - skipped) / hour * 4))}


def on(edge: datetime) -> str:
    return f"{edge.minute} {edge.hour} * * {DAYS[edge.weekday()]}"


def test_clocks_that_change_move_the_windows_with_them() -> None:
    plan = PLANS["weekdays"]
    for day, utc_hour in (("2026-10-23", 6), ("2026-10-26", 7), ("2027-03-26", 7), ("2027-03-29", 6)):
        edge = datetime.fromisoformat(f"{day}T{utc_hour:02}:00:00+00:00")
        assert [live(plan, MONDAY, edge + timedelta(minutes=past)) for past in (-1, 0)] == [0, 1], day


def test_a_leases_dates_come_again_in_a_year_at_the_earliest() -> None:
    """Should nobody run an `up` by then, which would take the rule out."""
    plan = PLANS["leased"]
    after = [datetime(2027, 2, 10, tzinfo=UTC) + timedelta(hours=hour) for hour in range(0, 260 * 24, 5)]
    assert {live(plan, MONDAY, moment) for moment in after} == {0}


def test_pings_are_jobs_as_one_identity_that_pulls_their_image_and_does_nothing_else() -> None:
    made = plan_of({"warming": [PING, {**PING, "everyMinutes": 60}]})
    jobs = made.all(JOB)
    who = made.one(IDENTITY, "warming-ping-identity").outputs["id"]
    assert {tuple(each.inputs["identity"]["userAssignedIdentities"]) for each in jobs} == {(who,)}
    assert {each for each in granted(made, f"pilotlight-{STACK}") if each[0] == "warmer"} == {("warmer", "AcrPull", "registry")}
    crons = [each.inputs["configuration"]["scheduleTriggerConfig"]["cronExpression"] for each in jobs]
    assert crons == ["0,5,10,15,20,25,30,35,40,45,50,55 * * * *", "0 * * * *"]
    first, second = (variables(each) for each in jobs)
    host = made.one(APP, "endpoint-app").outputs["configuration"]["ingress"]["fqdn"]
    assert first == {
        "ENDPOINT_URL": f"https://{host}",
        # A cold start, a prediction, two pings side by side, a hop.
        "REQUEST_TIMEOUT_S": "8",
        "SERVICE": STACK,
        "PARALLEL": "2",
        "INSTANCES": "1",
        "AZURE_CLIENT_ID": made.one(IDENTITY, "warming-ping-identity").outputs["clientId"],
    }
    assert second == first
    for each in jobs:
        told = each.inputs["configuration"]
        assert (told["triggerType"], told["replicaRetryLimit"], container(each)["args"]) == ("Schedule", 0, ["warmer"])
        # A minute to be given a node and to pull the image, which count, and a hop.
        assert told["replicaTimeout"] == 60 + int(variables(each)["REQUEST_TIMEOUT_S"]) + 1
        assert made.one(ASSIGNMENT, "warming-ping-pulls").urn in made.before(each)


def test_pings_of_a_window_start_in_utc_whatever_its_clock_shows_and_are_told_their_hours() -> None:
    changes = {"warming": [{**PING, **{key: WINDOW[key] for key in ("cron", "until", "timezone")}, "leaseUntil": "2027-01-31"}]}
    [job] = plan_of(changes, EVENTS).all(JOB)
    told = variables(job)
    assert job.inputs["configuration"]["scheduleTriggerConfig"]["cronExpression"].endswith(" 6-16 * * MON-FRI")
    assert (told["HOURS"], told["DAYS"], told["TIMEZONE"]) == ("8,9,10,11,12,13,14,15,16,17", "0,1,2,3,4", "Europe/Berlin")
    assert told["UNTIL"] == "2027-01-31T23:00:00Z"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Auckland", "UTC"])
def test_no_ping_of_a_window_is_missed_in_any_week_of_a_year(zone: str) -> None:
    ping = Ping(every_minutes=30, cron="0 22 * * SUN-TUE", until="30 1 * * MON-WED", timezone=zone)
    crons = [(cron_of(cron, ZoneInfo("UTC")), told) for cron, told in due(ping)]
    for week in range(0, 52, 3):
        start = datetime(2026, 1, 5, tzinfo=ZoneInfo(zone)) + timedelta(weeks=week)
        sent = set()
        for cron, told in crons:
            at = cron.next_after((start - timedelta(minutes=1)).timestamp())
            while at is not None and at < (start + timedelta(weeks=1)).timestamp():
                local = datetime.fromtimestamp(at, ZoneInfo(zone))
                if str(local.hour) in told["HOURS"].split(",") and str(local.weekday()) in told["DAYS"].split(","):
                    sent.add((local.weekday(), local.hour, local.minute))
                at = cron.next_after(at)
        evenings = {(day, hour, minute) for day in (6, 0, 1) for hour in (22, 23) for minute in (0, 30)}
        nights = {(day, hour, minute) for day in (0, 1, 2) for hour, minute in ((0, 0), (0, 30), (1, 0))}
        assert evenings | nights == sent, start


def test_offsets_are_those_of_summer_and_winter() -> None:
    assert offsets("Europe/Berlin") == {60, 120}
    assert offsets("Asia/Kolkata") == {330}
    assert in_utc(Firing(minutes=(0,), hours=(3,), days=(0,), timezone="Asia/Kolkata")) == "30 21 * * SUN"

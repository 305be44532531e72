"""What a rule of the warming plan declares around the end of its lease: never an end that has passed, and nothing once it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest

from tests.planned.conftest import Build
from tests.planned.recording import Graph, without_stamp
from tests.planned.test_warming_graph import ACTION, ALWAYS, LAMBDA, OFFICE, PING, PROVISIONED, SAGEMAKER, SCHEDULE, TARGET, live

LAST_DAY = "2026-11-25"
END = datetime(2026, 11, 25, 23, tzinfo=UTC)  # midnight in Berlin
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LEASED = {**OFFICE, "leaseUntil": LAST_DAY}
LEASED_PING = {**PING, "leaseUntil": LAST_DAY, "timezone": "Europe/Berlin"}
NIGHT = {**LEASED, "cron": "0 22 * * *", "until": "0 6 * * *"}
EVENING = {**OFFICE, "cron": "0 19 * * MON-FRI", "until": "0 20 * * MON-FRI"}
STACKS = pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])


def declared(graph: Graph) -> dict[str, dict[str, Any]]:
    """Every resource's inputs, files by their paths."""
    return {each.urn: {name: getattr(value, "path", value) for name, value in each.inputs.items()} for each in graph.resources}


@STACKS
@pytest.mark.parametrize("now", [END, END + 400 * 24 * HOUR], ids=["at its end", "a year later"])
@pytest.mark.parametrize(
    ("over", "others"),
    [
        (LEASED, []),
        (LEASED_PING, []),
        (LEASED_PING, [{**PING, "everyMinutes": 10}]),
        (LEASED, [ALWAYS]),
        (LEASED, [EVENING]),
    ],
    ids=["window", "ping", "beside a ping", "beside a floor", "beside a window"],
)
def test_a_rule_that_is_over_declares_what_no_rule_declares(
    build: Build, stack: str, now: datetime, over: dict[str, Any], others: list[Any]
) -> None:
    assert declared(build(stack, now=now, warming=[over, *others])) == declared(build(stack, now=now, warming=others))
    assert declared(build(stack, now=END - HOUR, warming=[over])) != declared(build(stack, now=now, warming=[]))


@STACKS
@pytest.mark.parametrize("rules", [[LEASED, LEASED_PING], [NIGHT, ALWAYS]], ids=["to zero", "to a floor"])
def test_no_end_is_declared_that_may_have_passed_when_an_up_writes_it(build: Build, stack: str, rules: list[Any]) -> None:
    for before in (16 * MINUTE, 15 * MINUTE, SECOND, timedelta()):
        graph = build(stack, now=END - before, warming=rules)
        ends = [each.inputs.get("endDate") or each.inputs.get("endTime") for each in graph.resources if each.type in (SCHEDULE, ACTION)]
        told = [datetime.fromisoformat(end) for end in ends if end]
        assert bool(told) == (before > 15 * MINUTE)
        assert all(end == END - timedelta(seconds=30) for end in told)


def dated(graph: Graph) -> list[str]:
    """What is due once, in the night after the lease's last day."""
    found = (
        each.inputs.get("schedule") or each.inputs["scheduleExpression"] for each in graph.resources if each.type in (SCHEDULE, ACTION)
    )
    return sorted(each for each in found if each.endswith(" 26 11 ? 2026)"))


@STACKS
def test_a_second_before_its_end_the_rule_is_in_force(build: Build, stack: str) -> None:
    graph = build(stack, now=END - SECOND, warming=[NIGHT])
    assert graph.result["outputs"]["floor"] == 2
    assert len(dated(graph)) == 5, "what ends the floor is declared still, and what asserts that for an hour"
    if stack == SAGEMAKER:
        assert live(graph) == 2
    else:
        assert (graph.one(TARGET).inputs["minCapacity"], graph.one(PROVISIONED).inputs["provisionedConcurrentExecutions"]) == (2, 2)


@STACKS
@pytest.mark.parametrize(("others", "floor"), [([], 0), ([ALWAYS], 1)], ids=["nothing else", "a floor"])
def test_the_end_of_a_lease_inside_its_window_is_asserted_for_an_hour(build: Build, stack: str, others: list[Any], floor: int) -> None:
    """The action at the end may not have run yet. Without any the floor would stay up where the last `up` was before the window:
    the program declares what the state has already, so that nothing is written."""
    for now, left in ((END, 4), (END + 30 * MINUTE, 2), (END + HOUR - SECOND, 1)):
        graph = build(stack, now=now, warming=[NIGHT, *others])
        assert graph.result["outputs"]["floor"] == floor
        assert len(dated(graph)) == left, "what is past is declared no more"
        if stack == SAGEMAKER:
            assert live(graph) == floor
    assert declared(build(stack, now=END + HOUR, warming=[NIGHT, *others])) == declared(build(stack, now=END, warming=others))


def test_a_spent_budget_has_nothing_to_drop_where_every_rule_is_over(build: Build) -> None:
    budget = {"monthlyUsd": 100, "onExceeded": "drop-warming", "email": "ops@example.com"}
    graph = build(LAMBDA, now=END, warming=[LEASED], budget=budget)
    assert without_stamp(graph.one("aws:lambda/function:Function", "budget-floor-function").inputs) == {}


@STACKS
@pytest.mark.parametrize(("now", "count"), [(END - SECOND, 0), (END, 1)], ids=["before", "at its end"])
def test_the_program_tells_once_of_a_rule_that_is_over(
    build: Build, stack: str, now: datetime, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", told.append)
    build(stack, again=True, now=now, warming=[{**PING, "everyMinutes": 10}, LEASED])
    assert told == count * [
        "warming.1.leaseUntil: '2026-11-25': ended at 2026-11-26T00:00:00+01:00, the rule keeps nothing warm any more: "
        "take the rule out, or move leaseUntil"
    ]

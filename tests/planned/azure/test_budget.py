"""The budget of a stack on Azure: who is told at which share, and the job that asks it and may drop the floor."""

from typing import Any

import pulumi
import pytest

from components.azure.budget import _warn, percents
from components.azure.drop import ASKS, CHANGES, STOPS
from pilotlight.planned import Planned
from tests.planned.azure.conftest import (
    ALERT,
    APP,
    ASSIGNMENT,
    BUDGET,
    EVENTS,
    GROUP,
    IDENTITY,
    JOB,
    MAIL,
    PREFIX,
    ROLE,
    STACK,
    Plan,
    plan_of,
    variables,
)

TOLD: dict[str, Any] = {"monthlyUsd": 12.5, "alertAt": [0.9, 0.5], "email": "ops@example.com"}
DROPS: dict[str, Any] = {**TOLD, "onExceeded": "drop-warming"}
PING = {"kind": "ping", "everyMinutes": 5}
OFFICE = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin", "instances": 2}


def dropping(*rules: dict[str, Any], stack: str = STACK) -> Plan:
    return plan_of({"budget": DROPS, "warming": list(rules)}, stack)


def may(plan: Plan) -> set[tuple[tuple[str, ...], str]]:
    """What the job's identity is granted by roles of the stack's own: actions, and where."""
    own = {each.inputs["roleDefinitionId"]: tuple(each.inputs["permissions"][0]["actions"]) for each in plan.all(ROLE)}
    [who] = [each.outputs["principalId"] for each in plan.all(IDENTITY) if each.inputs["resourceName"].endswith("-floor")]
    found = {
        (each.inputs["roleDefinitionId"].rpartition("/")[2], each.inputs["scope"])
        for each in plan.all(ASSIGNMENT)
        if each.inputs["principalId"] == who
    }
    return {(own[guid], scope) for guid, scope in found if guid in own}


def pings(plan: Plan) -> list[Planned]:
    return [each for each in plan.all(JOB) if "warming-ping" in each.name]


def test_a_stack_has_no_budget_and_no_role_of_its_own_by_default() -> None:
    assert plan_of().all(BUDGET) == plan_of().all(ROLE) == []


def test_a_budget_is_of_the_stacks_group_and_mails_at_each_share() -> None:
    plan = plan_of({"budget": TOLD})
    budget = plan.one(BUDGET).inputs
    assert budget["scope"] == plan.one(GROUP).outputs["id"]
    assert (budget["category"], budget["timeGrain"], budget["amount"], budget["timePeriod"]["startDate"][7:]) == (
        "Cost",
        "Monthly",
        12.5,
        "-01T00:00:00Z",
    )
    told = [
        (each["threshold"], each["operator"], each["thresholdType"], each["contactEmails"]) for each in budget["notifications"].values()
    ]
    assert sorted(told) == [(share, "GreaterThan", "Actual", ["ops@example.com"]) for share in (50, 90)]
    assert {each.type for each in plan.resources if "budget" in each.name} == {BUDGET, "pilotlight:index:Budget"}
    assert plan.all(MAIL) == [], "mails of a budget need no action group"


def test_alarms_address_is_the_budgets_where_it_has_none() -> None:
    budget = plan_of({"budget": {"monthlyUsd": 5, "alertAt": [1.0]}, "alarms.email": "oncall@example.com"}).one(BUDGET)
    assert [each["contactEmails"] for each in budget.inputs["notifications"].values()] == [["oncall@example.com"]]


def test_shares_are_told_to_hundredths_of_a_percent_and_once() -> None:
    assert percents((0.55, 0.07, 0.29, 0.55)) == [7, 29, 55]


def test_when_a_budget_begins_is_no_part_of_a_later_plan() -> None:
    """Azure refuses another beginning, which each month's first `up` would bring."""
    assert "timePeriod" in plan_of({"budget": TOLD}).one(BUDGET).ignored


@pytest.mark.parametrize(("currency", "warned"), [(None, []), ("USD", []), ("EUR", ["EUR"])])
def test_another_currency_is_told(monkeypatch: pytest.MonkeyPatch, currency: str | None, warned: list[str]) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    _warn(currency)
    assert [word for text in said for word in ("EUR",) if word in text] == warned


@pytest.mark.parametrize("stack", [STACK, EVENTS])
def test_what_drops_the_floor_asks_the_budget_and_may_change_this_endpoint_and_its_pings_alone(stack: str) -> None:
    plan = dropping(PING, OFFICE, stack=stack)
    group = plan.one(GROUP).outputs["id"]
    [app] = [each.outputs["id"] for each in plan.all(APP) if each.name.endswith("-endpoint-app")]
    jobs = [each.outputs["id"] for each in pings(plan)]
    assert may(plan) == {(ASKS, group), (CHANGES, app), *((STOPS, job) for job in jobs)}
    assert (
        {each.inputs["scope"] for each in plan.all(ROLE)}
        == {group}
        == {one for each in plan.all(ROLE) for one in each.inputs["assignableScopes"]}
    )
    job = plan.one(JOB, "budget-floor-job")
    told = variables(job)
    assert (told["BUDGET"], told["ENDPOINT_APP"], told["PING_JOBS"].split(",")) == (
        f"{group}/providers/Microsoft.Consumption/budgets/spend",
        app,
        jobs,
    )
    assert job.inputs["configuration"]["scheduleTriggerConfig"]["cronExpression"] == "23 0,4,8,12,16,20 * * *"


def test_its_rights_are_there_before_it_runs_and_its_roles_before_they_are_assigned() -> None:
    plan = dropping(PING)
    before = plan.before(plan.one(JOB, "budget-floor-job"))
    own = [each for each in plan.all(ASSIGNMENT) if "-budget-floor-" in each.name]
    assert len(own) == 4
    assert {each.urn for each in own} <= before
    assert plan.one(BUDGET).urn in before
    for each in own:
        if not each.name.endswith("-pulls"):
            [made] = [
                role for role in plan.all(ROLE) if role.inputs["roleDefinitionId"] == each.inputs["roleDefinitionId"].rpartition("/")[2]
            ]
            assert made.urn in plan.before(each)


def test_without_pings_nothing_may_change_a_job() -> None:
    plan = dropping(OFFICE)
    assert "PING_JOBS" not in variables(plan.one(JOB, "budget-floor-job"))
    assert {actions for actions, _ in may(plan)} == {ASKS, CHANGES}


def test_a_run_that_fails_is_told() -> None:
    plan = dropping(OFFICE)
    alert = plan.one(ALERT, "floor-errors")
    assert alert.inputs["scopes"] == [plan.one(JOB, "budget-floor-job").outputs["id"]]
    [criterion] = alert.inputs["criteria"]["allOf"]
    assert (criterion["metricName"], criterion["dimensions"][0]["values"]) == ("Executions", ["Failed"])


def test_roles_are_named_for_one_stack_of_one_subscription() -> None:
    names = [each.inputs["roleName"] for each in dropping(PING, OFFICE).all(ROLE)]
    assert len({*names}) == 3
    assert all(name.startswith(f"{PREFIX} ") and len(name.rpartition(" ")[2]) == 16 for name in names)

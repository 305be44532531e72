"""Budgets on the twin: what Azure refuses of them, what a month has cost, who is told, and what Resource Manager tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pilotlight.twin.azure import budgets
from pilotlight.twin.azure.budgets import Budgets
from pilotlight.twin.azure.types import BUDGET, ROLE_DEFINITION
from pilotlight.twin.clock import Clock
from pilotlight.twin.control import _spent
from pilotlight.twin.planes import Planes
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, Account
from tests.parts.twin.azure.people import assign, identity
from tests.parts.twin.azure.test_resource_manager import ask

START = datetime(2026, 3, 17, 9, 2, tzinfo=UTC).timestamp()
ID = f"{GROUP_ID}/providers/Microsoft.Consumption/budgets/spend"


def mail(threshold: float, **more: Any) -> dict[str, Any]:
    return {"enabled": True, "operator": "GreaterThan", "threshold": threshold, "contactEmails": ["ops@example.com"], **more}


GIVEN: dict[str, Any] = {
    "scope": GROUP_ID,
    "budgetName": "spend",
    "category": "Cost",
    "timeGrain": "Monthly",
    "amount": 100,
    "timePeriod": {"startDate": "2026-03-01T00:00:00Z"},
    "notifications": {"half": mail(50), "all": mail(100)},
}


class Mails:
    """Instead of what writes mails down."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def mail(self, sender: str, address: str, subject: str, text: str, *, confirmed: bool) -> None:
        self.sent.append((sender, address, subject))


class Timers:
    """Instead of a loop's: when a timer would be due next, and what it does then."""

    def __init__(self) -> None:
        self.due: Callable[[float], float] = lambda after: after
        self.look: Any = None

    def every(self, due: Callable[[float], float], look: Any, name: str) -> Any:
        self.due, self.look = due, look


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path, Planes({BUDGET: budgets.PLACE}, "pilotlight.twin.azure"))
    made.twin.clock = Clock(START)
    made.twin.sns, made.twin.timers, made.twin.wait = Mails(), Timers(), asyncio.run
    made.group()
    yield made
    made.world.close()


def budget(account: Account, **changed: Any) -> Resource:
    return account.make(BUDGET, "spend", {**GIVEN, **changed})


def plane(account: Account) -> Budgets:
    found = account.twin.azure.planes.made(budgets.PLACE)
    assert isinstance(found, Budgets)
    return found


def looks(account: Account) -> str | None:
    """What the daily look has to say."""
    said: str | None = asyncio.run(account.twin.timers.look(0.0))
    return said


def test_a_share_that_is_passed_is_mailed_once_a_month(account: Account) -> None:
    budget(account)
    assert plane(account).spend(50) == ["spend"]
    assert looks(account) is None, "not more than half"
    plane(account).spend(60)
    assert looks(account) == "spend is over 50 % (mailed to ops@example.com)"
    assert looks(account) is None
    plane(account).spend(130)
    assert looks(account) == "spend is over 100 % (mailed to ops@example.com)"
    assert account.twin.sns.sent == [
        ("azure-noreply@microsoft.com", "ops@example.com", f"Budget spend: more than {share} % of 100.00 USD is spent")
        for share in (50, 100)
    ]
    account.twin.clock = Clock(datetime(2026, 4, 1, 9, tzinfo=UTC).timestamp())
    assert looks(account) is None, "a new month begins at nothing"


def test_it_is_looked_at_once_a_day(account: Account) -> None:
    budget(account)
    due = account.twin.timers.due(START)
    assert (datetime.fromtimestamp(due, UTC).isoformat(), account.twin.timers.due(due) - due) == ("2026-03-18T08:00:00+00:00", 86_400)


@pytest.mark.parametrize("more", [{"enabled": False}, {"thresholdType": "Forecasted"}])
def test_what_is_off_and_forecasts_tell_nothing(account: Account, more: dict[str, Any]) -> None:
    budget(account, notifications={"half": mail(50, **more)})
    plane(account).spend(1000)
    assert looks(account) is None


def test_what_was_spent_is_told_once_it_was_looked_at_and_to_who_may_read_it(account: Account) -> None:
    budget(account)
    plane(account).spend(70)
    found = ask(account, ID)[1]
    assert (found["properties"]["amount"], found["properties"]["currentSpend"]) == (100, {"amount": 0.0, "unit": "USD"})
    looks(account)
    someone = identity(account, "floor")
    who = (someone["principalId"], someone["clientId"])
    assert ask(account, ID, who=who)[0] == 403
    assign(account, someone, role(account), GROUP_ID)
    assert ask(account, ID, who=who)[1]["properties"]["currentSpend"] == {"amount": 70.0, "unit": "USD"}
    assert ask(account, f"{ID}2")[0] == 404
    assert plane(account).read(account.world.find(BUDGET)[0])["currentSpend"]["amount"] == 70.0


def role(account: Account) -> str:
    """A role of the program's own that reads budgets."""
    guid = "11111111-2222-3333-4444-555555555555"
    permissions = [{"actions": [budgets.READ]}]
    made = account.make(
        ROLE_DEFINITION,
        "asks",
        {"scope": GROUP_ID, "roleDefinitionId": guid, "roleName": "asks", "permissions": permissions, "assignableScopes": [GROUP_ID]},
    )
    return str(made.id)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": 0}, "amount: 0: use more than 0"),
        ({"timeGrain": "Quarterly"}, "timeGrain: 'Quarterly' is not served"),
        ({"timePeriod": {"startDate": "2026-03-02T00:00:00Z"}}, "use the first of a month"),
        ({"timePeriod": {"startDate": "2017-05-01"}}, "use the first of a month"),
        ({"notifications": {str(share): mail(share) for share in range(10, 70, 10)}}, "there are 6: use 1 to 5 notifications"),
        ({"notifications": {"all": mail(0)}}, "notifications.all.threshold: 0: use percents"),
        ({"notifications": {"all": mail(100, contactEmails=[])}}, "contactEmails: is empty"),
        ({"notifications": {"all": mail(100, contactEmails=["ops"])}}, "'ops' is no e-mail address"),
        ({"notifications": {"all": mail(100, contactGroups=["g"])}}, "contactGroups: is not served"),
        ({"filter": {"tags": {"name": "a", "operator": "In", "values": ["b"]}}}, "filter: is not served"),
        ({"budgetName": "a b"}, "budgetName: 'a b' is not allowed"),
    ],
)
def test_what_is_refused_before_anything_is_made(account: Account, changed: dict[str, Any], said: str) -> None:
    [problem] = account.check(BUDGET, "spend", {**GIVEN, **changed})[1]
    assert said in problem


@pytest.mark.parametrize("start", ["2026-02-01T00:00:00Z", "2027-04-01T00:00:00Z"])
def test_a_budget_begins_in_this_month_or_within_a_year(account: Account, start: str) -> None:
    with pytest.raises(Refusal, match="Start date"):
        budget(account, timePeriod={"startDate": start})


def test_when_it_begins_stays(account: Account) -> None:
    made = budget(account)
    assert made["timePeriod"] == {"startDate": "2026-03-01T00:00:00Z", "endDate": "2036-03-01T00:00:00Z"}
    account.twin.clock = Clock(datetime(2026, 5, 1, 9, tzinfo=UTC).timestamp())
    assert account.change(made, {**GIVEN, "amount": 200})["amount"] == 200
    with pytest.raises(Refusal, match="Start date of budgets cannot be updated"):
        account.change(made, {**GIVEN, "timePeriod": {"startDate": "2026-05-01T00:00:00Z"}})


class NoBudgets:
    """Instead of AWS's."""

    def spend(self, amount: float, name: str | None) -> list[str]:
        raise ValueError("there is no budget")


def test_a_test_says_what_a_month_has_cost(account: Account) -> None:
    account.twin.gcp, account.twin.budgets = SimpleNamespace(planes=Planes({}, "")), NoBudgets()
    budget(account)
    assert _spent(account.twin, 12, None) == ["spend"]
    assert plane(account).month(account.world.find(BUDGET)[0]).spent == 12
    with pytest.raises(ValueError, match="there is no budget"):
        _spent(account.twin, 12, "other")

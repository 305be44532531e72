"""`doctor` on Azure: the endpoint's own rules are the plan's, and what the budget's job took away is told with its day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.args import WarmingArgs
from components.azure.names import names_of
from components.azure.windows import window_rules
from handlers.functions.azure.floor import TAG
from pilotlight.doctor.azure import floor
from pilotlight.doctor.subject import Subject
from stacks.plan import now, plan_of
from tests.parts.cli.azure_subscription import START, SUBSCRIPTION, AzureSubscription
from tests.parts.cli.doctor.looking import one

NAMES = names_of("pilotlight", "demo", SUBSCRIPTION)
APP = f"{START}/resourceGroups/{NAMES.group}/providers/Microsoft.App/containerApps/{NAMES.app('endpoint')}"
ALWAYS = {"kind": "provisioned", "instances": 1}
# Every day but its last minute.
NOON = "2026-11-02T12:00:00+00:00"
WINDOW = {"kind": "scheduled", "cron": "0 0 * * *", "until": "59 23 * * *", "instances": 2}
BUDGET = {"monthlyUsd": 100, "email": "ops@example.com", "onExceeded": "drop-warming"}


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_NOW", NOON)


def up(azure: AzureSubscription, low: int, *windows: dict[str, Any], tags: dict[str, str] | None = None) -> None:
    """The endpoint's app as Resource Manager tells of it."""
    rules = [{"name": "http-0", "http": {"metadata": {"concurrentRequests": "2"}}}]
    rules += [{"name": f"cron-{number}", "custom": {"type": "cron", "metadata": each}} for number, each in enumerate(windows)]
    scale = {"minReplicas": low, "maxReplicas": 5, "rules": rules}
    azure.says(APP, {"id": APP, "tags": {"stack": "demo", **(tags or {})}, "properties": {"template": {"scale": scale}}})


def declared(subject: Subject) -> list[dict[str, Any]]:
    """The metadata of the cron rules that the program declares."""
    assert subject.settings is not None
    plan = plan_of(subject.settings.warming)
    return [dict(rule.metadata) for rule in window_rules(WarmingArgs(plan=plan, now=now()))]


def test_rules_that_are_the_plans_are_well(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, {"warming": [ALWAYS, WINDOW]})
    assert list(floor.floor(subject)) == [], "the stack is not up"
    up(azure, 1, *declared(subject))
    assert (one(floor.floor(subject)).status, one(floor.floor(subject)).found) == (
        "ok",
        "2 instances are kept warm, as the plan says for now",
    )
    assert list(floor.before_up(subject)) == []


def test_a_stack_without_a_floor_is_told_nothing(azure: AzureSubscription, root: Path) -> None:
    up(azure, 0)
    assert list(floor.floor(azure.subject(root))) == []
    up(azure, 3)
    assert one(floor.floor(azure.subject(root))).found == "3 instances are kept warm, the plan says 0 for now"


def test_what_the_budget_dropped_is_told_with_its_day(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, {"warming": [WINDOW], "budget": BUDGET})
    up(azure, 0, tags={TAG: "2026-11-20T17:00:00Z"})
    told = one(floor.floor(subject))
    assert (
        told.found == "the budget dropped the warming floor on 2026-11-20 at 17:00 UTC: 0 instances are kept warm, the plan says 2 for now"
    )
    assert (told.status, told.mend) == ("warn", "pilotlight up demo --refresh")
    assert "raise budget.monthlyUsd first" in told.allowed
    assert list(floor.before_up(subject)) == [told]
    up(azure, 0, tags={TAG: "mine"})
    assert one(floor.floor(subject)).found.startswith("the budget dropped the warming floor: 0 instances")


def test_pings_alone_are_dropped_too(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, {"warming": [{"kind": "ping", "everyMinutes": 5}], "budget": BUDGET})
    up(azure, 0)
    assert one(floor.floor(subject)).status == "ok"
    up(azure, 0, tags={TAG: "2026-11-20T17:00:00Z"})
    assert one(floor.floor(subject)).status == "warn"

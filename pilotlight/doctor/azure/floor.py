"""Checks of the live warming floor: what the budget dropped, and where it is not the plan's."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from components.azure.names import names_of
from components.warming_plan import floor_at
from handlers.functions.azure.floor import TAG
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor import floors
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.subject import Subject
from stacks.plan import plan_of
from stacks.service import network_args

# Container Apps API, containerApps.get.
VERSION = "2025-01-01"
# Whoever restores the plan finds the budget spent a few hours later (`components/azure/drop.py`).
AGAIN = "; while this month's budget stays spent it is dropped again within hours, so raise budget.monthlyUsd first"


def floor(subject: Subject) -> Iterator[Finding]:
    """The replicas that the endpoint's minimum and its windows keep are the plan's for this moment. Nothing where the stack is not up, or
    has neither."""
    app = _endpoint(subject)
    if app is None:
        return
    live, wanted, plan = _live(subject, app), _wanted(subject), plan_of(_rules(subject))
    found = list(_dropped(subject, app))
    if found or not (plan.rules or live):
        yield from found
    elif live == wanted:
        yield floors.as_planned(live)
    else:
        yield floors.another(live, wanted, subject.stack)


def before_up(subject: Subject) -> Iterator[Finding]:
    """What of it an `up` does not mend."""
    app = _endpoint(subject)
    if app is not None:
        yield from _dropped(subject, app)


def _dropped(subject: Subject, app: Mapping[str, Any]) -> Iterator[Finding]:
    """What the budget's job wrote on the endpoint when it took its rules away is still there. An `up` that has written the endpoint since
    has brought those back, and has left pings as they were."""
    told = (app.get("tags") or {}).get(TAG)
    if told is not None and _rules(subject):
        yield floors.dropped(_live(subject, app), _wanted(subject), subject.stack, _when(told), also=AGAIN)


def _live(subject: Subject, app: Mapping[str, Any]) -> int:
    # Imported here: whoever examines a stack elsewhere does not pay for it.
    from pilotlight.twin.azure.scale_rules import CronRule, rules_of

    template, now = app["properties"]["template"], subject.moment().timestamp()
    windows = [rule.replicas for rule in rules_of(template, None) if isinstance(rule, CronRule) and rule.active(now)]
    return max(int((template.get("scale") or {}).get("minReplicas") or 0), *windows, 0)


def _wanted(subject: Subject) -> int:
    return floor_at(plan_of(_rules(subject)), subject.moment())


def _rules(subject: Subject) -> Any:
    assert subject.settings is not None
    return subject.settings.warming


def _endpoint(subject: Subject) -> Mapping[str, Any] | None:
    """The endpoint's app, None where there is none."""
    assert subject.settings is not None
    names = names_of(subject.project.name, subject.stack, subject.account, network_args(subject.settings), subject.settings.endpoint.gpu)
    group = f"/subscriptions/{subject.account}/resourceGroups/{names.group}"
    try:
        found: Mapping[str, Any] = subject.clients.manager().ask(
            f"{group}/providers/Microsoft.App/containerApps/{names.app('endpoint')}", VERSION
        )
    except ApiError as error:
        if error.status == 404 or error.reason == "MissingSubscriptionRegistration":
            return None
        raise
    return found


def _when(told: str) -> str:
    """` on 2027-01-04 at 17:00 UTC`; empty for a tag that is somebody else's word."""
    try:
        return datetime.fromisoformat(told).strftime(" on %Y-%m-%d at %H:%M UTC")
    except ValueError:
        return ""

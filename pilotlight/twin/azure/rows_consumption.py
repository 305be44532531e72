"""Cost Management: budgets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from components.limits_azure import BUDGET_NOTIFICATIONS
from pilotlight.twin.azure import arm
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.budgets import Month, current
from pilotlight.twin.azure.types import BUDGET
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Consumption REST API, "Budgets - Create Or Update" (2024-08-01): texts of the fields.
_FIRST = re.compile(r"(\d{4})-(\d\d)-01(?:T00:00:00(?:\.0+)?Z?)?")
_EARLIEST, _AHEAD_MONTHS = (2017, 6), 12
_LOW, _HIGH = 0.01, 1000
_YEARS = 10


def _limits(inputs: Properties) -> list[str]:
    found = []
    amount, grain, filtered = inputs.get("amount"), inputs.get("timeGrain"), inputs.get("filter")
    if isinstance(amount, int | float) and amount <= 0:
        found.append(f"amount: {amount:g}: use more than 0.")
    if isinstance(grain, str) and grain != "Monthly":
        found.append(f"timeGrain: {grain!r} is not served by the local twin: use Monthly.")
    if filtered:
        found.append("filter: is not served by the local twin, which is told what the whole scope has cost: leave it out.")
    period = inputs.get("timePeriod")
    start = period.get("startDate") if isinstance(period, Mapping) else None
    if isinstance(start, str) and (_month(start) or (0, 0)) < _EARLIEST:
        found.append(
            f"timePeriod.startDate: {start!r} is not allowed: use the first of a month from 2017-06 on, 2027-01-01T00:00:00Z, say."
        )
    notifications = inputs.get("notifications")
    return [*found, *(_notifications(notifications) if isinstance(notifications, Mapping) else [])]


def _notifications(notifications: Mapping[str, Any]) -> Iterator[str]:
    if problem := BUDGET_NOTIFICATIONS.problem(len(notifications)):
        yield f"notifications: there are {len(notifications)}: {problem}."
    for name, one in notifications.items():
        if not isinstance(one, Mapping):
            continue
        at, threshold, emails = f"notifications.{name}", one.get("threshold"), one.get("contactEmails")
        if isinstance(threshold, int | float) and not _LOW <= threshold <= _HIGH:
            yield f"{at}.threshold: {threshold:g}: use percents, {_LOW} to {_HIGH}."
        for unserved in ("contactGroups", "contactRoles"):
            if one.get(unserved):
                yield f"{at}.{unserved}: is not served by the local twin: use contactEmails."
        if isinstance(emails, list) and not emails:
            yield f"{at}.contactEmails: is empty: name somebody."
        for address in emails if isinstance(emails, list) else []:
            if isinstance(address, str) and "@" not in address:
                yield f"{at}.contactEmails: {address!r} is no e-mail address."


def _month(start: str) -> tuple[int, int] | None:
    found = _FIRST.fullmatch(start)
    return None if found is None or not 1 <= int(found[2]) <= 12 else (int(found[1]), int(found[2]))


def _create(twin: Twin, resource: Resource) -> None:
    """A budget begins in the month in which it is made, or within a year from then."""
    start, now = str(resource["timePeriod"]["startDate"]), datetime.fromtimestamp(twin.clock.now(), UTC)
    year, month = _month(start) or _EARLIEST
    ahead = (year - now.year) * 12 + month - now.month
    if not 0 <= ahead <= _AHEAD_MONTHS:
        text = f"Start date {start} is not allowed for the time grain Monthly: use {now:%Y-%m}-01, or the first of a month within a year."
        raise Refusal("400", text)


def _update(twin: Twin, old: Resource, new: Resource) -> None:
    """In Azure's words (Azure/CanadaPubSecALZ issue 317)."""
    if _month(str(old["timePeriod"]["startDate"])) != _month(str(new["timePeriod"]["startDate"])):
        raise Refusal("400", "Start date of budgets cannot be updated. Please delete and create a new budget.")


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    period, start = inputs["timePeriod"], _month(str(inputs["timePeriod"]["startDate"])) or _EARLIEST
    end = period.get("endDate") or f"{start[0] + _YEARS}-{start[1]:02d}-01T00:00:00Z"
    return {"timePeriod": {**period, "endDate": end}}


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=BUDGET,
            id=arm.id_of(BUDGET),
            limits=_limits,
            computed=_computed,
            assigned=lambda twin, inputs: {"eTag": f'"{uuid.uuid4().hex[:16]}"', "currentSpend": current(Month(month=""))},
            create=_create,
            update=_update,
            volatile=frozenset({"currentSpend"}),
        ),
        absent=frozenset({"forecastSpend"}),
    ),
)

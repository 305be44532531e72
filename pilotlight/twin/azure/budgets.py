"""Cost Management's budgets: what a month has cost, as a test says, looked at once a day; a mail for each notification that it passes.

Sources (read 2026-11): Cost Management documentation, "Tutorial: Create and manage budgets"; Consumption REST API, "Budgets - Get"
(2024-08-01).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure.types import BUDGET
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

PLACE = "budgets:Budgets"
READ = "Microsoft.Consumption/budgets/read"
# What was spent, seen and mailed in the current month; no program declares it, so the engine never sees it.
MONTH = "twin:azure/month:Month"
# "Budgets are evaluated against these costs every 24 hours", and no word of the hour: here at 8 o'clock, UTC.
EVALUATED_S, AT_S = 24 * 3600, 8 * 3600
NAME = "Azure's budgets"
SENDER = "azure-noreply@microsoft.com"
# Of the twin's subscription, whose bill is in dollars.
CURRENCY = "USD"
_PASSED: Mapping[str, str] = {"GreaterThan": "__gt__", "GreaterThanOrEqualTo": "__ge__", "EqualTo": "__eq__"}


@dataclass(frozen=True, kw_only=True)
class Month:
    """`spent` so far, `seen` of it when it was last looked at, and the notifications that were mailed, by their names."""

    month: str
    spent: float = 0.0
    seen: float = 0.0
    told: tuple[str, ...] = ()


class Budgets(Plane):
    """A forecast needs weeks of usage on Azure, so here no share of a forecast is ever passed."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._timer: Timer | None = None

    async def start(self) -> None:
        self._timer = self.twin.timers.every(_next_look, self._evaluate, NAME)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def delete(self, resource: Resource) -> None:
        self.twin.world.delete(MONTH, resource.id)

    def read(self, resource: Resource) -> dict[str, Any]:
        return {**resource.outputs, "currentSpend": current(self.month(resource))}

    def spend(self, amount: float, budget: str | None = None) -> list[str]:
        """This month has cost `amount` so far, in dollars; the names of the budgets, none where there is no such one. Seen and told at the
        next look."""
        found = [one for one in self.twin.world.find(BUDGET) if budget in (None, one["name"])]
        for one in found:
            self._keep(one, replace(self.month(one), spent=float(amount)))
        return [str(one["name"]) for one in found]

    def month(self, budget: Resource) -> Month:
        """What is known of the budget's current month; a new month begins at nothing."""
        now = datetime.fromtimestamp(self.twin.clock.now(), UTC).strftime("%Y-%m")
        found = self.twin.world.get(MONTH, budget.id)
        known = Month(**{**found.outputs, "told": tuple(found["told"])}) if found else None
        return known if known and known.month == now else Month(month=now)

    def _keep(self, budget: Resource, month: Month) -> None:
        self.twin.world.put(Resource(token=MONTH, id=budget.id, urn="", outputs=asdict(month)))

    async def _evaluate(self, due: float) -> str | None:
        return "; ".join(text for budget in self.twin.world.find(BUDGET) for text in self._looked_at(budget)) or None

    def _looked_at(self, budget: Resource) -> Iterator[str]:
        month = self.month(budget)
        month = replace(month, seen=month.spent)
        new = [name for name in passed(budget, month.seen) if name not in month.told]
        self._keep(budget, replace(month, told=(*month.told, *new)))
        for name in new:
            notification = budget["notifications"][name]
            share = f"{float(notification['threshold']):g} %"
            subject = f"Budget {budget['name']}: more than {share} of {float(budget['amount']):.2f} {CURRENCY} is spent"
            text = f"The cost of {budget['scope']} in this month so far is {month.seen:.2f} {CURRENCY}."
            for address in notification.get("contactEmails") or []:
                self.twin.sns.mail(SENDER, address, subject, text, confirmed=True)
                yield f"{budget['name']} is over {share} (mailed to {address})"


def _next_look(after: float) -> float:
    return ((after - AT_S) // EVALUATED_S + 1) * EVALUATED_S + AT_S


def current(month: Month) -> dict[str, Any]:
    """The budget's `currentSpend`."""
    return {"amount": month.seen, "unit": CURRENCY}


def passed(budget: Resource, spent: float) -> list[str]:
    """The notifications that so much passes, by their names, the lowest share first; of forecasts none."""
    amount, found = float(budget["amount"]), []
    for name, one in sorted((budget.get("notifications") or {}).items(), key=lambda each: float(each[1]["threshold"])):
        wanted = one.get("enabled", True) and one.get("thresholdType", "Actual") == "Actual"
        if wanted and getattr(float(spent), _PASSED[one["operator"]])(float(one["threshold"]) * amount / 100):
            found.append(str(name))
    return found


def described(budget: Resource, month: Month) -> dict[str, Any]:
    """A budget in the API's form."""
    names = ("amount", "category", "timeGrain", "timePeriod", "notifications", "filter")
    told = {name: budget[name] for name in names if budget.get(name) is not None}
    about = {"id": budget.id, "name": budget["name"], "type": budget["type"], "eTag": budget.get("eTag")}
    return {**about, "properties": {**told, "currentSpend": current(month)}}

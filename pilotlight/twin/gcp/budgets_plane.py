"""Cloud Billing's budgets: what a month has cost, as a test says, told to a budget's topic several times a day, and by mail once a share.

Message and attributes: Cloud Billing documentation, "Set up programmatic notifications" (read 2026-11).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.forms import short
from pilotlight.twin.gcp.types import BUDGET, CHANNEL
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

# What was spent and mailed in the current month; no program declares it, so the engine never sees it.
MONTH = "twin:billing/month:Month"
# "Multiple times per day", says the documentation, and no number: here as often as AWS's budgets look.
REFRESH_S = 8 * 3600
SENDER = "billing-budget-alert@system.gserviceaccount.com"
_CURRENT = "CURRENT_SPEND"
_NANOS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Month:
    """`spent` in the budget's currency; `told` are the shares that were mailed."""

    month: str
    spent: float = 0.0
    told: tuple[float, ...] = ()


class BudgetsPlane(Plane):
    """A forecast needs weeks of usage on Google Cloud, so here no share of a forecast is ever passed.

    Cloud Billing publishes as an account of its own, which it lets do so when the budget is connected to the topic.
    """

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._timer: Timer | None = None

    async def start(self) -> None:
        self._timer = self.twin.timers.every(lambda after: (after // REFRESH_S + 1) * REFRESH_S, self._refresh, "Cloud Billing's budgets")

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def create(self, resource: Resource) -> None:
        """Refusal for budgets that the twin does not count."""
        counted = resource.get("budgetFilter") or {}
        if not resource["amount"].get("specifiedAmount"):
            raise Refusal("UNIMPLEMENTED", "amount: the local twin compares with a specifiedAmount.", 501)
        if counted.get("customPeriod") or counted.get("calendarPeriod", "MONTH") != "MONTH":
            raise Refusal("UNIMPLEMENTED", "budgetFilter: the local twin counts by the month: leave the period out, or say MONTH.", 501)

    def update(self, old: Resource, new: Resource) -> None:
        self.create(new)

    def delete(self, resource: Resource) -> None:
        self.twin.world.delete(MONTH, resource.id)

    def spend(self, amount: float, budget: str | None = None) -> list[str]:
        """This month has cost `amount` so far, in the budget's currency; the names of the budgets, none where there is no such one."""
        found = [one for one in self.twin.world.find(BUDGET) if budget in (None, _name(one))]
        for one in found:
            self._keep(one, replace(self.month(one), spent=float(amount)))
        return [_name(one) for one in found]

    def month(self, budget: Resource) -> Month:
        """What is known of the budget's current month; a new month begins at nothing."""
        now = datetime.fromtimestamp(self.twin.clock.now(), UTC).strftime("%Y-%m")
        found = self.twin.world.get(MONTH, budget.id)
        known = Month(**{**found.outputs, "told": tuple(found["told"])}) if found else None
        return known if known and known.month == now else Month(month=now)

    def _keep(self, budget: Resource, month: Month) -> None:
        self.twin.world.put(Resource(token=MONTH, id=budget.id, urn="", outputs=asdict(month)))

    async def _refresh(self, due: float) -> str | None:
        said = [text for budget in self.twin.world.find(BUDGET) for text in (self._published(budget), *self._mailed(budget)) if text]
        return "; ".join(said) or None

    def _published(self, budget: Resource) -> str | None:
        """A budget's state goes to its topic whether a share was passed or not."""
        topic = (budget.get("allUpdatesRule") or {}).get("pubsubTopic")
        if not topic:
            return None
        # By its place: to ask with isinstance would import Pub/Sub for everybody.
        plane: PubsubPlane | None = self.twin.gcp.planes.made("pubsub_plane:PubsubPlane")  # type: ignore[assignment]
        if plane is None or topic not in plane.service.store.topics:
            return f"{_name(budget)}: the topic {topic} is gone"
        # Imported here: a budget that only mails needs no Pub/Sub.
        from pilotlight.twin.gcp.pubsub_store import Message

        message = Message(data=json.dumps(told(budget, self.month(budget))).encode(), attributes=attributes(budget))
        plane.service.publish(topic, [message])
        return f"{_name(budget)} told {short(topic)}"

    def _mailed(self, budget: Resource) -> list[str]:
        """One mail to each channel for the highest share that was passed since the last one, once a month."""
        month, channels = self.month(budget), (budget.get("allUpdatesRule") or {}).get("monitoringNotificationChannels") or []
        new = [share for share in passed(budget, month.spent) if share not in month.told]
        if not new:
            return []
        self._keep(budget, replace(month, told=(*month.told, *new)))
        subject = f"Budget {_name(budget)}: {max(new):.0%} of {amount_of(budget):.2f} {_currency(budget)} is spent"
        said = []
        for channel in channels:
            found = self.twin.world.get(CHANNEL, channel)
            if found is not None and (address := (found.get("labels") or {}).get("email_address")):
                text = f"The cost of this month so far is {month.spent:.2f} {_currency(budget)}."
                self.twin.sns.mail(SENDER, address, subject, text, confirmed=True)
                said.append(f"{_name(budget)} is over {max(new):.0%} (mailed to {address})")
        return said


def told(budget: Resource, month: Month) -> dict[str, Any]:
    """The message's data."""
    shares = passed(budget, month.spent)
    return {
        "budgetDisplayName": _name(budget),
        **({"alertThresholdExceeded": max(shares)} if shares else {}),
        "costAmount": month.spent,
        "costIntervalStart": f"{month.month}-01T00:00:00Z",
        "budgetAmount": amount_of(budget),
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": _currency(budget),
    }


def attributes(budget: Resource) -> dict[str, str]:
    """The message's attributes."""
    account = budget["billingAccount"].removeprefix("billingAccounts/")
    return {"billingAccountId": account, "budgetId": budget["name"], "schemaVersion": "1.0"}


def passed(budget: Resource, spent: float) -> list[float]:
    """The shares of the amount that are spent; of forecasts none."""
    rules = (one for one in budget.get("thresholdRules") or [] if (one.get("spendBasis") or _CURRENT) == _CURRENT)
    return sorted(share for rule in rules if spent >= (share := float(rule["thresholdPercent"])) * amount_of(budget))


def amount_of(budget: Resource) -> float:
    """What may be spent, in the budget's currency."""
    given = budget["amount"]["specifiedAmount"]
    return int(given.get("units") or 0) + int(given.get("nanos") or 0) / _NANOS


def _name(budget: Resource) -> str:
    return str(budget.get("displayName") or budget["name"])


def _currency(budget: Resource) -> str:
    return str(budget["amount"]["specifiedAmount"].get("currencyCode") or "USD")

"""AWS Budgets: what a month has cost, as a test says, compared with what it may; told by mail and topic, hours late as on AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

BUDGET = "aws:budgets/budget:Budget"
# What was spent and told in the current month; no program declares it, so the engine never sees it.
MONTH = "pilotlight:budgets/month:Month"
PRINCIPAL = "budgets.amazonaws.com"
# Budgets user guide: budget information is updated up to three times a day, 8 to 12 hours after the previous update.
REFRESH_S = 8 * 3600


@dataclass(frozen=True, kw_only=True)
class Month:
    """`spent` in the budget's unit; `told` are the notifications that were sent, by their place in the budget."""

    month: str
    spent: float = 0.0
    told: tuple[int, ...] = ()


class BudgetsService:
    """`attach` it to its twin before use. A forecast needs weeks of usage on AWS, so here no FORECASTED notification is ever sent."""

    name = "budgets"

    def attach(self, twin: Twin) -> None:
        self.twin = twin

    async def start(self) -> None:
        """Look at the budgets three times a day of the twin's clock."""
        self.twin.timers.every(lambda after: (after // REFRESH_S + 1) * REFRESH_S, self._refresh, "budgets")

    async def close(self) -> None:
        """Nothing of its own runs."""

    def spend(self, amount: float, budget: str | None = None) -> list[str]:
        """This month has cost `amount` so far, in the budget's unit; the names of the budgets. Told with their next refresh.

        ValueError where there is no such budget.
        """
        found = [one for one in self.twin.world.find(BUDGET) if budget in (None, one["name"])]
        if not found:
            raise ValueError(f"there is no budget {budget!r}" if budget else "there is no budget")
        for one in found:
            self._keep(one, replace(self.month(one), spent=float(amount)))
        return [str(one["name"]) for one in found]

    def month(self, budget: Resource) -> Month:
        """What is known of the budget's current month; a new month begins at nothing."""
        now = datetime.fromtimestamp(self.twin.clock.now(), UTC).strftime("%Y-%m")
        found = self.twin.world.get(MONTH, budget.id)
        known = Month(**{**found.outputs, "told": tuple(found["told"])}) if found else None
        return known if known and known.month == now else Month(month=now)

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        name, wanted = operation(request.headers, request.body)
        known = ("DescribeBudgets", "DescribeBudget", "DescribeNotificationsForBudget")
        if name not in known:
            raise Refusal("UnknownOperationException", f"The twin does not serve budgets:{name}; it serves {', '.join(known)}.")
        # Service Authorization Reference, AWS Budget Service: the describing operations need one right.
        return [("budgets:ViewBudget", f"arn:aws:budgets::{self.twin.account}:budget/{wanted.get('BudgetName', '*')}")]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        name, wanted = operation(request.headers, request.body)
        if name == "DescribeBudgets":
            content: dict[str, Any] = {"Budgets": [self._described(one) for one in self.twin.world.find(BUDGET)]}
        else:
            found = self.twin.world.one(BUDGET, name=wanted.get("BudgetName"))
            if found is None:
                text = f"[Exception=NotFoundException] Unable to get budget: {wanted.get('BudgetName')} - the budget doesn't exist."
                raise Refusal("NotFoundException", text)
            notifications = {"Notifications": [_notification(one) for one in found.get("notifications") or []]}
            content = {"Budget": self._described(found)} if name == "DescribeBudget" else notifications
        return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=json.dumps(content).encode())

    async def _refresh(self, due: float) -> str | None:
        said = [text for budget in self.twin.world.find(BUDGET) for text in await self._compare(budget)]
        return "; ".join(said) or None

    async def _compare(self, budget: Resource) -> list[str]:
        """Send what has become due; each notification once a month."""
        month, said = self.month(budget), []
        for place, notification in enumerate(budget.get("notifications") or []):
            if place not in month.told and _reached(budget, notification, month.spent):
                said.append(await self._tell(budget, notification, month.spent))
                month = replace(month, told=(*month.told, place))
                self._keep(budget, month)
        return said

    async def _tell(self, budget: Resource, notification: Mapping[str, Any], spent: float) -> str:
        limit = (
            f"{float(notification['threshold']):g}{' %' if notification['thresholdType'] == 'PERCENTAGE' else ' ' + budget['limitUnit']}"
        )
        subject = f"AWS Budgets: {budget['name']} is over {limit}"[:100]
        text = (
            f"Budget {budget['name']} of account {self.twin.account}: the actual cost of this month, {spent:.2f} {budget['limitUnit']}, is "
            f"over its alert threshold of {limit} of {budget['limitAmount']} {budget['limitUnit']}."
        )
        told = []
        for address in notification.get("subscriberEmailAddresses") or []:
            self.twin.sns.mail(str(budget["arn"]), address, subject, text, confirmed=True)
            told.append(f"mailed to {address}")
        for topic in notification.get("subscriberSnsTopicArns") or []:
            told.append(await self.twin.sns.publish_for(PRINCIPAL, budget["arn"], topic, subject, text))
        return f"{budget['name']} is over {limit} ({', '.join(told)})"

    def _keep(self, budget: Resource, month: Month) -> None:
        self.twin.world.put(Resource(token=MONTH, id=budget.id, urn="", outputs=asdict(month)))

    def _described(self, budget: Resource) -> dict[str, Any]:
        unit = budget["limitUnit"]
        return {
            "BudgetName": budget["name"],
            "BudgetType": budget["budgetType"],
            "TimeUnit": budget["timeUnit"],
            "BudgetLimit": {"Amount": str(budget["limitAmount"]), "Unit": unit},
            "CostFilters": {one["name"]: one["values"] for one in budget.get("costFilters") or []},
            "CalculatedSpend": {"ActualSpend": {"Amount": str(self.month(budget).spent), "Unit": unit}},
        }


def _notification(one: Mapping[str, Any]) -> dict[str, Any]:
    names = ("notificationType", "comparisonOperator", "thresholdType", "threshold")
    return {f"{name[0].upper()}{name[1:]}": one[name] for name in names}


def _reached(budget: Resource, notification: Mapping[str, Any], spent: float) -> bool:
    if notification["notificationType"] != "ACTUAL":
        return False
    threshold = float(notification["threshold"])
    limit = threshold if notification["thresholdType"] == "ABSOLUTE_VALUE" else float(budget["limitAmount"]) * threshold / 100
    return {"GREATER_THAN": spent > limit, "LESS_THAN": spent < limit, "EQUAL_TO": spent == limit}[notification["comparisonOperator"]]

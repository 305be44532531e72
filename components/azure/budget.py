"""A budget of one stack's costs: who is told at which share of it, and what drops the warming floor when it is spent.

Costs are known hours later (Cost Management documentation, budgets: within 8 to 24 hours, looked at once a day), so that more can be
spent than was left.
"""

from datetime import UTC

import pulumi
import pulumi_azure_native as azure

from components.args import BudgetArgs, FunctionArgs
from components.azure.context import AzureContext
from components.azure.drop import drop
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.watch import Alarm

BUDGET, CURRENCY = "spend", "USD"


class Budget(pulumi.ComponentResource):
    """A monthly budget of everything in the stack's resource group; mails at each share of it, which need no action group.

    It counts in the currency that the subscription is billed in, which no field of it names: where that is not the dollar, a warning
    says so. When it begins can't be changed once it is there (`Start date of budgets cannot be updated`, Azure/CanadaPubSecALZ issue
    317), and matters to nobody from then on.
    """

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        endpoint: ContainerAppsEndpoint,
        args: BudgetArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:Budget", name, None, opts)
        if args.email is None:
            raise pulumi.RunError("A budget on Azure tells somebody at each share: it needs BudgetArgs.email.")
        budget = azure.consumption.Budget(
            f"{name}-budget",
            budget_name=BUDGET,
            scope=home.group_id(name, self),
            category="Cost",
            time_grain="Monthly",
            amount=args.monthly_usd,
            time_period=azure.consumption.BudgetTimePeriodArgs(start_date=args.now.astimezone(UTC).strftime("%Y-%m-01T00:00:00Z")),
            # Called as in the REST API's example: what else a name may be is not documented.
            notifications={f"Actual_GreaterThan_{share:g}_Percent": _mail(share, args.email) for share in percents(args.alert_at)},
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["timePeriod"]),
        )
        budget.current_spend.apply(lambda known: _warn(known.unit if known else None))
        self.log_groups = []
        self.alarms = drop(f"{name}-floor", home, endpoint, budget, function, self) if args.drop_warming else []
        self.register_outputs({})


def percents(shares: tuple[float, ...]) -> list[float]:
    """Shares in percent, to hundredths: 55.00000000000001 would be another one than the service's."""
    return sorted({round(share * 100, 2) for share in shares})


def _mail(percent: float, email: str) -> azure.consumption.NotificationArgs:
    return azure.consumption.NotificationArgs(
        enabled=True, operator="GreaterThan", threshold=percent, threshold_type="Actual", contact_emails=[email]
    )


def _warn(currency: str | None) -> None:
    if currency not in (None, CURRENCY):
        pulumi.log.warn(
            f"budget.monthlyUsd: the subscription is billed in {currency}, and its budgets count in that: set as many as you mean."
        )

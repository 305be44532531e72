"""A budget of one stack's costs: who is told at which share of it.

Costs are known hours later (Cloud Billing documentation, budgets: data delays), so that more can be spent than was left.
"""

import math

import pulumi
import pulumi_gcp as gcp

from components.args import BudgetArgs
from components.gcp.apis import BUDGETS, MONITORING
from components.gcp.context import GcpContext
from components.gcp.watch import Alarm, channel
from components.tags import label

NANOS = 1_000_000_000


class Budget(pulumi.ComponentResource):
    """A monthly budget of what carries the stack's label `stack` in this project; mails at each share of it.

    It belongs to the billing account that pays for the project, and counts that account's own currency: the amount is refused where
    that is not the dollar.
    """

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, args: BudgetArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Budget", name, None, opts)
        ready = pulumi.ResourceOptions(parent=self, depends_on=home.apis.enabled(name, self, BUDGETS, MONITORING))
        told = None if args.email is None else [channel(name, home, args.email, ready).name]
        project = gcp.organizations.get_project_output(project_id=home.project)
        units = math.floor(args.monthly_usd)
        gcp.billing.Budget(
            f"{name}-budget",
            billing_account=project.billing_account,
            display_name=home.names.prefix,
            amount=gcp.billing.BudgetAmountArgs(
                specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code="USD", units=str(units), nanos=round((args.monthly_usd - units) * NANOS)
                )
            ),
            budget_filter=gcp.billing.BudgetBudgetFilterArgs(
                calendar_period="MONTH",
                projects=[pulumi.Output.format("projects/{0}", project.number)],
                labels={"stack": label(home.stack)},
            ),
            threshold_rules=[
                gcp.billing.BudgetThresholdRuleArgs(threshold_percent=share, spend_basis="CURRENT_SPEND")
                for share in sorted({*args.alert_at})
            ],
            all_updates_rule=gcp.billing.BudgetAllUpdatesRuleArgs(
                monitoring_notification_channels=told,
                # Those who administer the billing account have budgets of their own.
                disable_default_iam_recipients=True,
            ),
            opts=ready,
        )
        self.log_groups, self.alarms = [], []
        self.register_outputs({})

"""A budget of one stack's costs: who is told at which share of it, and what drops the warming floor when it is spent.

Costs are known hours later (Cloud Billing documentation, budgets: data delays), so that more can be spent than was left.
"""

import math

import pulumi
import pulumi_gcp as gcp

from components.args import BudgetArgs, FunctionArgs
from components.gcp.apis import BILLING, BUDGETS, MONITORING
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.drop import drop
from components.gcp.watch import Alarm, channel
from components.limits import BILLING_BUDGET_NAME
from components.naming import fixed
from components.tags import DEPLOYMENT, label

NANOS = 1_000_000_000
SPENT = 1.0
# Of the messages (Budgets API, NotificationsRule).
SCHEMA = "1.0"


class Budget(pulumi.ComponentResource):
    """A monthly budget of what carries the stack's label `deployment` in this project; mails at each share of it.

    It belongs to the billing account that pays for the project, and counts that account's own currency: the amount is refused where
    that is not the dollar. With `drop_warming` it publishes its state several times a day, whether a share was passed or not; Google
    lets it do so, on behalf of the deployer, who may set the topic's policy (Cloud Billing documentation, programmatic notifications).
    """

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: GcpContext,
        endpoint: CloudRunEndpoint,
        args: BudgetArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:Budget", name, None, opts)
        dropped = drop(f"{name}-floor", home, endpoint, function, self) if args.drop_warming else None
        enabled = home.apis.enabled(name, self, BILLING, BUDGETS, MONITORING)
        ready = pulumi.ResourceOptions(parent=self, depends_on=enabled)
        told = None if args.email is None else [channel(name, home, args.email, ready).name]
        # Who pays is Cloud Billing's to tell: while that is off the provider reads a project without an account.
        provider = home.quota.provider(name, self)
        asks = pulumi.InvokeOutputOptions(provider=provider, depends_on=[*enabled])
        project = gcp.organizations.get_project_output(project_id=home.project, opts=asks)
        units = math.floor(args.monthly_usd)
        gcp.billing.Budget(
            f"{name}-budget",
            billing_account=project.billing_account,
            display_name=fixed(home.names.prefix, BILLING_BUDGET_NAME),
            amount=gcp.billing.BudgetAmountArgs(
                specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code="USD", units=str(units), nanos=round((args.monthly_usd - units) * NANOS)
                )
            ),
            budget_filter=gcp.billing.BudgetBudgetFilterArgs(
                calendar_period="MONTH",
                projects=[pulumi.Output.format("projects/{0}", project.number)],
                labels={DEPLOYMENT: label(home.names.prefix)},
                # What credits pay for is spent all the same, and a floor would stay up while a trial's run out.
                credit_types_treatment="EXCLUDE_ALL_CREDITS",
            ),
            threshold_rules=[
                gcp.billing.BudgetThresholdRuleArgs(threshold_percent=share, spend_basis="CURRENT_SPEND")
                for share in sorted({*args.alert_at, *([] if dropped is None else [SPENT])})
            ],
            all_updates_rule=gcp.billing.BudgetAllUpdatesRuleArgs(
                monitoring_notification_channels=told,
                pubsub_topic=None if dropped is None else dropped.topic,
                schema_version=None if dropped is None else SCHEMA,
                # Those who administer the billing account have budgets of their own.
                disable_default_iam_recipients=True,
            ),
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*enabled, *([] if dropped is None else dropped.ready)]),
        )
        self.log_groups, self.alarms = [], [] if dropped is None else dropped.alarms
        self.register_outputs({})

"""A budget of one stack's costs: who is told, and what drops the warming floor when it is spent.

Costs are known hours later (Budgets user guide: billing data is updated at least daily, and budgets by it), so that a floor can cost
more than what was left. What was dropped stays so, beyond the end of the month too, until an `up --refresh` restores the plan: an
`up` without it compares with a state that knows nothing of the drop.
"""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.args import BudgetArgs, FunctionArgs
from components.aws.context import AwsContext
from components.aws.floor import Warmed, stop_schedules
from components.aws.function import permit
from components.aws.iam import Place, Statement, allow, document
from components.aws.queues import dead_letter_queue, queue_alarm
from components.aws.watch import Alarm
from components.aws.zips import Live, Zip, asynchronous, zip_function
from components.contract import Principal
from components.limits import BUDGET_NAME
from components.naming import fixed
from components.tags import DEPLOYMENT

FLOOR = "floor"
FLOOR_MB = 256
# Of a swapped endpoint it waits for a move under way, which takes minutes, and for its own: all the time that Lambda gives, three times.
FLOOR_S = 900
SPENT = 1.0


class Budget(pulumi.ComponentResource):
    """A monthly budget of what carries the stack's tag `deployment`, which must be activated once as a cost-allocation tag (the page for
    a real account says how); mails at each share of it, and with `drop_warming` a topic and the function that drops the floor."""

    def __init__(
        self, name: str, home: AwsContext, endpoint: Warmed, args: BudgetArgs, function: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:Budget", name, None, opts)
        self._home, self._dead = home, home.names.named(f"{FLOOR}-dead")
        self.alarms: list[Alarm] = []
        self.log_groups: list[pulumi.Output[str]] = []
        topic = self._drop(f"{name}-floor", endpoint, function) if args.drop_warming else None
        shares = sorted({*args.alert_at, *([SPENT] if topic is not None else [])})
        aws.budgets.Budget(
            f"{name}-budget",
            name=fixed(home.names.prefix, BUDGET_NAME),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.monthly_usd),
            limit_unit="USD",
            # A user's own tag is written `user:KEY$VALUE` (Budgets user guide, filters).
            cost_filters=[aws.budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:{DEPLOYMENT}${home.names.prefix}"])],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    notification_type="ACTUAL",
                    comparison_operator="GREATER_THAN",
                    # A threshold is a notification's name as well: 55.00000000000001 would be another one than the service's.
                    threshold=round(share * 100, 2),
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=[args.email] if args.email is not None and share in args.alert_at else None,
                    subscriber_sns_topic_arns=None if topic is None or share != SPENT else [topic],
                )
                for share in shares
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

    def _drop(self, name: str, endpoint: Warmed, function: FunctionArgs) -> pulumi.Output[str]:
        """budget > topic > function; what fails on the way lies in dead letters. Gives back the topic, ready to be published to."""
        child, home = pulumi.ResourceOptions(parent=self), self._home
        topic_name = home.names.named(FLOOR)
        dead = dead_letter_queue(name, self._dead, self)
        topic = aws.sns.Topic(f"{name}-topic", name=topic_name, opts=child)
        may_publish = json.dumps(publish(home.place, topic_name))
        policy = aws.sns.TopicPolicy(f"{name}-topic-policy", arn=topic.arn, policy=may_publish, opts=child)
        may_send = json.dumps(from_topic(home.place, self._dead, topic_name))
        letters = aws.sqs.QueuePolicy(f"{name}-dead-policy", queue_url=dead.url, policy=may_send, opts=child)
        live = self._function(name, endpoint, function, dead.arn)
        called = permit(Principal(name=name, identity="sns.amazonaws.com", source=topic.arn, parent=self), live.alias)
        aws.sns.TopicSubscription(
            f"{name}-subscription",
            topic=topic.arn,
            protocol="lambda",
            endpoint=live.alias.arn,
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead.arn}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[called, letters]),
        )
        self.log_groups.append(live.logs.name)
        text = "The budget is spent and the floor could not be dropped: take `warming` out and run `pulumi up --refresh`."
        self.alarms.append(queue_alarm("budget-dead-letters", text, dead.name))
        # Through the policy: Budgets publishes to nothing that does not let it.
        return policy.arn

    def _function(self, name: str, endpoint: Warmed, function: FunctionArgs, dead: pulumi.Output[str]) -> Live:
        schedules = endpoint.schedules
        group: Mapping[str, pulumi.Input[str]] = {} if schedules is None else {"SCHEDULE_GROUP": schedules.group}

        def rights(place: Place) -> list[Statement]:
            stop = [] if schedules is None else stop_schedules(place, schedules)
            return [*endpoint.drop.rights(place), *stop, allow("sqs:SendMessage", place.arn("sqs", self._dead))]

        zipped = Zip(
            name=self._home.names.named(FLOOR),
            handler="handlers.functions.aws.floor.handler",
            purpose="Drops the warming floor when the budget is spent",
            code=function.code,
            memory_mb=FLOOR_MB,
            timeout_s=FLOOR_S,
            variables={**endpoint.drop.variables, **group},
            statements=rights,
        )
        live = zip_function(name, self._home, zipped, self)
        asynchronous(name, live, dead, self, retries=2)
        return live


def publish(place: Place, topic: str) -> Mapping[str, Any]:
    """Only budgets of this account may publish.

    In the words of the Budgets user guide (topic policy for notifications): for one budget there are none, and a policy that Budgets
    does not satisfy is told by nothing, but the topic stays silent. Which budgets name the topic is theirs to say.
    """
    ours = f"arn:{place.partition}:budgets::{place.account}:*"
    of = {"StringEquals": {"aws:SourceAccount": place.account}, "ArnLike": {"aws:SourceArn": ours}}
    return document(allow("sns:Publish", place.arn("sns", topic), Principal={"Service": "budgets.amazonaws.com"}, Condition=of))


def from_topic(place: Place, queue: str, topic: str) -> Mapping[str, Any]:
    """Only this one topic may leave what it could not deliver."""
    of = {"ArnEquals": {"aws:SourceArn": place.arn("sns", topic)}}
    return document(allow("sqs:SendMessage", place.arn("sqs", queue), Principal={"Service": "sns.amazonaws.com"}, Condition=of))

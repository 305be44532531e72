"""The schedules of a service: one group, one queue for what they could not deliver, one role for each kind of target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, allow
from components.aws.queues import dead_letter_queue, queue_alarm
from components.aws.roles import role
from components.aws.watch import Alarm
from components.limits import SCHEDULE_NAME
from components.naming import bounded
from components.warming_plan import utc
from components.warming_schedule import Firing

# Until the next assertion comes: a floor that is set later than that is one of another time.
MAX_AGE_S = 15 * 60
MAX_RETRIES = 20
# Neither service says whether its end belongs to the time before it, so it lies between two minutes.
BEFORE = timedelta(seconds=30)
# A role and the policy that it must have before a schedule may use it.
RunsAs = tuple[aws.iam.Role, aws.iam.RolePolicy]


@dataclass(frozen=True, kw_only=True)
class When:
    """A schedule's expression, its time zone, and the instant (UTC) at which it ends, if it does."""

    expression: str
    timezone: str = "UTC"
    end: str | None = None


def at(firing: Firing) -> When:
    """The firing as both services read it, EventBridge Scheduler and application auto scaling."""
    return When(expression=f"cron({firing.cron})", timezone=firing.timezone, end=_end(firing.before))


def every(minutes: int, before: datetime | None) -> When:
    """A rate, `rate(5 minutes)`: 24 hours are 24 hours there, whatever the clocks do."""
    return When(expression="rate(1 minute)" if minutes == 1 else f"rate({minutes} minutes)", end=_end(before))


def _end(before: datetime | None) -> str | None:
    return None if before is None else utc(before - BEFORE)


class Schedules(pulumi.ComponentResource):
    """A schedule group and its dead letters. What schedules call comes later: `add` gives each one its target."""

    group: pulumi.Output[str]
    dead_letters: pulumi.Output[str]

    def __init__(self, name: str, home: AwsContext, prefix: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Schedules", name, None, opts)
        self._home, self._dead, self.prefix = home, f"{prefix}-schedules-dead", prefix
        group = aws.scheduler.ScheduleGroup(f"{name}-group", name=prefix, opts=pulumi.ResourceOptions(parent=self))
        dead = dead_letter_queue(name, self._dead, self)
        self.group, self.dead_letters = group.name, dead.arn
        self.roles: list[pulumi.Output[str]] = []
        self.alarms = schedule_alarms(group.name, dead.name)
        self.log_groups: list[pulumi.Output[str]] = []
        self.register_outputs({"group": self.group})

    def leave_dead_letters(self, place: Place) -> Statement:
        """What whoever fails needs to leave word of it."""
        return allow("sqs:SendMessage", place.arn("sqs", self._dead))

    def role(self, name: str, purpose: str, statements: Callable[[Place], Sequence[Statement]], parent: pulumi.Resource) -> RunsAs:
        """The role of schedules with one kind of target, which may do what `statements` say and leave dead letters."""
        home = self._home
        rights = [*statements(home.place), self.leave_dead_letters(home.place)]
        made, permissions = role(name, "scheduler.amazonaws.com", home.account, purpose, rights, parent)
        self.roles.append(made.arn)
        return made, permissions

    def add(
        self, name: str, when: When, target: pulumi.Input[str], text: pulumi.Input[str], runs_as: RunsAs, parent: pulumi.Resource
    ) -> "aws.scheduler.Schedule":
        """Call `target` with the JSON `text`."""
        made, permissions = runs_as
        return aws.scheduler.Schedule(
            bounded(name, SCHEDULE_NAME),
            group_name=self.group,
            schedule_expression=when.expression,
            schedule_expression_timezone=when.timezone,
            end_date=when.end,
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            state="ENABLED",
            target=aws.scheduler.ScheduleTargetArgs(
                arn=target,
                role_arn=made.arn,
                input=text,
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_event_age_in_seconds=MAX_AGE_S, maximum_retry_attempts=MAX_RETRIES
                ),
                dead_letter_config=aws.scheduler.ScheduleTargetDeadLetterConfigArgs(arn=self.dead_letters),
            ),
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[permissions]),
        )


def schedule_alarms(group: pulumi.Output[str], dead: pulumi.Output[str]) -> list[Alarm]:
    """Targets that could not be called until the retries were spent (user guide, monitoring with CloudWatch), and their dead letters."""
    return [
        Alarm(
            role="schedules-dropped",
            text="A schedule could not call its target: the floor may be another one than the plan's.",
            namespace="AWS/Scheduler",
            metric="InvocationDroppedCount",
            dimensions={"ScheduleGroup": group},
            statistic="Sum",
            threshold=0,
            minutes=1,
        ),
        queue_alarm(
            "schedules-dead-letters", "Warming failed: see why in the dead letters, then purge them; the next firing mends the floor.", dead
        ),
    ]

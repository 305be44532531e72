"""The settings of the warming plan and of the budget. What a plan's values may be is checked apart (`components/warming_checks.py`)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stacks.parts import MAIL, MAIL_TEXT, Part, Text

# Of this millennium: the day after 9999-12-31 is none that Python knows.
Date = Annotated[str, StringConstraints(pattern=r"^2\d{3}-\d{2}-\d{2}$")]
Share = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class PingRule(Part):
    """A request every few minutes that is no caller's, `parallel` at a time; always, or inside a weekly window."""

    kind: Literal["ping"]
    every_minutes: int
    parallel: int = 1
    cron: Text | None = None
    until: Text | None = None
    timezone: Text = "UTC"
    lease_until: Date | None = Field(default=None, description="use a date, 2027-01-31, say")


class ScheduledRule(Part):
    """Instances that stay warm inside a weekly window, until the lease ends where there is one."""

    kind: Literal["scheduled"]
    cron: Text
    until: Text
    timezone: Text = "UTC"
    instances: int = 1
    lease_until: Date | None = Field(default=None, description="use a date, 2027-01-31, say")


class ProvisionedRule(Part):
    """Instances that stay warm always."""

    kind: Literal["provisioned"]
    instances: int = 1


Rule = Annotated[PingRule | ScheduledRule | ProvisionedRule, Field(discriminator="kind")]


class Budget(Part):
    """Dollars a month: who is told at which share of them, and what happens beyond."""

    monthly_usd: float = Field(gt=0, le=1_000_000_000, allow_inf_nan=False, description="use an amount above 0, up to 1,000,000,000")
    alert_at: list[Share] = Field(default=[0.5, 0.9], min_length=1)
    on_exceeded: Literal["notify", "drop-warming"] = "notify"
    # Without one, the alarms' address.
    email: str | None = Field(default=None, pattern=MAIL, description=MAIL_TEXT)

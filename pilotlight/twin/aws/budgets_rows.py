"""What the engine must know of AWS Budgets' resource type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from components.limits import BUDGET_NOTIFICATIONS
from pilotlight.twin.aws.budgets import BUDGET, MONTH
from pilotlight.twin.aws.sns import TOPIC
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

# Budgets API reference: for each notification 10 mail addresses and one topic.
MAX_MAILS, MAX_TOPICS = 10, 1
_MAIL = re.compile(r"(.*[\n\r])*.+@.+")
_TYPES = ("COST", "USAGE", "RI_UTILIZATION", "RI_COVERAGE", "SAVINGS_PLANS_UTILIZATION", "SAVINGS_PLANS_COVERAGE")
_CHOICES = {
    "notificationType": ("ACTUAL", "FORECASTED"),
    "comparisonOperator": ("GREATER_THAN", "LESS_THAN", "EQUAL_TO"),
    "thresholdType": ("PERCENTAGE", "ABSOLUTE_VALUE"),
}
_COST_TYPES = {
    "includeCredit": True, "includeDiscount": True, "includeOtherSubscription": True, "includeRecurring": True, "includeRefund": True,
    "includeSubscription": True, "includeSupport": True, "includeTax": True, "includeUpfront": True, "useAmortized": False,
    "useBlended": False,
}  # fmt: skip


def _limits(inputs: Properties) -> list[str]:
    found = []
    if "budgetType" in inputs and inputs["budgetType"] not in _TYPES:
        found.append(f"budgetType: {inputs['budgetType']!r}: use {', '.join(_TYPES)}.")
    if "timeUnit" in inputs and inputs["timeUnit"] not in ("DAILY", "MONTHLY", "QUARTERLY", "ANNUALLY", "CUSTOM"):
        found.append(f"timeUnit: {inputs['timeUnit']!r}: use DAILY, MONTHLY, QUARTERLY or ANNUALLY.")
    elif inputs.get("timeUnit", "MONTHLY") != "MONTHLY":
        found.append(f"timeUnit: {inputs['timeUnit']!r}: the local twin keeps the costs of months.")
    if "limitAmount" in inputs and not re.fullmatch(r"\d+(\.\d+)?", str(inputs["limitAmount"])):
        found.append(f"limitAmount: {inputs['limitAmount']!r}: use a positive number as text.")
    notifications = inputs.get("notifications") or []
    if len(notifications) > BUDGET_NOTIFICATIONS.high:
        found.append(f"notifications: {len(notifications)}: {BUDGET_NOTIFICATIONS.problem(len(notifications))}.")
    return found + [f"notifications[{place}].{text}" for place, one in enumerate(notifications) for text in _notification_problems(one)]


def _notification_problems(one: Mapping[str, Any]) -> list[str]:
    found = [
        f"{name}: {one[name]!r}: use {', '.join(allowed)}."
        for name, allowed in _CHOICES.items()
        if one.get(name) is not None and one[name] not in allowed
    ]
    if not 0.1 <= float(one.get("threshold", 1)) <= 1_000_000_000:
        found.append(f"threshold: {one['threshold']}: use 0.1 to 1,000,000,000.")
    mails, topics = one.get("subscriberEmailAddresses") or [], one.get("subscriberSnsTopicArns") or []
    if len(mails) > MAX_MAILS or len(topics) > MAX_TOPICS or not (mails or topics):
        found.append(f"subscriberEmailAddresses: give 1 subscriber or more, at most {MAX_MAILS} addresses and {MAX_TOPICS} topic.")
    found += [f"subscriberEmailAddresses: {mail!r} is no mail address." for mail in mails if not _MAIL.fullmatch(str(mail))]
    return found


def _check(twin: Twin, inputs: Properties) -> None:
    for notification in inputs.get("notifications") or []:
        for topic in notification.get("subscriberSnsTopicArns") or []:
            if twin.world.one(TOPIC, arn=topic) is None:
                raise Refusal("InvalidParameterException", f"The topic {topic} of a notification does not exist.")


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    account = inputs.get("accountId") or twin.account
    known = twin.world.one(BUDGET, name=inputs["name"])
    first = datetime.fromtimestamp(twin.clock.now(), UTC).strftime("%Y-%m-01_00:00")
    return {
        "accountId": account,
        "arn": f"arn:aws:budgets::{account}:budget/{inputs['name']}",
        "namePrefix": inputs.get("namePrefix") or "",
        "costFilters": inputs.get("costFilters") or [],
        "costTypes": {**_COST_TYPES, **(inputs.get("costTypes") or {})},
        "limitAmount": str(inputs.get("limitAmount") or "0.0"),
        "limitUnit": inputs.get("limitUnit") or "USD",
        "timePeriodStart": inputs.get("timePeriodStart") or (known["timePeriodStart"] if known else first),
        "timePeriodEnd": inputs.get("timePeriodEnd") or "2087-06-15_00:00",
    }


ROWS: tuple[Row, ...] = (
    Row(
        token=BUDGET,
        id=lambda properties: f"{properties['accountId']}:{properties['name']}",
        name=Name(field="name", max_length=100, pattern=r"[^:\\]*"),
        replaces=frozenset({"name", "namePrefix", "accountId", "budgetType"}),
        limits=_limits,
        check=_check,
        computed=_computed,
        delete=lambda twin, budget: twin.world.delete(MONTH, budget.id),
    ),
)

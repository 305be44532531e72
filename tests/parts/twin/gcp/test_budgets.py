"""What a budget tells its topic, understood by the function that drops the floor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.functions.gcp.floor import spent
from pilotlight.twin.gcp.budgets_plane import Month, attributes, passed, told
from pilotlight.twin.gcp.types import BUDGET
from pilotlight.twin.world import Resource

RULES = [
    {"thresholdPercent": 0.5, "spendBasis": "CURRENT_SPEND"},
    {"thresholdPercent": 1.0},
    {"thresholdPercent": 0.1, "spendBasis": "FORECASTED_SPEND"},
]


def budget(**given: Any) -> Resource:
    outputs = {
        "billingAccount": "billingAccounts/012345-6789AB-CDEF01",
        "name": "de72f49d",
        "displayName": "mine",
        "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "99", "nanos": 500_000_000}},
        "thresholdRules": RULES,
    }
    return Resource(token=BUDGET, id="b", urn="", outputs={**outputs, **given})


def test_the_message_of_a_month() -> None:
    assert told(budget(), Month(month="2026-03", spent=60.0)) == {
        "budgetDisplayName": "mine",
        "alertThresholdExceeded": 0.5,
        "costAmount": 60.0,
        "costIntervalStart": "2026-03-01T00:00:00Z",
        "budgetAmount": 99.5,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": "USD",
    }
    assert attributes(budget()) == {"billingAccountId": "012345-6789AB-CDEF01", "budgetId": "de72f49d", "schemaVersion": "1.0"}


def test_no_share_is_told_where_none_is_passed() -> None:
    assert "alertThresholdExceeded" not in told(budget(), Month(month="2026-03", spent=20.0)), "forecasts do not count"
    assert "alertThresholdExceeded" not in told(budget(thresholdRules=None), Month(month="2026-03", spent=200.0))


@pytest.mark.parametrize(("amount", "shares", "all_of_it"), [(49.7, [], False), (49.75, [0.5], False), (99.5, [0.5, 1.0], True)])
def test_what_is_passed_and_when_all_is_spent(amount: float, shares: list[float], all_of_it: bool) -> None:
    assert passed(budget(), amount) == shares
    assert spent(json.dumps(told(budget(), Month(month="2026-03", spent=amount))).encode()) is all_of_it

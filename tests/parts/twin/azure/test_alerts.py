"""Metric alerts and action groups: what Azure Monitor refuses, in the preview where it can be seen there, else at creation."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure import types
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account

WATCHED = {**IN_GROUP, "publisherEmail": "api@example.com", "publisherName": "Tried", "sku": {"name": "Consumption", "capacity": 0}}
SERVICES = "Microsoft.ApiManagement/service"


def criterion(**more: Any) -> dict[str, Any]:
    return {
        "criterionType": "StaticThresholdCriterion",
        "name": "errors",
        "metricNamespace": SERVICES,
        "metricName": "Requests",
        "dimensions": [{"name": "GatewayResponseCodeCategory", "operator": "Include", "values": ["5xx"]}],
        "operator": "GreaterThan",
        "threshold": 0,
        "timeAggregation": "Total",
        **more,
    }


def alert(scope: str = f"{GROUP_ID}/providers/{SERVICES}/tried", *criteria: dict[str, Any], **more: Any) -> dict[str, Any]:
    kind = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
    return {
        **IN_GROUP,
        "location": "global",
        "enabled": True,
        "severity": 1,
        "scopes": [scope],
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "criteria": {"odataType": kind, "allOf": [*criteria] or [criterion()]},
        **more,
    }


def previewed(account: Account, token: str, inputs: dict[str, Any]) -> str:
    """What is told in the preview already."""
    return " ".join(account.check(token, "refused", inputs)[1])


@pytest.fixture
def service(account: Account) -> str:
    account.group()
    return account.make(types.API_MANAGEMENT, "tried", WATCHED).id


def test_an_alert_on_what_is_there(account: Account, service: str) -> None:
    mails = [{"name": "mail", "emailAddress": "ops@example.com"}]
    group = account.make(types.ACTION_GROUP, "mail", {**IN_GROUP, "location": "Global", "groupShortName": "tried", "emailReceivers": mails})
    assert (group["location"], group["enabled"]) == ("global", True)
    made = account.make(types.METRIC_ALERT, "errors", alert(service, actions=[{"actionGroupId": group.id}]))
    assert made.id.endswith(f"/Microsoft.Insights/metricAlerts/{made['name']}")
    assert (made["location"], made["isMigrated"]) == ("global", False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"location": "westeurope"}, "location: 'westeurope' is not allowed: use 'global'."),
        ({"severity": 5}, "severity: 5 is not allowed: use 0 (critical) to 4 (verbose)."),
        ({"evaluationFrequency": "PT2M"}, "evaluationFrequency: 'PT2M' is not allowed: use one of PT1M"),
        ({"windowSize": "PT2M"}, "windowSize: 'PT2M' is not allowed: use one of PT1M"),
        ({"evaluationFrequency": "PT15M"}, "windowSize: PT5M is shorter than evaluationFrequency PT15M"),
        ({"criteria": {"odataType": "Microsoft.Azure.Monitor.PromQLCriteria"}}, "'Microsoft.Azure.Monitor.PromQLCriteria' is not"),
    ],
)
def test_what_is_refused_of_an_alert(account: Account, service: str, change: dict[str, Any], said: str) -> None:
    assert said in previewed(account, types.METRIC_ALERT, {**alert(service), **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metricName": "Request"}, "has no metric 'Request': did you mean Requests?"),
        ({"metricName": "Nothing"}, "has no metric 'Nothing': use one of BackendDuration, Capacity"),
        ({"timeAggregation": "Count"}, "timeAggregation: Requests has no Count: use one of Average"),
        ({"dimensions": [{"name": "statusCode", "operator": "Include", "values": ["500"]}]}, "Requests has no dimension 'statusCode': use"),
        ({"criterionType": "DynamicThresholdCriterion"}, "'DynamicThresholdCriterion' is not served by the local twin"),
    ],
)
def test_what_is_refused_of_a_criterion(account: Account, service: str, change: dict[str, Any], said: str) -> None:
    assert said in previewed(account, types.METRIC_ALERT, alert(service, criterion(**change)))


def test_criteria_are_few_and_each_has_a_name(account: Account, service: str) -> None:
    six = [criterion(name=f"errors-{number}") for number in range(6)]
    assert "criteria.allOf: has 6 criteria: use 1 to 5." in previewed(account, types.METRIC_ALERT, alert(service, *six))
    assert "two criteria have one name" in previewed(account, types.METRIC_ALERT, alert(service, criterion(), criterion()))


def test_what_is_watched_and_told_must_be_there(account: Account, service: str) -> None:
    assert "ResourceNotFound: scopes: '/subscriptions" in account.refused(types.METRIC_ALERT, alert(f"{service}-gone"))
    assert "has 2 resources" in account.refused(types.METRIC_ALERT, alert(service, scopes=[service, service]))
    said = account.refused(types.METRIC_ALERT, alert(service, actions=[{"actionGroupId": service}]))
    assert "is no action group that is there" in said
    other = criterion(metricNamespace="Microsoft.App/containerApps", dimensions=[])
    assert f"Microsoft.App/containerApps is not that of {service}" in account.refused(types.METRIC_ALERT, alert(service, other))


def test_the_services_of_a_storage_account_are_watched_as_parts_of_it(account: Account) -> None:
    account.group()
    given = {**IN_GROUP, "accountName": "letters", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    queues = f"{account.make(types.STORAGE_ACCOUNT, 'letters', given).id}/queueServices/default"
    kind = "Microsoft.Storage/storageAccounts/queueServices"
    held = criterion(metricNamespace=kind, metricName="QueueMessageCount", timeAggregation="Average", dimensions=[])
    account.make(types.METRIC_ALERT, "letters", alert(queues, held))
    gone = queues.replace("/letters/", "/gone/")
    assert "ResourceNotFound: scopes" in account.refused(types.METRIC_ALERT, alert(gone, held))
    blobs = queues.replace("queueServices", "blobServices")
    said = account.refused(types.METRIC_ALERT, alert(blobs, held))
    assert f"{kind} is not that of {blobs}: use Microsoft.Storage/storageAccounts/blobServices" in said


def test_what_is_refused_of_an_action_group(account: Account) -> None:
    account.group()
    given = {**IN_GROUP, "location": "global", "groupShortName": "tried"}
    assert "has 13 characters: use 1 to 12." in previewed(account, types.ACTION_GROUP, {**given, "groupShortName": "pilotlight-13"})
    nobody = [{"name": "mail", "emailAddress": "nobody"}]
    assert "'nobody' is no e-mail address" in previewed(account, types.ACTION_GROUP, {**given, "emailReceivers": nobody})
    hooks = [{"name": "hook", "serviceUri": "https://example.com"}]
    assert "webhookReceivers: is not served by the local twin" in previewed(
        account, types.ACTION_GROUP, {**given, "webhookReceivers": hooks}
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"metricName": "Capacity", "timeAggregation": "Average", "dimensions": []},
            "Capacity of Microsoft.ApiManagement/service is not counted",
        ),
        ({"metricNamespace": None, "metricName": "Duration", "timeAggregation": "Average", "dimensions": []}, "Duration of Microsoft.ApiM"),
        ({"timeAggregation": "Average"}, "Average of Requests is not made by the local twin: use Total."),
        (
            {"dimensions": [{"name": "ApiId", "operator": "Include", "values": ["api"]}]},
            "no figures by ApiId on the local twin: use Gateway",
        ),
    ],
)
def test_what_the_twin_does_not_judge_of_a_criterion_is_refused_by_name(
    account: Account, service: str, change: dict[str, Any], said: str
) -> None:
    one = {name: value for name, value in criterion(**change).items() if value is not None}
    assert said in previewed(account, types.METRIC_ALERT, alert(service, one))


def test_what_the_twin_does_not_judge_of_an_alert_is_refused_by_name(account: Account, service: str) -> None:
    two = alert(service, criterion(), criterion(name="more"))
    assert "criteria.allOf: 2 criteria of one alert are not served" in previewed(account, types.METRIC_ALERT, two)
    assert "autoMitigate: false is not served" in previewed(account, types.METRIC_ALERT, alert(service, autoMitigate=False))
    assert previewed(account, types.METRIC_ALERT, alert(service, autoMitigate=True)) == ""


@pytest.mark.parametrize(
    ("dimensions", "refused"),
    [
        ({"ApiName": ["PutMessage"], "ResponseType": ["Success"]}, ""),
        ({"ApiName": ["PutMessage"]}, "counts Transactions with ResponseType Success alone"),
        ({"ApiName": ["PutMessage", "GetMessages"], "ResponseType": ["Success"]}, "counts Transactions with ApiName PutMessage alone"),
    ],
)
def test_of_transactions_the_twin_counts_messages_that_were_put(account: Account, dimensions: dict[str, list[str]], refused: str) -> None:
    declared = [{"name": name, "operator": "Include", "values": values} for name, values in dimensions.items()]
    queues = "Microsoft.Storage/storageAccounts/queueServices"
    one = criterion(metricNamespace=queues, metricName="Transactions", dimensions=declared)
    said = previewed(
        account, types.METRIC_ALERT, alert(f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/a/queueServices/default", one)
    )
    assert said == "" if not refused else refused in said

"""Dashboard and budget on Google Cloud."""

import json
from typing import Any

from components.gcp.dashboard import address
from components.tags import label
from pilotlight.planned import plan
from tests.planned.gcp.conftest import API, ENABLED, plan_of

DASHBOARD, BUDGET = "gcp:monitoring/dashboard:Dashboard", "gcp:billing/budget:Budget"
POLICY, CHANNEL = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:monitoring/notificationChannel:NotificationChannel"
SPENT = {"monthlyUsd": 12.5, "alertAt": [0.9, 0.5], "email": "ops@example.com"}


def page() -> dict[str, Any]:
    return dict(json.loads(plan_of(API, {"dashboard": True}).one(DASHBOARD).inputs["dashboardJson"]))


def filters(widget: dict[str, Any]) -> list[str]:
    return [each["timeSeriesQuery"]["timeSeriesFilter"]["filter"] for each in widget["xyChart"]["dataSets"]]


def test_the_dashboard_shows_what_every_alarm_watches_and_where_it_goes_off() -> None:
    drawn = {tile["widget"]["title"]: tile["widget"] for tile in page()["mosaicLayout"]["tiles"]}
    for policy in plan_of(API).all(POLICY):
        if (threshold := policy.inputs["conditions"][0].get("conditionThreshold")) is None:
            continue
        widget = drawn[policy.inputs["conditions"][0]["displayName"]]
        assert filters(widget) == [threshold["filter"]]
        assert [each.get("value", 0) for each in widget["xyChart"]["thresholds"]] == [threshold["thresholdValue"]]


def test_slow_predictions_are_looked_for_among_the_lines_of_requests() -> None:
    [late] = [each for each in plan_of(API).all(POLICY) if each.name == "api-watch-endpoint-latency"]
    [condition] = late.inputs["conditions"]
    assert condition["conditionMatchedLog"]["filter"] == (
        'resource.type="cloud_run_revision" AND resource.labels.location="europe-west1" AND '
        'resource.labels.service_name="pilotlight-gcp-cloud-run-api" AND jsonPayload.event="request" AND jsonPayload.ms>9000'
    )
    assert late.inputs["alertStrategy"]["notificationRateLimit"] == {"period": "3600s"}


def test_the_dashboard_shows_instances_and_starts_of_each_service() -> None:
    titles = [tile["widget"]["title"] for tile in page()["mosaicLayout"]["tiles"]]
    for service in ("pilotlight-gcp-cloud-run-api", "pilotlight-gcp-cloud-run-api-predict"):
        assert f"{service}: instances" in titles
        assert f"{service}: starts of an instance, slowest (ms)" in titles


def test_the_dashboard_says_nothing_that_monitoring_would_not_say_again() -> None:
    """Zeros and empty lists are left out of its answers, and what is missing there is a change in every `up`."""

    def silent(value: Any) -> bool:
        below = list(value.values() if isinstance(value, dict) else value) if isinstance(value, dict | list) else []
        return value in (0, "", [], {}) or any(silent(each) for each in below)

    assert not silent(page())


def test_no_tile_lies_on_another_one_or_beside_the_grid() -> None:
    layout = page()["mosaicLayout"]
    taken = [
        (x, y)
        for tile in layout["tiles"]
        for x in range(tile.get("xPos", 0), tile.get("xPos", 0) + tile["width"])
        for y in range(tile.get("yPos", 0), tile.get("yPos", 0) + tile["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < layout["columns"]


def test_the_dashboards_address_is_an_output() -> None:
    assert address("projects/123/dashboards/abc", "my-project").endswith("/builder/abc?project=my-project")
    url = plan(API, {"dashboard": True}).outputs["dashboardUrl"]
    assert url.startswith("https://console.cloud.google.com/monitoring/dashboards/builder/")


def test_a_budget_counts_what_carries_the_stacks_label_and_mails_at_each_share() -> None:
    made = plan_of(API, {"budget": SPENT})
    budget = made.one(BUDGET).inputs
    assert budget["amount"] == {"specifiedAmount": {"currencyCode": "USD", "units": "12", "nanos": 500_000_000}}
    assert budget["budgetFilter"] == {
        "calendarPeriod": "MONTH",
        "projects": ["projects/123456789012"],
        "labels": {"deployment": f"pilotlight-{API}"},
        "creditTypesTreatment": "EXCLUDE_ALL_CREDITS",
    }
    # Of a service only what its template is labelled with reaches the bill.
    services = made.all("gcp:cloudrunv2/service:Service")
    assert len(services) >= 2
    assert all(each.inputs["template"]["labels"] == each.inputs["labels"] for each in services)
    assert {each.inputs["labels"]["deployment"] for each in services} == {f"pilotlight-{API}"}
    assert [each["thresholdPercent"] for each in budget["thresholdRules"]] == [0.5, 0.9]
    channel = made.one(CHANNEL, "budget-mail")
    assert channel.inputs["labels"] == {"email_address": "ops@example.com"}
    assert budget["allUpdatesRule"] == {
        "disableDefaultIamRecipients": True,
        "monitoringNotificationChannels": [channel.outputs["name"]],
    }
    assert budget["billingAccount"] == "000000-000000-000000"


def test_who_pays_is_asked_once_those_who_know_are_switched_on() -> None:
    made = plan_of(API, {"budget": SPENT})
    asked = made.one(BUDGET).taken_from
    for api in ("cloudresourcemanager", "cloudbilling"):
        [on] = [each for each in made.all(ENABLED) if each.inputs["service"] == f"{api}.googleapis.com"]
        assert on.urn in asked["billingAccount"] & asked["budgetFilter"]


def test_labels_of_stacks_that_are_no_labels_become_some() -> None:
    assert label("gcp-cloud-run-api") == "gcp-cloud-run-api"
    assert label("team_a") == "team_a"
    assert label("Prod.1").startswith("prod-1-")

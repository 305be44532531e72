"""The budget of a stack: who is told at which share, and what may drop the floor when it is spent."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.planned.conftest import Build
from tests.planned.recording import ACCOUNT, REGION, Graph, without_stamp
from tests.planned.test_warming_graph import ALWAYS, LAMBDA, OFFICE, PING, SAGEMAKER, allowed, arn

BUDGET = "aws:budgets/budget:Budget"
FUNCTION = "aws:lambda/function:Function"
TOLD = {"monthlyUsd": 100, "alertAt": [0.5, 0.9], "email": "ops@example.com"}
DROPS = {**TOLD, "onExceeded": "drop-warming"}
WITHIN = datetime(2026, 11, 25, 12, tzinfo=UTC)


def notifications(graph: Graph) -> list[tuple[float, Any, Any]]:
    """Percent, mails, topics."""
    found = graph.one(BUDGET).inputs["notifications"]
    return [(each["threshold"], each.get("subscriberEmailAddresses"), each.get("subscriberSnsTopicArns")) for each in found]


def test_a_stack_has_no_budget_by_default(build: Build) -> None:
    assert build(SAGEMAKER).all(BUDGET) == []


def test_a_budget_counts_what_carries_a_tag_that_no_other_project_has(build: Build) -> None:
    budget = build(SAGEMAKER, budget=TOLD).one(BUDGET).inputs
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": [f"user:deployment$pilotlight-{SAGEMAKER}"]}]
    assert (budget["budgetType"], budget["timeUnit"], budget["limitAmount"], budget["limitUnit"]) == ("COST", "MONTHLY", "100.0", "USD")
    assert budget["name"] == f"pilotlight-{SAGEMAKER}"
    assert (budget["tags"]["stack"], budget["tags"]["deployment"]) == (SAGEMAKER, f"pilotlight-{SAGEMAKER}")


def test_each_share_mails_and_nothing_is_made_beside_the_budget(build: Build) -> None:
    graph = build(SAGEMAKER, budget=TOLD)
    assert notifications(graph) == [(50, ["ops@example.com"], None), (90, ["ops@example.com"], None)]
    assert {each.type for each in graph.resources if "budget" in each.name} == {BUDGET, "pilotlight:index:Budget"}


def test_thresholds_are_percents_without_the_noise_of_a_float(build: Build) -> None:
    graph = build(SAGEMAKER, budget={**TOLD, "alertAt": [0.07, 0.29, 0.55]})
    assert [percent for percent, _, _ in notifications(graph)] == [7.0, 29.0, 55.0]


def test_alarms_address_is_the_budgets_where_it_has_none(build: Build) -> None:
    graph = build(SAGEMAKER, budget={"monthlyUsd": 5, "alertAt": [1.0]}, alarms={"email": "oncall@example.com"})
    assert notifications(graph) == [(100, ["oncall@example.com"], None)]


@pytest.mark.parametrize(("shares", "mailed"), [([0.5, 0.9], [50, 90]), ([0.5, 1.0], [50, 100]), ([1.2], [120])])
def test_the_floor_drops_when_all_is_spent_whatever_is_mailed(build: Build, shares: list[float], mailed: list[float]) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE], budget={**DROPS, "alertAt": shares})
    found = notifications(graph)
    topic = arn("sns", f"pilotlight-{SAGEMAKER}-floor")
    assert [percent for percent, mails, _ in found if mails] == mailed
    assert [(percent, topics) for percent, _, topics in found if topics] == [(100, [topic])]


def test_only_budgets_of_this_account_may_publish_and_only_the_topic_may_call(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE], budget=DROPS)
    (statement,) = json.loads(graph.one("aws:sns/topicPolicy:TopicPolicy", "floor-topic-policy").inputs["policy"])["Statement"]
    assert statement["Principal"] == {"Service": "budgets.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:*"},  # in the very words of AWS's page
    }
    called = graph.one("aws:lambda/permission:Permission", "floor-invoke").inputs
    assert (called["principal"], called["sourceArn"], called["qualifier"]) == (
        "sns.amazonaws.com",
        arn("sns", f"pilotlight-{SAGEMAKER}-floor"),
        "live",
    )
    assert graph.reaches(graph.one(BUDGET), graph.one("aws:sns/topicPolicy:TopicPolicy", "floor-topic-policy"))


def test_both_edges_of_the_drop_have_dead_letters_and_an_alarm(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE], budget=DROPS)
    dead = arn("sqs", f"pilotlight-{SAGEMAKER}-floor-dead")
    subscription = graph.one("aws:sns/topicSubscription:TopicSubscription", "floor-subscription").inputs
    assert json.loads(subscription["redrivePolicy"]) == {"deadLetterTargetArn": dead}
    asynchronous = graph.one("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "floor-async").inputs
    assert asynchronous["destinationConfig"] == {"onFailure": {"destination": dead}}
    (statement,) = json.loads(graph.one("aws:sqs/queuePolicy:QueuePolicy", "floor-dead-policy").inputs["policy"])["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "sns.amazonaws.com"}, "sqs:SendMessage")
    alarm = graph.one("aws:cloudwatch/metricAlarm:MetricAlarm", "budget-dead-letters").inputs
    assert alarm["dimensions"] == {"QueueName": f"pilotlight-{SAGEMAKER}-floor-dead"}


def told(graph: Graph) -> dict[str, str]:
    return without_stamp(graph.one(FUNCTION, "floor-function").inputs)


def test_a_swapped_floor_drops_by_stopping_schedules_and_moving_the_endpoint(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE, PING], budget=DROPS)
    name = f"pilotlight-{SAGEMAKER}"
    assert told(graph) == {"ENDPOINT_NAME": name, "COLD_CONFIG": "api-endpoint-scheduled-0-27e9-0a1b2c3", "SCHEDULE_GROUP": name}
    may = allowed(graph, "budget-floor-policy")
    endpoint = arn("sagemaker", f"endpoint/{name}")
    assert may["sagemaker:UpdateEndpoint"] == [endpoint, arn("sagemaker", "endpoint-config/api-endpoint-scheduled-0-27e9-0a1b2c3")]
    assert may["sagemaker:DescribeEndpoint"] == [endpoint]
    assert may["scheduler:UpdateSchedule"] == may["scheduler:GetSchedule"] == [arn("scheduler", f"schedule/{name}/*")]
    assert may["scheduler:ListSchedules"] == ["*"]  # has no resource level
    roles = {each.inputs["target"]["roleArn"] for each in graph.all("aws:scheduler/schedule:Schedule")}
    assert set(may["iam:PassRole"]) == roles
    assert len(roles) == 3


def test_a_scaled_endpoint_is_suspended_and_moved(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE, ALWAYS], budget=DROPS)
    assert told(graph) == {
        "ENDPOINT_NAME": f"pilotlight-{SAGEMAKER}",
        "COLD_CONFIG": "api-endpoint-scheduled-0-412a-0a1b2c3",
        "SCALABLE_RESOURCE": f"endpoint/pilotlight-{SAGEMAKER}/variant/AllTraffic",
        "SCALABLE_DIMENSION": "sagemaker:variant:DesiredProvisionedConcurrency",
    }
    may = allowed(graph, "budget-floor-policy")
    assert {"application-autoscaling:RegisterScalableTarget", "sagemaker:UpdateEndpointWeightsAndCapacities"} < set(may)
    # Application auto scaling tries whether the caller has this right, with a name that it makes up.
    assert may["sagemaker:DescribeEndpointConfig"] == [arn("sagemaker", "endpoint-config/*")]
    assert not any(action.startswith(("scheduler:", "iam:")) for action in may)


@pytest.mark.parametrize("rules", [[OFFICE], [ALWAYS]])
def test_an_alias_loses_its_provisioned_concurrency(build: Build, rules: list[dict[str, Any]]) -> None:
    graph = build(LAMBDA, now=WITHIN, warming=rules, budget=DROPS)
    scaled = {
        "SCALABLE_RESOURCE": f"function:pilotlight-{LAMBDA}-model:warmed",
        "SCALABLE_DIMENSION": "lambda:function:ProvisionedConcurrency",
    }
    alias = f"arn:aws:lambda:{REGION}:{ACCOUNT}:warmed"  # as the mock names it
    assert told(graph) == {"MODEL_FUNCTION": alias, **(scaled if rules == [OFFICE] else {})}
    may = allowed(graph, "budget-floor-policy")
    assert may["lambda:DeleteProvisionedConcurrencyConfig"] == [alias]
    assert ("application-autoscaling:RegisterScalableTarget" in may) == (rules == [OFFICE])


def test_pings_alone_are_stopped(build: Build) -> None:
    graph = build(LAMBDA, warming=[PING], budget=DROPS)
    assert told(graph) == {"SCHEDULE_GROUP": f"pilotlight-{LAMBDA}-model"}


def test_the_target_declares_that_it_is_not_suspended(build: Build) -> None:
    """Else a refresh would not see that the budget suspended it."""
    target = build(LAMBDA, warming=[OFFICE]).one("aws:appautoscaling/target:Target").inputs
    assert set(target["suspendedState"].values()) == {False}
    assert len(target["suspendedState"]) == 3

"""Metrics, alarms that act, topics, budgets: on the twin's clock, read by unchanged clients."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.rows import Refusal
from tests.twin.warming.conftest import ACCOUNT_ARN, Timed

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
PERMISSION = "aws:lambda/permission:Permission"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
BUDGET = "aws:budgets/budget:Budget"
START = "2026-06-01T08:00:00+00:00"


def alarm(harness: Timed, name: str, namespace: str, metric: str, dimensions: dict, **inputs):
    inputs = {
        "statistic": "Sum",
        "threshold": 0,
        "evaluationPeriods": 5,
        "datapointsToAlarm": 3,
        "treatMissingData": "notBreaching",
        **inputs,
    }
    given = {"namespace": namespace, "metricName": metric, "dimensions": dimensions, "period": 60}
    return harness.create(ALARM, name=name, comparisonOperator="GreaterThanThreshold", **given, **inputs)


def state(harness: Timed, name: str) -> str:
    (found,) = harness.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])


def statement(**inputs) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **inputs}]})


def mails(harness: Timed) -> list[dict]:
    path = harness.home / "mail.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def invoke(harness: Timed, function: str, event: dict | None = None) -> None:
    harness.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event or {}).encode())


def test_a_function_that_fails_for_three_of_five_minutes_alarms_its_topic_and_comes_back(twin_at, tmp_path):
    harness = twin_at(START)
    harness.function("api", tmp_path)
    topic = harness.create(TOPIC, name="alarms")
    harness.create(SUBSCRIPTION, topic=topic["arn"], protocol="email", endpoint="me@example.org")
    actions = {"alarmActions": [topic["arn"]], "okActions": [topic["arn"]]}
    made = alarm(harness, "errors", "AWS/Lambda", "Errors", {"FunctionName": "api", "Resource": "api"}, **actions)
    assert state(harness, "errors") == "INSUFFICIENT_DATA"
    harness.forward("2026-06-01T08:02:00+00:00")
    assert state(harness, "errors") == "OK"
    for minute in (3, 4, 5):
        assert state(harness, "errors") == "OK"
        invoke(harness, "api", {"raise": "no"})
        harness.forward(f"2026-06-01T08:0{minute}:00+00:00")
    assert state(harness, "errors") == "ALARM"
    ran = harness.forward("2026-06-01T08:20:00+00:00")
    assert [one.said for one in ran] == ["errors went from ALARM to OK (published)"]
    assert [(mail["subject"], mail["confirmed"]) for mail in mails(harness)] == [
        ('OK: "errors"', False),
        ('ALARM: "errors"', False),
        ('OK: "errors"', False),
    ]
    told = json.loads(mails(harness)[1]["text"])
    assert (told["NewStateValue"], told["OldStateValue"], told["AlarmArn"]) == ("ALARM", "OK", made["arn"])
    assert told["Trigger"]["Dimensions"] == [{"name": "FunctionName", "value": "api"}, {"name": "Resource", "value": "api"}]
    harness.delete(made)
    assert harness.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_metrics_of_a_function_are_read_with_its_spill_over_the_provisioned_workers(twin_at, tmp_path):
    harness = twin_at(START)
    # Both calls are under way at once, however long the second one needs to begin.
    meeting = socket.create_server(("127.0.0.1", 0))
    meeting.settimeout(20)
    code = (
        "import socket\n"
        "def handler(event, context):\n"
        f"    with socket.create_connection({meeting.getsockname()!r}, timeout=20) as meeting:\n"
        "        meeting.recv(1)\n"
    )
    harness.function("api", tmp_path, code=code, publish=True, timeout=30)
    config = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    harness.create(config, functionName="api", qualifier="1", provisionedConcurrentExecutions=1)
    client = harness.client("lambda")
    with meeting, ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda _: client.invoke(FunctionName="api:1"), range(2))
        come = [meeting.accept()[0] for _ in range(2)]
        time.sleep(0.5)
        for each in come:
            each.close()
        list(answers)
    harness.forward("2026-06-01T08:10:00+00:00")
    cloudwatch = harness.client("cloudwatch")
    dimensions = [{"Name": "FunctionName", "Value": "api"}, {"Name": "Resource", "Value": "api:1"}]

    def total(metric: str, statistic: str = "Sum") -> float:
        window = {"StartTime": datetime(2026, 6, 1, 8, tzinfo=UTC), "EndTime": datetime(2026, 6, 1, 8, 10, tzinfo=UTC), "Period": 600}
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Dimensions=dimensions, Statistics=[statistic], **window
        )
        return sum(point[statistic] for point in answer["Datapoints"])

    assert (total("Invocations"), total("Errors")) == (2, 0)
    assert total("ProvisionedConcurrencySpilloverInvocations") == 1
    assert 500 <= total("Duration", "Maximum") < 30_000
    names = {one["MetricName"] for one in cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"]}
    assert {"Invocations", "Errors", "Throttles", "Duration"} <= names


def test_a_line_in_the_embedded_format_is_a_metric_at_its_time_in_the_log(twin_at, tmp_path):
    harness = twin_at(START)
    line = {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [
                {"Namespace": "Pilotlight", "Dimensions": [["Service"]], "Metrics": [{"Name": "ObjectsFailed", "Unit": "Count"}]}
            ],
        },
        "Service": "mine",
        "ObjectsFailed": [2, 3],
    }
    harness.function("api", tmp_path, code=f"def handler(event, context):\n    print({json.dumps(json.dumps(line))})\n")
    invoke(harness, "api")
    harness.seen("api")
    alarm(harness, "failed", "Pilotlight", "ObjectsFailed", {"Service": "mine"}, evaluationPeriods=1, datapointsToAlarm=1, threshold=4)
    harness.forward("2026-06-01T08:01:00+00:00")
    assert state(harness, "failed") == "ALARM"
    stat = {"Metric": {"Namespace": "Pilotlight", "MetricName": "ObjectsFailed", "Dimensions": [{"Name": "Service", "Value": "mine"}]}}
    query = {"Id": "m", "MetricStat": {**stat, "Period": 60, "Stat": "p50"}}
    window = {"StartTime": datetime(2026, 6, 1, 7, tzinfo=UTC), "EndTime": datetime(2026, 6, 1, 9, tzinfo=UTC)}
    (result,) = harness.client("cloudwatch").get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"]
    assert result["Values"] == [2.5]


def test_dead_letters_and_old_messages_alarm_by_what_lies_in_the_queue(twin_at):
    harness = twin_at(START)
    queue = harness.queue("letters")
    inputs = {"statistic": "Maximum", "evaluationPeriods": 1, "datapointsToAlarm": 1, "treatMissingData": "ignore"}
    alarm(harness, "depth", "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "letters"}, **inputs)
    alarm(harness, "age", "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "letters"}, threshold=600, **{**inputs})
    harness.forward("2026-06-01T08:01:00+00:00")
    assert (state(harness, "depth"), state(harness, "age")) == ("OK", "OK")
    harness.client("sqs").send_message(QueueUrl=queue["url"], MessageBody="x")
    harness.forward("2026-06-01T08:05:00+00:00")
    assert (state(harness, "depth"), state(harness, "age")) == ("ALARM", "OK")
    harness.forward("2026-06-01T08:15:00+00:00")
    assert state(harness, "age") == "ALARM"
    assert harness.received(queue)
    harness.forward("2026-06-01T08:20:00+00:00")
    assert (state(harness, "depth"), state(harness, "age")) == ("OK", "OK")


def test_an_alarm_without_figures_is_what_it_says(twin_at):
    harness = twin_at(START)
    expected = {"missing": "INSUFFICIENT_DATA", "notBreaching": "OK", "breaching": "ALARM", "ignore": "INSUFFICIENT_DATA"}
    for treatment in expected:
        alarm(harness, treatment, "None", "none", {"A": "b"}, treatMissingData=treatment)
    harness.forward("2026-06-01T08:02:00+00:00")
    assert {treatment: state(harness, treatment) for treatment in expected} == expected
    client = harness.client("cloudwatch")
    client.put_metric_data(Namespace="None", MetricData=[{"MetricName": "none", "Dimensions": [{"Name": "A", "Value": "b"}], "Value": 1.0}])
    harness.forward("2026-06-01T08:03:00+00:00")
    assert state(harness, "missing") == "OK"
    client.set_alarm_state(AlarmName="missing", StateValue="ALARM", StateReason="a test")
    assert [one["AlarmName"] for one in client.describe_alarms(StateValue="ALARM")["MetricAlarms"]] == ["breaching", "missing"]


def test_an_alarm_that_its_topic_does_not_let_publish_tells_nobody(twin_at):
    harness = twin_at(START)
    topic = harness.create(TOPIC, name="closed")
    harness.create(SUBSCRIPTION, topic=topic["arn"], protocol="email", endpoint="me@example.org")
    policy = statement(Principal={"Service": "budgets.amazonaws.com"}, Action="sns:Publish", Resource=topic["arn"])
    harness.create(TOPIC_POLICY, arn=topic["arn"], policy=policy)
    alarm(harness, "loud", "None", "none", {"A": "b"}, treatMissingData="breaching", alarmActions=[topic["arn"]])
    (ran,) = harness.forward("2026-06-01T08:01:00+00:00")
    assert "does not let cloudwatch.amazonaws.com publish" in ran.said
    assert mails(harness) == []


def test_a_topic_calls_its_function_only_with_a_permission_and_else_leaves_a_dead_letter(twin_at, tmp_path):
    harness = twin_at(START)
    function, dead, fans = harness.function("floor", tmp_path), harness.queue("dead"), harness.queue("fans")
    topic = harness.create(TOPIC, name="spent")
    for queue in (dead, fans):
        condition = {"ArnEquals": {"aws:SourceArn": topic["arn"]}}
        policy = statement(Principal={"Service": "sns.amazonaws.com"}, Action="sqs:SendMessage", Resource=queue["arn"], Condition=condition)
        harness.create(QUEUE_POLICY, queueUrl=queue["url"], policy=policy)
    redrive = json.dumps({"deadLetterTargetArn": dead["arn"]})
    harness.create(SUBSCRIPTION, topic=topic["arn"], protocol="lambda", endpoint=function["arn"], redrivePolicy=redrive)
    harness.create(SUBSCRIPTION, topic=topic["arn"], protocol="sqs", endpoint=fans["arn"], rawMessageDelivery=True)
    client = harness.client("sns")
    assert [one["TopicArn"] for one in client.list_topics()["Topics"]] == [topic["arn"]]
    client.publish(TopicArn=topic["arn"], Message="spent", Subject="Budget")
    assert json.loads(harness.received(dead)[0]["Body"])["Message"] == "spent"
    assert harness.received(fans)[0]["Body"] == "spent"
    harness.create(
        PERMISSION,
        function="floor",
        action="lambda:InvokeFunction",
        principal="sns.amazonaws.com",
        sourceArn=topic["arn"],
        statementId="sns",
    )
    client.publish(TopicArn=topic["arn"], Message="spent again")
    harness.forward("2026-06-01T08:01:00+00:00")
    ((_, event),) = harness.seen("floor")
    (record,) = event["Records"]
    assert (record["EventSource"], record["Sns"]["TopicArn"], record["Sns"]["Message"]) == ("aws:sns", topic["arn"], "spent again")
    assert harness.received(dead) == []
    poor = harness.twin.iam.credentials(harness.allowed("poor", "lambda.amazonaws.com"))
    keys = {
        "aws_access_key_id": poor.access_key_id,
        "aws_secret_access_key": poor.secret_access_key,
        "aws_session_token": poor.session_token,
    }
    with pytest.raises(ClientError, match="not authorized to perform: sns:Publish"):
        harness.client("sns", **keys).publish(TopicArn=topic["arn"], Message="x")


def budget(harness: Timed, *notifications: dict):
    rule = {"notificationType": "ACTUAL", "comparisonOperator": "GREATER_THAN", "thresholdType": "PERCENTAGE"}
    return harness.create(
        BUDGET,
        name="mine",
        budgetType="COST",
        timeUnit="MONTHLY",
        limitAmount="100",
        limitUnit="USD",
        notifications=[{**rule, **notification} for notification in notifications],
    )


def test_a_budget_tells_each_threshold_once_a_month_and_hours_late(twin_at, tmp_path):
    harness = twin_at("2026-06-28T08:00:00+00:00")
    function, topic = harness.function("floor", tmp_path), harness.create(TOPIC, name="spent")
    harness.create(PERMISSION, function="floor", action="lambda:InvokeFunction", principal="sns.amazonaws.com", sourceArn=topic["arn"])
    harness.create(SUBSCRIPTION, topic=topic["arn"], protocol="lambda", endpoint=function["arn"])
    of = {"ArnLike": {"aws:SourceArn": "arn:aws:budgets::123456789012:budget/mine"}}
    allowed = statement(Principal={"Service": "budgets.amazonaws.com"}, Action="sns:Publish", Resource=topic["arn"], Condition=of)
    harness.create(TOPIC_POLICY, arn=topic["arn"], policy=allowed)
    made = budget(
        harness,
        {"threshold": 50, "subscriberEmailAddresses": ["me@example.org"]},
        {"threshold": 100, "subscriberSnsTopicArns": [topic["arn"]]},
    )
    assert made["arn"] == "arn:aws:budgets::123456789012:budget/mine"
    assert harness.twin.budgets.spend(60) == ["mine"]
    harness.forward("2026-06-28T15:00:00+00:00")
    assert mails(harness) == []
    harness.forward("2026-06-28T17:00:00+00:00")
    assert [mail["to"] for mail in mails(harness)] == ["me@example.org"]
    harness.twin.budgets.spend(120)
    ran = harness.forward("2026-06-30T00:00:00+00:00")
    assert [one.said for one in ran] == ["mine is over 100 % (published)"]
    assert len(harness.seen("floor")) == 1
    answer = harness.client("budgets").describe_budget(AccountId="123456789012", BudgetName="mine")["Budget"]
    assert answer["CalculatedSpend"]["ActualSpend"]["Amount"] == "120.0"
    harness.forward("2026-07-01T01:00:00+00:00")
    assert harness.twin.budgets.month(made).spent == 0
    harness.twin.budgets.spend(70, "mine")
    harness.forward("2026-07-02T00:00:00+00:00")
    assert len(mails(harness)) == 2
    assert len(harness.seen("floor")) == 1
    with pytest.raises(ValueError, match="no budget 'other'"):
        harness.twin.budgets.spend(1, "other")


def test_what_aws_refuses_of_budgets_dashboards_and_subscriptions_fails_in_the_preview(twin_at):
    harness = twin_at(START)
    mail = {"threshold": 50, "subscriberEmailAddresses": ["me@example.org"]}
    rule = {"notificationType": "ACTUAL", "comparisonOperator": "GREATER_THAN", "thresholdType": "PERCENTAGE"}
    good = {"name": "b", "budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "100", "limitUnit": "USD"}
    assert harness.problems(BUDGET, **good, notifications=[{**rule, **mail}]) == []
    for change, said in (
        ({"budgetType": "MONEY"}, "COST"),
        ({"timeUnit": "DAILY"}, "months"),
        ({"limitAmount": "-1"}, "positive number"),
        ({"notifications": [{**rule, "threshold": 50}]}, "1 subscriber or more"),
        ({"notifications": [{**rule, **mail, "comparisonOperator": "MORE"}]}, "GREATER_THAN"),
        ({"notifications": [{**rule, **mail, "threshold": 0}]}, "0.1"),
        ({"notifications": [{**rule, "threshold": 5, "subscriberEmailAddresses": ["me"]}]}, "no mail address"),
        ({"notifications": [{**rule, **mail}] * 6}, "6: use 1 to 5 notifications"),
    ):
        assert any(said in text for text in harness.problems(BUDGET, **{**good, **change})), (
            change,
            harness.problems(BUDGET, **{**good, **change}),
        )
    with pytest.raises(Refusal, match="does not exist"):
        budget(harness, {"threshold": 50, "subscriberSnsTopicArns": [f"arn:aws:sns:{ACCOUNT_ARN}:none"]})
    graph = {"type": "metric", "x": 0, "y": 0, "width": 8, "height": 6, "properties": {"region": "us-east-1", "metrics": [["N", "m"]]}}
    assert harness.problems(DASHBOARD, dashboardName="d", dashboardBody=json.dumps({"widgets": [graph]})) == []
    for body, said in (
        ("{", "no JSON"),
        (json.dumps([1]), "must be an object"),
        (json.dumps({"widgets": [{**graph, "type": "picture"}]}), "metric, text"),
        (json.dumps({"widgets": [{**graph, "width": 30}]}), "1 to 24"),
        (json.dumps({"widgets": [{**graph, "properties": {"metrics": [["N", "m"]]}}]}), "region"),
        (json.dumps({"widgets": [{**graph, "properties": {"region": "us-east-1"}}]}), "metrics"),
    ):
        problems = harness.problems(DASHBOARD, dashboardName="d", dashboardBody=body)
        assert any(said in text for text in problems), (body, problems)
    topic = f"arn:aws:sns:{ACCOUNT_ARN}:t"
    problems = harness.problems(SUBSCRIPTION, topic=topic, protocol="https", endpoint="https://example.org")
    assert any("lambda, sqs and email" in text for text in problems)
    made = harness.create(DASHBOARD, dashboardName="d", dashboardBody=json.dumps({"widgets": [graph]}))
    assert made["dashboardArn"] == "arn:aws:cloudwatch::123456789012:dashboard/d"
    assert json.loads(harness.client("cloudwatch").get_dashboard(DashboardName="d")["DashboardBody"]) == {"widgets": [graph]}
    with pytest.raises(ClientError, match="does not exist"):
        harness.client("cloudwatch").get_dashboard(DashboardName="none")

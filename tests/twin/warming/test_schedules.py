"""Schedules on the twin's clock: when they come, as whom they call, what becomes of what fails."""

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.rows import Refusal
from tests.twin.warming.conftest import ACCOUNT_ARN, GROUP, SCHEDULE, Timed

SENDS = "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"


def schedule(harness: Timed, name: str, expression: str, target: dict, **inputs):
    inputs = {"flexibleTimeWindow": {"mode": "OFF"}, "scheduleExpressionTimezone": "Europe/Berlin", **inputs}
    return harness.create(SCHEDULE, name=name, scheduleExpression=expression, target=target, **inputs)


def sender(harness: Timed, queue, name: str = "sender") -> dict:
    """A target that puts the time it was due at into a queue."""
    role = harness.allowed(name, "scheduler.amazonaws.com", ("sqs:SendMessage", queue["arn"]))
    return {"arn": queue["arn"], "roleArn": role, "input": "<aws.scheduler.scheduled-time>"}


def bodies(harness: Timed, queue) -> list[str]:
    return sorted(message["Body"] for message in harness.received(queue))


def test_a_week_of_a_weekly_window_comes_at_its_local_times_over_the_spring_change(twin_at):
    # Sunday 2026-03-29: Berlin goes from +01:00 to +02:00.
    harness = twin_at("2026-03-27T00:00:00+01:00")
    queue = harness.queue("edges")
    schedule(harness, "up", "cron(0 8 ? * MON-FRI *)", sender(harness, queue))
    schedule(harness, "down", "cron(0 18 ? * MON-FRI *)", sender(harness, queue, "other"))
    schedule(harness, "night", "cron(30 2 ? * SAT,SUN,MON *)", sender(harness, queue, "third"))
    harness.forward("2026-03-31T00:00:00+02:00")
    assert bodies(harness, queue) == [
        "2026-03-27T07:00:00Z",
        "2026-03-27T17:00:00Z",
        "2026-03-28T01:30:00Z",
        "2026-03-30T00:30:00Z",
        "2026-03-30T06:00:00Z",
        "2026-03-30T16:00:00Z",
    ]


def test_the_autumn_day_has_each_local_time_once(twin_at):
    harness = twin_at("2026-10-24T12:00:00+02:00")
    queue = harness.queue("edges")
    schedule(harness, "night", "cron(30 2 * * ? *)", sender(harness, queue))
    schedule(harness, "day", "rate(1 day)", sender(harness, queue, "other"), startDate="2026-10-24T15:00:00Z")
    harness.forward("2026-10-26T12:00:00+01:00")
    assert bodies(harness, queue) == ["2026-10-24T15:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T15:00:00Z", "2026-10-26T01:30:00Z"]


def test_a_day_of_pings_calls_the_function_in_seconds(twin_at, tmp_path):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    harness.twin.lambda_.keep_warm_s = 1000
    function = harness.function("warmer", tmp_path)
    role = harness.allowed("pings", "scheduler.amazonaws.com", ("lambda:InvokeFunction", function["arn"]))
    harness.create(GROUP, name="mine")
    made = schedule(
        harness,
        "ping",
        "rate(15 minutes)",
        {"arn": function["arn"], "roleArn": role, "input": json.dumps({"parallel": 2})},
        groupName="mine",
        startDate="2026-06-01T00:05:00Z",
    )
    assert made.id == "mine/ping"
    began = datetime.now(UTC)
    ran = harness.forward("2026-06-01T23:59:00+00:00")
    assert (datetime.now(UTC) - began).total_seconds() < 10
    assert [(one.name, one.said) for one in ran] == [("schedule mine/ping", "delivered")] * 96
    seen = harness.seen("warmer")
    assert [event for _, event in seen] == [{"parallel": 2}] * 96
    assert seen[-1][0].strftime("%H:%M") == "23:50"
    # A worker that is kept for longer than the pings are apart serves them all; one that is not serves none twice.
    assert harness.cold_starts("warmer") == 1
    harness.twin.lambda_.keep_warm_s = 800
    harness.forward("2026-06-02T01:59:00+00:00")
    assert harness.cold_starts("warmer") == 1 + 7


def test_a_schedule_that_is_disabled_ended_or_not_begun_does_nothing(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    target = sender(harness, queue)
    off = schedule(harness, "off", "rate(1 hour)", target, state="DISABLED")
    schedule(harness, "ended", "cron(0 * * * ? *)", target, scheduleExpressionTimezone="UTC", endDate="2026-06-01T02:30:00Z")
    schedule(harness, "later", "cron(0 * * * ? *)", target, scheduleExpressionTimezone="UTC", startDate="2026-06-01T05:00:00Z")
    once = schedule(harness, "once", "at(2026-06-01T05:45:00)", target, scheduleExpressionTimezone="UTC", actionAfterCompletion="DELETE")
    harness.forward("2026-06-01T06:30:00+00:00")
    assert [body[11:16] for body in bodies(harness, queue)] == ["01:00", "02:00", "05:00", "05:45", "06:00"]
    assert harness.twin.world.get(SCHEDULE, once.id) is None
    harness.update(off, state="ENABLED", scheduleExpression="cron(0 7 * * ? *)", scheduleExpressionTimezone="UTC")
    harness.forward("2026-06-01T07:30:00+00:00")
    assert [body[11:16] for body in bodies(harness, queue)] == ["07:00", "07:00"]


def test_a_flexible_window_moves_the_call_within_it(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    schedule(
        harness,
        "flexible",
        "at(2026-06-01T12:00:00)",
        sender(harness, queue),
        scheduleExpressionTimezone="UTC",
        flexibleTimeWindow={"mode": "FLEXIBLE", "maximumWindowInMinutes": 60},
    )
    harness.forward("2026-06-01T12:00:00+00:00")
    assert bodies(harness, queue) == []
    harness.forward("2026-06-01T13:00:01+00:00")
    assert bodies(harness, queue) == ["2026-06-01T12:00:00Z"]


def test_a_role_that_may_not_call_its_target_ends_in_dead_letters_after_its_retries(twin_at, tmp_path):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    function, dead = harness.function("warmer", tmp_path), harness.queue("dead")
    role = harness.allowed("poor", "scheduler.amazonaws.com", ("sqs:SendMessage", dead["arn"]))
    retry = {"maximumRetryAttempts": 3, "maximumEventAgeInSeconds": 3600}
    target = {"arn": function["arn"], "roleArn": role, "input": '{"n": 1}', "retryPolicy": retry, "deadLetterConfig": {"arn": dead["arn"]}}
    made = schedule(harness, "poor", "at(2026-06-01T01:00:00)", target, scheduleExpressionTimezone="UTC")
    harness.create(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        name="dropped",
        namespace="AWS/Scheduler",
        metricName="InvocationDroppedCount",
        dimensions={"ScheduleGroup": "default"},
        statistic="Sum",
        threshold=0,
        period=60,
        evaluationPeriods=1,
        comparisonOperator="GreaterThanThreshold",
        treatMissingData="notBreaching",
    )
    harness.forward("2026-06-01T01:00:02+00:00")
    assert harness.received(dead) == []
    ran = harness.forward("2026-06-01T02:00:00+00:00")
    assert ran[0].said.startswith("given up after 3 retries: AccessDeniedException")
    assert [one.said for one in ran[1:]] == ["dropped went from OK to ALARM", "dropped went from ALARM to OK"]
    (message,) = harness.received(dead)
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == '{"n": 1}'
    assert (told["ERROR_CODE"], told["RETRY_ATTEMPTS"]) == ("AccessDeniedException", "3")
    assert (told["EXHAUSTED_RETRY_CONDITION"], told["SCHEDULED_TIME"]) == ("MaximumRetryAttempts", "2026-06-01T01:00:00Z")
    assert (told["SCHEDULE_ARN"], told["TARGET_ARN"]) == (made["arn"], function["arn"])
    assert not harness.twin.logs.exists("/aws/lambda/warmer")


def test_a_service_that_comes_back_gets_the_call_by_a_retry(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    schedule(harness, "late", "at(2026-06-01T01:00:00)", sender(harness, queue), scheduleExpressionTimezone="UTC")
    harness.twin.faults.set({"outages": ["sqs"]})
    harness.twin.timers.at(datetime(2026, 6, 1, 1, 5, tzinfo=UTC).timestamp(), _mended(harness))
    (ran,) = harness.forward("2026-06-01T02:00:00+00:00")
    assert ran.said == "delivered after 9 retries"
    assert bodies(harness, queue) == ["2026-06-01T01:00:00Z"]


def _mended(harness: Timed):
    async def mend(due: float) -> None:
        harness.twin.faults.clear()

    return mend


def test_an_event_that_has_become_too_old_is_not_tried_again(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    target = {**sender(harness, queue), "retryPolicy": {"maximumEventAgeInSeconds": 60}}
    schedule(harness, "late", "at(2026-06-01T01:00:00)", target, scheduleExpressionTimezone="UTC")
    harness.twin.faults.set({"outages": ["sqs"]})
    (ran,) = harness.forward("2026-06-01T02:00:00+00:00")
    assert ran.said.startswith("given up after 5 retries: ServiceUnavailable")


def test_a_universal_target_is_called_as_the_role(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    role = harness.allowed("sender", "scheduler.amazonaws.com", ("sqs:SendMessage", queue["arn"]))
    text = json.dumps({"QueueUrl": queue["url"], "MessageBody": "at <aws.scheduler.scheduled-time>, try <aws.scheduler.attempt-number>"})
    schedule(harness, "any", "rate(1 hour)", {"arn": SENDS, "roleArn": role, "input": text}, startDate="2026-06-01T01:00:00Z")
    harness.forward("2026-06-01T01:30:00+00:00")
    assert bodies(harness, queue) == ["at 2026-06-01T01:00:00Z, try 1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trust": "lambda.amazonaws.com"}, "must allow AWS EventBridge Scheduler to assume the role"),
        ({"groupName": "none"}, "Schedule group none does not exist"),
        ({"arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMassage"}, "not a supported API"),
        ({"arn": SENDS, "input": '{"QueueUrl": "x"}'}, 'Missing required parameter in input: "MessageBody"'),
        ({"arn": SENDS, "input": '{"QueueUrl": "x", "MessageBody": "x", "Massage": 1}'}, "Massage"),
        ({"startDate": "2026-05-31T00:00:00Z"}, "cannot be earlier than 5 minutes ago"),
    ],
)
def test_what_aws_refuses_is_refused_at_creation(twin_at, change, said):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    role = harness.allowed("sender", change.pop("trust", "scheduler.amazonaws.com"))
    target = {"arn": f"arn:aws:sqs:{ACCOUNT_ARN}:q", "roleArn": role, **{key: change.pop(key) for key in ("arn", "input") if key in change}}
    with pytest.raises(Refusal, match=said):
        schedule(harness, "wrong", "rate(1 hour)", target, **change)


def test_inputs_that_aws_never_takes_fail_in_the_preview(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    good = {
        "name": "x",
        "scheduleExpression": "rate(1 hour)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {"arn": f"arn:aws:lambda:{ACCOUNT_ARN}:function:f", "roleArn": "arn:aws:iam::123456789012:role/r"},
    }
    assert harness.problems(SCHEDULE, **good) == []
    for change, said in (
        ({"scheduleExpression": "cron(0 8 * * *)"}, "5 fields"),
        ({"scheduleExpressionTimezone": "Europe/Muenchen"}, "IANA"),
        ({"flexibleTimeWindow": {"mode": "FLEXIBLE"}}, "maximumWindowInMinutes"),
        ({"flexibleTimeWindow": {"mode": "FLEXIBLE", "maximumWindowInMinutes": 2000}}, "1440"),
        ({"target": {**good["target"], "input": "no json"}}, "well-formed JSON"),
        ({"target": {**good["target"], "arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c"}}, "delivers to"),
        ({"target": {**good["target"], "arn": "arn:aws:scheduler:::aws-sdk:ec2:startInstances"}}, "serves"),
        ({"target": {**good["target"], "arn": "arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"}}, "only reads"),
        ({"target": {**good["target"], "retryPolicy": {"maximumRetryAttempts": 200}}}, "185"),
        ({"state": "PAUSED"}, "ENABLED"),
    ):
        problems = harness.problems(SCHEDULE, **{**good, **change})
        assert any(said in text for text in problems), (change, problems)


def test_the_api_shows_changes_and_deletes_schedules_and_the_engine_sees_it(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    harness.create(GROUP, name="mine")
    made = schedule(harness, "one", "rate(1 hour)", sender(harness, queue), groupName="mine", startDate="2026-06-02T00:00:00Z")
    role = harness.role(
        "dropper",
        "lambda.amazonaws.com",
        {"Effect": "Allow", "Action": ["scheduler:GetSchedule", "scheduler:UpdateSchedule", "scheduler:ListSchedules"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": made["target"]["roleArn"],
            "Condition": {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        },
    )
    issued = harness.twin.iam.credentials(str(role["arn"]))
    keys = {"aws_access_key_id": issued.access_key_id, "aws_secret_access_key": issued.secret_access_key}
    client = harness.client("scheduler", **keys, aws_session_token=issued.session_token)
    (listed,) = client.list_schedules(GroupName="mine")["Schedules"]
    assert (listed["Name"], listed["State"], listed["Target"]["Arn"]) == ("one", "ENABLED", queue["arn"])
    whole = client.get_schedule(GroupName="mine", Name="one")
    assert whole["StartDate"] == datetime(2026, 6, 2, tzinfo=UTC)
    kept = {key: value for key, value in whole.items() if key not in ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata")}
    client.update_schedule(**{**kept, "State": "DISABLED"})
    live, _ = harness.lifecycle.read(SCHEDULE, made.id, made.urn, made.inputs)
    assert live["state"] == "DISABLED"
    harness.forward("2026-06-02T06:00:00+00:00")
    assert bodies(harness, queue) == []
    with pytest.raises(ClientError, match="not authorized to perform: scheduler:DeleteSchedule"):
        client.delete_schedule(GroupName="mine", Name="one")
    harness.client("scheduler").delete_schedule(GroupName="mine", Name="one")
    with pytest.raises(ClientError, match="does not exist"):
        harness.client("scheduler").get_schedule(GroupName="mine", Name="one")
    assert harness.lifecycle.read(SCHEDULE, made.id, made.urn, made.inputs) is None


def test_a_group_takes_its_schedules_with_it(twin_at):
    harness = twin_at("2026-06-01T00:00:00+00:00")
    queue = harness.queue("edges")
    group = harness.create(GROUP, name="mine")
    schedule(harness, "one", "rate(1 hour)", sender(harness, queue), groupName="mine", startDate="2026-06-01T01:00:00Z")
    harness.delete(group)
    assert harness.forward("2026-06-01T06:00:00+00:00") == []

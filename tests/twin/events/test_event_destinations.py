"""What becomes of asynchronous events: retries on the clock, destinations, dead letters."""

import json

import pytest

from pilotlight.twin.rows import Refusal
from tests.support.waiting import until
from tests.twin.compute.harness import archive
from tests.twin.events.test_event_rows import QUEUE
from tests.twin.events.test_event_source import FUNCTION

CONFIG = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("it fails")
    return {"said": event["say"]}
"""


@pytest.fixture
def made(declare, role, tmp_path):
    def one(name, *, may_send=True, dead_letters=False, **config):
        queue = declare(QUEUE, f"{name}-told")
        action = "sqs:SendMessage" if may_send else "sqs:GetQueueUrl"
        arn = role(f"{name}-role", {"Effect": "Allow", "Action": action, "Resource": queue["arn"]})
        inputs = {"handler": "app.handler", "runtime": "python3.11", "role": arn, "timeout": 5}
        if dead_letters:
            inputs["deadLetterConfig"] = {"targetArn": queue["arn"]}
        declare(FUNCTION, name, code=archive(tmp_path / name, app=CODE), **inputs)
        if config or not dead_letters:
            targets = {when: {"destination": queue["arn"]} for when in ("onFailure", "onSuccess")}
            declare(CONFIG, functionName=name, destinationConfig=targets, **config)
        return queue

    return one


def told(harness, queue):
    sqs = harness.client("sqs")
    return sqs.receive_message(QueueUrl=queue["url"], MessageAttributeNames=["All"], WaitTimeSeconds=5)["Messages"][0]


def forward(harness, seconds):
    twin = harness.twin
    harness.wait(twin.timers.forward(twin.clock.now() + seconds))


def send(harness, name, **event):
    answer = harness.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202


def test_what_an_event_came_to_is_told_to_its_destination(harness, made):
    queue = made("told-well")
    send(harness, "told-well", say="hi")
    record = json.loads(told(harness, queue)["Body"])
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("Success", 1)
    assert (record["requestPayload"], record["responsePayload"]) == ({"say": "hi"}, {"said": "hi"})
    assert record["requestContext"]["functionArn"].endswith(":function:told-well:$LATEST")


def test_an_event_that_fails_is_tried_three_times_before_that_is_told(harness, made):
    queue = made("told-badly")
    send(harness, "told-badly", fail=True)
    forward(harness, 179)
    assert harness.twin.sqs.store.figures(queue["arn"]).visible == 0
    forward(harness, 5)
    record = json.loads(told(harness, queue)["Body"])
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("RetriesExhausted", 3)
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "it fails"


def test_an_event_that_grows_too_old_is_not_tried_again(harness, made):
    queue = made("told-old", maximumEventAgeInSeconds=90)
    send(harness, "told-old", fail=True)
    forward(harness, 70)
    record = json.loads(told(harness, queue)["Body"])
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("EventAgeExceeded", 2)


def test_dead_letters_hold_the_event_itself(harness, made):
    queue = made("told-dead", dead_letters=True, maximumRetryAttempts=0)
    send(harness, "told-dead", fail=True)
    found = [told(harness, queue), told(harness, queue)]
    dead = next(message for message in found if "MessageAttributes" in message)
    assert json.loads(dead["Body"]) == {"fail": True}
    assert dead["MessageAttributes"]["ErrorMessage"]["StringValue"] == "it fails"


def test_an_outage_of_the_queue_only_delays_what_is_told(harness, made):
    queue = made("told-late")
    harness.twin.faults.set({"outages": ["sqs"]})
    send(harness, "told-late", say="hi")
    until(lambda: harness.twin.logs.exists("/aws/lambda/told-late"))
    assert harness.twin.sqs.store.figures(queue["arn"]).visible == 0
    harness.twin.faults.clear()
    assert json.loads(told(harness, queue)["Body"])["responsePayload"] == {"said": "hi"}


@pytest.mark.parametrize("how", [{}, {"dead_letters": True}])
def test_a_role_that_may_not_send_there_is_refused(made, how):
    with pytest.raises(Refusal, match="does not have permissions to call SendMessage"):
        made("told-never", may_send=False, **how)


def test_a_target_that_the_twin_does_not_tell_fails_in_preview(harness):
    config = {"onFailure": {"destination": "arn:aws:sns:us-east-1:123456789012:topic"}}
    problems = harness.problems(CONFIG, functionName="f", destinationConfig=config)
    assert any("destinationConfig.onFailure.destination" in text for text in problems)

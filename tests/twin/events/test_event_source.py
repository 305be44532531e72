"""Queues that call functions: batches, partial answers, dead letters, limits, refusals, outages; real functions in real processes."""

import json
import time

import pytest

from pilotlight.twin.rows import Refusal
from tests.support.waiting import until
from tests.twin.compute.harness import archive
from tests.twin.events.test_event_rows import QUEUE

FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
# Writes what it got into a log group of its own name, and fails the messages whose body says so.
CODE = """
import json, time
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    counts = [record["attributes"]["ApproximateReceiveCount"] for record in event["Records"]]
    print("BATCH " + json.dumps({"at": time.time(), "bodies": bodies, "counts": counts}))
    if "crash" in bodies:
        raise ValueError("crash")
    time.sleep(max([float(body[5:]) for body in bodies if body.startswith("sleep")], default=0))
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"] if record["body"] == "poison"]}
"""
ALLOWED = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]


class Path:
    """A queue with dead letters, its function and the mapping between them."""

    def __init__(self, harness, queue, dead, mapping, function):
        self.harness, self.queue, self.dead, self.mapping, self.function = harness, queue, dead, mapping, function
        self.sqs = harness.client("sqs")

    def send(self, *bodies):
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])]
            assert "Failed" not in self.sqs.send_message_batch(QueueUrl=self.queue["url"], Entries=entries)

    def batches(self):
        logs, group = self.harness.twin.logs, f"/aws/lambda/{self.function['name']}"
        lines = [event.message for event in logs.events(group)] if logs.exists(group) else []
        return [json.loads(line.removeprefix("BATCH ")) for line in lines if line.startswith("BATCH ")]

    def bodies(self):
        return [body for batch in self.batches() for body in batch["bodies"]]

    def figures(self, queue=None):
        return self.harness.twin.sqs.store.figures((queue or self.queue)["arn"])

    def is_empty(self):
        figures = self.figures()
        return not (figures.visible or figures.in_flight or figures.delayed)

    def forward(self, seconds):
        twin = self.harness.twin
        return self.harness.wait(twin.timers.forward(twin.clock.now() + seconds))


@pytest.fixture
def path(harness, declare, role, tmp_path):
    def one(name, *, actions=ALLOWED, timeout=5, visibility=30, receives=3, mapped=True, function=None, **mapping):
        dead = declare(QUEUE, f"{name}-dead")
        redrive = json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": receives})
        queue = declare(QUEUE, name, visibilityTimeoutSeconds=visibility, redrivePolicy=redrive)
        arn = role(f"{name}-role", {"Effect": "Allow", "Action": actions, "Resource": queue["arn"]})
        inputs = {"handler": "app.handler", "runtime": "python3.11", "role": arn, "timeout": timeout, **(function or {})}
        made = declare(FUNCTION, name, code=archive(tmp_path / name, app=CODE), **inputs)
        given = {"eventSourceArn": queue["arn"], "functionName": name, "functionResponseTypes": ["ReportBatchItemFailures"], **mapping}
        return Path(harness, queue, dead, declare(MAPPING, **given) if mapped else None, made)

    return one


def test_messages_reach_the_function_and_are_deleted(path):
    made = path("plain")
    made.send(*"abc")
    until(lambda: sorted(made.bodies()) == ["a", "b", "c"] and made.is_empty())
    listed = made.harness.client("lambda").list_event_source_mappings(FunctionName="plain")["EventSourceMappings"]
    assert [(one["State"], one["LastProcessingResult"]) for one in listed] == [("Enabled", "OK")]


def test_of_ten_with_one_poison_only_that_comes_back_and_ends_among_the_dead_letters(path):
    made = path("poisoned", batchSize=10, maximumBatchingWindowInSeconds=1)
    made.send("poison", *"abcdefghi")
    until(lambda: len(made.batches()) == 1)
    assert len(made.batches()[0]["bodies"]) == 10
    until(lambda: made.figures().in_flight == 1)
    made.forward(31 * 3 + 10)
    until(lambda: len(made.batches()) == 3)
    assert [batch["bodies"] for batch in made.batches()[1:]] == [["poison"], ["poison"]]
    assert [batch["counts"] for batch in made.batches()[1:]] == [["2"], ["3"]]
    assert made.is_empty()
    (dead,) = made.sqs.receive_message(QueueUrl=made.dead["url"], MessageSystemAttributeNames=["All"])["Messages"]
    assert (dead["Body"], dead["Attributes"]["DeadLetterQueueSourceArn"]) == ("poison", made.queue["arn"])


def test_dead_letters_are_replayed_by_a_move_task(path):
    made = path("replayed", receives=1)
    made.send("crash", "crash")
    until(lambda: made.figures().in_flight == 2)
    made.forward(31)
    until(lambda: made.figures(made.dead).visible == 2)
    handle = made.sqs.start_message_move_task(SourceArn=made.dead["arn"])["TaskHandle"]
    assert handle
    until(lambda: made.sqs.list_message_move_tasks(SourceArn=made.dead["arn"])["Results"][0]["Status"] == "COMPLETED")
    (task,) = made.sqs.list_message_move_tasks(SourceArn=made.dead["arn"], MaxResults=10)["Results"]
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (2, 2)
    assert "TaskHandle" not in task
    until(lambda: made.bodies().count("crash") == 4)
    assert made.figures(made.dead).visible == 0


def test_an_error_of_the_function_brings_the_whole_batch_back(path):
    made = path("crashed", receives=2, maximumBatchingWindowInSeconds=1)
    made.send("crash", "a", "b")
    until(lambda: made.batches() and made.figures().in_flight == 3)
    made.forward(40)
    until(lambda: sorted(made.bodies()) == ["a", "a", "b", "b", "crash", "crash"])
    made.forward(40)
    assert made.figures(made.dead).visible == 3


def test_without_partial_answers_what_the_answer_says_does_not_count(path):
    made = path("whole", functionResponseTypes=[])
    made.send("poison")
    until(lambda: made.bodies() == ["poison"] and made.is_empty())


def test_no_more_batches_run_at_once_than_the_mapping_says(path):
    made = path("narrow", batchSize=1, scalingConfig={"maximumConcurrency": 2}, timeout=10)
    made.send(*["sleep0.5"] * 6)
    until(lambda: len(made.batches()) == 6)
    starts = sorted(batch["at"] for batch in made.batches())
    assert all(starts[number + 2] - starts[number] > 0.4 for number in range(4))


def test_a_window_gathers_a_larger_batch(path):
    made = path("gathered", batchSize=100, maximumBatchingWindowInSeconds=2)
    began = time.time()
    made.send(*(str(number) for number in range(30)))
    until(lambda: made.is_empty() and made.batches())
    (batch,) = made.batches()
    assert len(batch["bodies"]) == 30
    assert 1.5 < batch["at"] - began < 4


def test_a_throttled_function_is_asked_again(path):
    made = path("throttled", function={"reservedConcurrentExecutions": 1}, batchSize=1, timeout=10)
    made.send("sleep0.5", "sleep0.5", "sleep0.5")
    until(lambda: made.is_empty() and len(made.batches()) == 3)
    assert {count for batch in made.batches() for count in batch["counts"]} == {"1"}


def test_a_paused_mapping_leaves_the_queue_alone_and_goes_on_where_it_was(path):
    made = path("paused")
    lambda_ = made.harness.client("lambda")
    lambda_.update_event_source_mapping(UUID=made.mapping.id, Enabled=False)
    made.send("a")
    time.sleep(0.3)
    assert made.figures().visible == 1
    lambda_.update_event_source_mapping(UUID=made.mapping.id, Enabled=True)
    until(lambda: made.bodies() == ["a"])
    made.harness.delete(made.mapping)
    made.send("b")
    time.sleep(0.3)
    assert made.figures().visible == 1


def test_a_queue_that_is_out_loses_nothing(path):
    made = path("outage", timeout=10)
    made.send("sleep0.5")
    until(lambda: made.batches())
    made.harness.twin.faults.set({"outages": ["sqs"]})
    with pytest.raises(made.sqs.exceptions.ClientError, match="ServiceUnavailable"):
        made.sqs.send_message(QueueUrl=made.queue["url"], MessageBody="refused")
    made.harness.twin.sqs.send(made.queue["arn"], "from a service")
    time.sleep(1.5)
    assert made.bodies() == ["sleep0.5"]
    made.harness.twin.faults.clear()
    until(lambda: made.is_empty() and len(made.bodies()) == 2)
    assert made.bodies() == ["sleep0.5", "from a service"]


def test_a_function_that_may_no_longer_delete_sees_its_messages_again(path):
    made = path("undeletable", receives=10)
    for policy in made.harness.twin.world.find("aws:iam/rolePolicy:RolePolicy", role="undeletable-role"):
        text = policy["policy"].replace('"sqs:DeleteMessage", ', "")
        made.harness.update(policy, policy=text)
    made.send("a")
    until(lambda: made.batches())
    made.forward(31)
    until(lambda: made.bodies() == ["a", "a"])
    assert "DeleteMessage" in made.harness.twin.event_sources.result(made.mapping.id)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"timeout": 60, "visibility": 30}, "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"),
        ({"actions": ALLOWED[1:]}, "does not have permissions to call ReceiveMessage on SQS"),
        ({"actions": ALLOWED[:1] + ALLOWED[2:]}, "does not have permissions to call DeleteMessage on SQS"),
        ({"actions": ALLOWED[:2]}, "does not have permissions to call GetQueueAttributes on SQS"),
        ({"eventSourceArn": "arn:aws:sqs:us-east-1:123456789012:nowhere"}, "NonExistentQueue"),
        ({"functionName": "nobody"}, "Function not found"),
    ],
)
def test_a_mapping_that_lambda_would_refuse_is_refused(path, how, message):
    with pytest.raises(Refusal, match=message):
        path("refusing", **how)


def test_a_second_mapping_of_the_same_queue_and_function_is_refused(path, declare):
    made = path("twice")
    with pytest.raises(Refusal, match="already exists"):
        declare(MAPPING, eventSourceArn=made.queue["arn"], functionName="twice")


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"batchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"batchSize": 10_001, "maximumBatchingWindowInSeconds": 1}, "batchSize"),
        ({"maximumBatchingWindowInSeconds": 301}, "maximumBatchingWindowInSeconds"),
        ({"scalingConfig": {"maximumConcurrency": 1}}, "scalingConfig.maximumConcurrency: 1: use 2 to 1000"),
        ({"scalingConfig": {"maximumConcurrency": 1001}}, "use 2 to 1000"),
        ({"functionResponseTypes": ["Everything"]}, "functionResponseTypes"),
        ({"filterCriteria": {"filters": [{"pattern": "{}"}]}}, "filters of event sources"),
        ({"startingPosition": "LATEST"}, "Unsupported parameter for the source type SQS"),
        ({"eventSourceArn": "arn:aws:kinesis:us-east-1:1:stream/x"}, "polls SQS queues only"),
    ],
)
def test_a_mapping_that_can_not_be_fails_in_preview(harness, inputs, problem):
    given = {"eventSourceArn": "arn:aws:sqs:us-east-1:123456789012:q", "functionName": "f", **inputs}
    assert any(problem in text for text in harness.problems(MAPPING, **given))

"""The SQS API through an unchanged client."""

import hashlib
import json
import struct
import threading
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import until
from tests.twin.events.conftest import policy
from tests.twin.events.test_event_rows import QUEUE


def refused(call, code):
    with pytest.raises(ClientError) as raised:
        call()
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def sqs(harness):
    return harness.client("sqs")


@pytest.fixture
def queue(declare, request):
    return declare(QUEUE, f"api-{abs(hash(request.node.name)) % 10**8}")["url"]


def as_role(harness, name, *statements):
    credentials = harness.twin.iam.credentials(harness.role(name, "lambda.amazonaws.com", *statements)["arn"])
    return harness.client(
        "sqs",
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )


def test_a_message_goes_through_with_its_attributes(sqs, queue):
    attributes = {
        "text.a": {"DataType": "String", "StringValue": "ü"},
        "number": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = sqs.send_message(QueueUrl=queue, MessageBody="hello", MessageAttributes=attributes)
    received = sqs.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["All"], MessageAttributeNames=["text.*", "raw"])
    (message,) = received["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello")
    assert message["MessageAttributes"] == {"text.a": attributes["text.a"], "raw": attributes["raw"]}
    assert sent["MD5OfMessageBody"] == message["MD5OfBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_the_digest_of_attributes_is_sqss_own(sqs, queue):
    # Name, type, kind of value and value, each with its length, as the SQS developer guide lays it down ("message metadata").
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    parts = b"".join(struct.pack("!I", len(part)) + part for part in (b"a", b"String")) + b"\x01" + struct.pack("!I", 1) + b"b"
    assert sent["MD5OfMessageAttributes"] == hashlib.md5(parts).hexdigest()


def test_a_long_poll_ends_when_a_message_comes(sqs, queue):
    threading.Timer(0.4, lambda: sqs.send_message(QueueUrl=queue, MessageBody="late")).start()
    began = time.time()
    assert sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]["Body"] == "late"
    assert 0.3 < time.time() - began < 3
    began = time.time()
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    assert time.time() - began > 0.9


def test_a_long_poll_gets_a_message_that_comes_back(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="again")
    sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1)
    assert sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]["Body"] == "again"


def test_visibility_is_on_the_twins_clock(harness, sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="a", DelaySeconds=600)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 600))
    (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=3600)["Messages"]
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=7200)
    harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 7100))
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 101))
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "a"


def test_entries_of_a_batch_succeed_and_fail_by_themselves(sqs, queue):
    entries = [{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "\x01"}]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("bad", "InvalidMessageContents")]
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    entries = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "nonsense"}]
    answer = sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["a"]
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("b", "ReceiptHandleIsInvalid")]


def test_what_sqs_refuses_is_refused_with_its_codes(harness, sqs, queue):
    missing = queue + "-nowhere"
    refused(lambda: sqs.send_message(QueueUrl=missing, MessageBody="x"), "AWS.SimpleQueueService.NonExistentQueue")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="nowhere")
    refused(lambda: sqs.send_message(QueueUrl=queue, MessageBody="x" * 262_145), "InvalidParameterValue")
    refused(lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=11), "InvalidParameterValue")
    refused(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=21), "InvalidParameterValue")
    refused(lambda: sqs.delete_message(QueueUrl=queue, ReceiptHandle="x"), "ReceiptHandleIsInvalid")
    refused(lambda: sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "-1"}), "InvalidParameterValue")
    refused(lambda: sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Odd": "1"}), "InvalidAttributeName")
    refused(lambda: sqs.create_queue(QueueName="a.fifo"), "InvalidParameterValue")
    entry = {"Id": "same", "MessageBody": "x"}
    codes = "AWS.SimpleQueueService."
    refused(lambda: sqs.send_message_batch(QueueUrl=queue, Entries=[entry, entry]), codes + "BatchEntryIdsNotDistinct")
    many = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    refused(lambda: sqs.send_message_batch(QueueUrl=queue, Entries=many), codes + "TooManyEntriesInBatchRequest")
    sqs.purge_queue(QueueUrl=queue)
    refused(lambda: sqs.purge_queue(QueueUrl=queue), codes + "PurgeQueueInProgress")
    name = queue.rpartition("/")[2]
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == queue
    refused(lambda: sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "9"}), "QueueAlreadyExists")


def test_a_receipt_of_a_message_that_came_back_changes_nothing_any_more(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    (first,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    call = {"QueueUrl": queue, "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 5}
    refused(lambda: sqs.change_message_visibility(**call), "InvalidParameterValue")
    (second,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    longer = {"QueueUrl": queue, "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 43_200}
    assert "limit [43200 seconds]" in refused(lambda: (time.sleep(0.01), sqs.change_message_visibility(**longer)), "InvalidParameterValue")


def test_a_queues_policy_counts_beside_the_roles_own(harness, sqs, queue):
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stranger = as_role(harness, "queue-stranger")
    refused(lambda: stranger.send_message(QueueUrl=queue, MessageBody="x"), "AccessDeniedException")
    account = "arn:aws:iam::123456789012:role/queue-stranger"
    let_in = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy(let_in)})
    stranger.send_message(QueueUrl=queue, MessageBody="x")
    refused(lambda: stranger.receive_message(QueueUrl=queue), "AccessDeniedException")
    everything = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    reader = as_role(harness, "queue-reader", everything)
    assert reader.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    locked = {"Effect": "Deny", "Principal": "*", "Action": "sqs:ReceiveMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy(let_in, locked)})
    assert "explicit deny" in refused(lambda: reader.receive_message(QueueUrl=queue), "AccessDeniedException")


def test_moving_messages_needs_the_right_at_both_ends(harness, declare):
    dead = declare(QUEUE, "moved-dead")
    work = declare(QUEUE, "moved-work", redrivePolicy=json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 1}))
    source = ["sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    half = {"Effect": "Allow", "Action": source, "Resource": dead["arn"]}
    other = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": work["arn"]}
    refused(lambda: as_role(harness, "mover-half", half).start_message_move_task(SourceArn=dead["arn"]), "AccessDeniedException")
    assert as_role(harness, "mover", half, other).start_message_move_task(SourceArn=dead["arn"])["TaskHandle"]


def test_a_move_that_sqs_would_refuse_is_refused(sqs, declare):
    dead = declare(QUEUE, "odd-dead")
    work = declare(QUEUE, "odd-work", redrivePolicy=json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 1}))
    assert "Dead Letter Queue" in refused(lambda: sqs.start_message_move_task(SourceArn=work["arn"]), "InvalidParameterValue")
    refused(lambda: sqs.start_message_move_task(SourceArn=dead["arn"] + "x"), "ResourceNotFoundException")
    refused(lambda: sqs.start_message_move_task(SourceArn=dead["arn"], DestinationArn=work["arn"] + "x"), "ResourceNotFoundException")
    refused(lambda: sqs.cancel_message_move_task(TaskHandle="nonsense"), "InvalidParameterValue")


def test_a_slow_move_can_be_stopped(harness, sqs, declare):
    dead = declare(QUEUE, "slow-dead")
    work = declare(QUEUE, "slow-work", redrivePolicy=json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 1}))
    for _ in range(5):
        entries = [{"Id": str(number), "MessageBody": "x"} for number in range(10)]
        sqs.send_message_batch(QueueUrl=dead["url"], Entries=entries)
    options = {"SourceArn": dead["arn"], "DestinationArn": work["arn"], "MaxNumberOfMessagesPerSecond": 5}
    handle = sqs.start_message_move_task(**options)["TaskHandle"]
    again = refused(lambda: sqs.start_message_move_task(SourceArn=dead["arn"]), "InvalidParameterValue")
    assert "already a task running" in again
    until(lambda: harness.twin.sqs.store.figures(work["arn"]).visible)
    listed = sqs.list_message_move_tasks(SourceArn=dead["arn"])["Results"][0]
    assert (listed["Status"], listed["TaskHandle"]) == ("RUNNING", handle)
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 0 < moved < 50
    assert sqs.list_message_move_tasks(SourceArn=dead["arn"])["Results"][0]["Status"] == "CANCELLED"
    assert harness.twin.sqs.store.figures(dead["arn"]).visible == 50 - moved


def test_other_regions_have_other_queues(harness, sqs, queue):
    elsewhere = boto3.client(
        "sqs",
        endpoint_url=harness.twin.front_url,
        region_name="eu-west-1",
        aws_access_key_id=harness.twin.iam.deployer.access_key_id,
        aws_secret_access_key=harness.secret,
    )
    refused(lambda: elsewhere.receive_message(QueueUrl=queue), "AWS.SimpleQueueService.NonExistentQueue")

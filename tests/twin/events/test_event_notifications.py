"""Events of buckets as S3 sends them, read from the queue by an unchanged client."""

import json
import threading
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.rows import Refusal
from tests.support.waiting import until
from tests.twin.events.conftest import policy
from tests.twin.events.test_event_rows import QUEUE

BUCKET, NOTIFICATION = "aws:s3/bucket:Bucket", "aws:s3/bucketNotification:BucketNotification"


@pytest.fixture
def objects(declare):
    """A versioned bucket whose queue lets S3 send, and what notifies."""

    def one(name, *, versioned=True, allow=True, source=None, **target):
        bucket = declare(BUCKET, bucket=name, forceDestroy=True)
        if versioned:
            declare("aws:s3/bucketVersioning:BucketVersioning", bucket=name, versioningConfiguration={"status": "Enabled"})
        queue = declare(QUEUE, name)
        if allow:
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue["arn"],
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": source or bucket["arn"]},
                    "StringEquals": {"aws:SourceAccount": "123456789012"},
                },
            }
            declare("aws:sqs/queuePolicy:QueuePolicy", queueUrl=queue["url"], policy=policy(statement))
        given = {"queueArn": queue["arn"], "events": ["s3:ObjectCreated:*"], **target}
        declare(NOTIFICATION, bucket=name, queues=[given])
        return queue

    return one


def messages(harness, queue, count):
    """The next messages, deleted, the test event left out."""
    sqs, found = harness.client("sqs"), []

    def more():
        for message in sqs.receive_message(QueueUrl=queue["url"], MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=queue["url"], ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            found.extend(body.get("Records", []))
        return len(found) >= count

    until(more)
    assert len(found) == count, [record["s3"]["object"] for record in found]
    return found


def test_the_queue_is_tried_when_the_notification_is_set(harness, objects):
    queue = objects("tested")
    (message,) = harness.client("sqs").receive_message(QueueUrl=queue["url"])["Messages"]
    assert json.loads(message["Body"])["Event"] == "s3:TestEvent"
    (held,) = harness.client("s3").get_bucket_notification_configuration(Bucket="tested")["QueueConfigurations"]
    assert (held["QueueArn"], held["Events"]) == (queue["arn"], ["s3:ObjectCreated:*"])


@pytest.mark.parametrize("how", [{"allow": False}, {"source": "arn:aws:s3:::another"}])
def test_a_queue_that_does_not_let_the_bucket_send_is_refused(objects, how):
    with pytest.raises(Refusal, match="Unable to validate the following destination configurations"):
        objects("refused", **how)


def test_an_event_tells_the_object_as_s3_does(harness, objects):
    queue = objects("told")
    s3 = harness.client("s3")
    put = s3.put_object(Bucket="told", Key="in/a b+ü.txt", Body=b"hello")
    (record,) = messages(harness, queue, 1)
    assert (record["eventVersion"], record["eventName"], record["eventSource"]) == ("2.1", "ObjectCreated:Put", "aws:s3")
    assert record["awsRegion"] == "us-east-1"
    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::told"
    stored = record["s3"]["object"]
    assert "+" in stored["key"]
    assert unquote_plus(stored["key"]) == "in/a b+ü.txt"
    assert (stored["size"], stored["eTag"], stored["versionId"]) == (5, put["ETag"].strip('"'), put["VersionId"])
    assert s3.get_object(Bucket="told", Key=unquote_plus(stored["key"]), VersionId=stored["versionId"])["Body"].read() == b"hello"


def test_copies_and_uploads_in_parts_are_events_of_their_kind(harness, objects):
    queue = objects("kinds")
    s3 = harness.client("s3")
    s3.put_object(Bucket="kinds", Key="one", Body=b"12345")
    s3.copy_object(Bucket="kinds", Key="two", CopySource={"Bucket": "kinds", "Key": "one"})
    upload = s3.create_multipart_upload(Bucket="kinds", Key="three")["UploadId"]
    part = s3.upload_part(Bucket="kinds", Key="three", UploadId=upload, PartNumber=1, Body=b"x" * 1000)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    done = s3.complete_multipart_upload(Bucket="kinds", Key="three", UploadId=upload, MultipartUpload=parts)
    found = {record["s3"]["object"]["key"]: record for record in messages(harness, queue, 3)}
    assert [found[key]["eventName"] for key in ("one", "two", "three")] == [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
    ]
    assert [found[key]["s3"]["object"]["size"] for key in ("one", "two", "three")] == [5, 5, 1000]
    assert found["three"]["s3"]["object"]["eTag"] == done["ETag"].strip('"')
    assert found["three"]["s3"]["object"]["versionId"] == done["VersionId"]


def test_filters_let_only_their_keys_through(harness, objects):
    queue = objects("filtered", filterPrefix="in/", filterSuffix=".txt")
    for key in ("in/yes.txt", "in/no.csv", "out/no.txt", "in/.txt"):
        harness.client("s3").put_object(Bucket="filtered", Key=key, Body=b"x")
    assert [record["s3"]["object"]["key"] for record in messages(harness, queue, 2)] == ["in/yes.txt", "in/.txt"]


def test_without_versions_an_event_names_none(harness, objects):
    queue = objects("plain", versioned=False)
    harness.client("s3").put_object(Bucket="plain", Key="k", Body=b"x")
    assert "versionId" not in messages(harness, queue, 1)[0]["s3"]["object"]


def test_what_fails_is_no_event(harness, objects):
    queue = objects("failed")
    with pytest.raises(ClientError):
        harness.client("s3").put_object(Bucket="failed", Key="k", Body=b"x", IfMatch='"other"')
    with pytest.raises(ClientError):
        harness.client("s3").copy_object(Bucket="failed", Key="k", CopySource={"Bucket": "failed", "Key": "nothing"})
    harness.client("s3").put_object(Bucket="failed", Key="good", Body=b"x")
    assert [record["s3"]["object"]["key"] for record in messages(harness, queue, 1)] == ["good"]


def test_the_sequencer_grows_as_the_versions_of_a_key_do(harness, objects):
    queue = objects("ordered")
    s3 = harness.client("s3")
    writers = [threading.Thread(target=lambda: [s3.put_object(Bucket="ordered", Key="k", Body=b"x") for _ in range(8)]) for _ in range(4)]
    [writer.start() for writer in writers]
    [writer.join() for writer in writers]
    found = [record["s3"]["object"] for record in messages(harness, queue, 32)]
    longest = max(len(one["sequencer"]) for one in found)
    by_sequencer = [one["versionId"] for one in sorted(found, key=lambda one: one["sequencer"].ljust(longest, "0"))]
    listed = s3.list_object_versions(Bucket="ordered", Prefix="k")["Versions"]
    assert by_sequencer == [version["VersionId"] for version in reversed(listed)]


def test_events_can_be_made_to_come_twice_and_late(harness, objects):
    queue = objects("stormy")
    harness.twin.faults.set({"events": {"duplicates": 0.5, "delay_s": 0.5, "seed": 1}})
    for number in range(20):
        harness.client("s3").put_object(Bucket="stormy", Key=f"{number:02d}", Body=b"x")
    sqs, keys = harness.client("sqs"), []

    def more():
        for message in sqs.receive_message(QueueUrl=queue["url"], MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=queue["url"], ReceiptHandle=message["ReceiptHandle"])
            keys.extend(record["s3"]["object"]["key"] for record in json.loads(message["Body"]).get("Records", []))
        figures = harness.twin.sqs.store.figures(queue["arn"])
        return len(set(keys)) == 20 and not (figures.visible or figures.delayed)

    until(more)
    assert 25 <= len(keys) <= 35
    assert keys != sorted(keys)


def test_an_object_that_a_program_declares_is_an_event_too(harness, objects, declare):
    queue = objects("declared")
    declare("aws:s3/bucketObjectv2:BucketObjectv2", bucket="declared", key="k", content="hello")
    stored = messages(harness, queue, 1)[0]["s3"]["object"]
    assert (stored["key"], stored["size"]) == ("k", 5)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"eventbridge": True}, "EventBridge as the target"),
        ({"topics": [{"topicArn": "arn:aws:sns:us-east-1:1:t", "events": ["s3:ObjectCreated:*"]}]}, "topics as the target"),
        ({"queues": [{"queueArn": "arn:aws:sqs:us-east-1:1:q", "events": ["s3:ObjectRemoved:*"]}]}, "queues[0].events"),
    ],
)
def test_what_the_twin_does_not_send_fails_in_preview(harness, inputs, problem):
    assert any(problem in text for text in harness.problems(NOTIFICATION, bucket="b", **inputs))

"""An event path goes on where the last twin left it."""

import json
import os
import signal

import boto3
import pytest

from pilotlight.twin import client
from tests.support.waiting import until
from tests.twin.compute.harness import Harness, archive
from tests.twin.events.conftest import policy
from tests.twin.events.test_event_rows import KEYS, QUEUE, TABLE

# Writes one row for each receive of a message; the first takes as long as the message says.
CODE = """
import boto3, time
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        count = record["attributes"]["ApproximateReceiveCount"]
        time.sleep(float(record["body"]) if count == "1" else 0)
        key = {"object": {"S": record["messageId"]}, "version": {"S": count}}
        table.put_item(TableName="kept-path", Item=key)
"""


def test_messages_in_flight_come_back_to_a_mapping_that_still_polls(tmp_path, shared_cache):
    home = tmp_path / "home"
    first = Harness(home, shared_cache).up()
    try:
        queue = first.create(QUEUE, "kept-path", visibilityTimeoutSeconds=20)
        first.create(TABLE, "kept-path", **KEYS)
        may = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "dynamodb:PutItem"]
        role = first.role("kept-path", "lambda.amazonaws.com", {"Effect": "Allow", "Action": may, "Resource": "*"})
        code = archive(tmp_path / "code", app=CODE)
        first.create(
            "aws:lambda/function:Function",
            "kept-path",
            code=code,
            handler="app.handler",
            runtime="python3.11",
            role=role["arn"],
            timeout=15,
        )
        first.create("aws:lambda/eventSourceMapping:EventSourceMapping", eventSourceArn=queue["arn"], functionName="kept-path", batchSize=1)
        first.twin.sqs.send(queue["arn"], "0")
        until(lambda: first.client("dynamodb").scan(TableName="kept-path")["Count"] == 1)
        first.twin.sqs.send(queue["arn"], "10")
        until(lambda: first.twin.sqs.store.figures(queue["arn"]).in_flight == 1)
    finally:
        first.down()
    second = Harness(home, shared_cache).up()
    try:
        assert second.twin.sqs.store.figures(queue["arn"]).in_flight == 1
        second.client("sqs").send_message(QueueUrl=queue["url"], MessageBody="0")
        rows = second.client("dynamodb")
        until(lambda: rows.scan(TableName="kept-path")["Count"] == 2)
        twin = second.twin
        second.wait(twin.timers.forward(twin.clock.now() + 20))
        items = rows.scan(TableName="kept-path")["Items"]
        assert sorted(item["version"]["S"] for item in items) == ["1", "1", "2"]
        assert not twin.sqs.store.figures(queue["arn"]).in_flight
    finally:
        second.down()


def test_messages_and_rows_survive_a_killed_daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "home"

    def aws(running, service):
        for name, value in client.environment(running).items():
            monkeypatch.setenv(name, value)
        return boto3.session.Session().client(service)

    first = client.ensure_running(home)
    try:
        sqs, tables = aws(first, "sqs"), aws(first, "dynamodb")
        url = sqs.create_queue(QueueName="kept")["QueueUrl"]
        keys = [{"AttributeName": "k", "KeyType": "HASH"}]
        attributes = [{"AttributeName": "k", "AttributeType": "S"}]
        tables.create_table(TableName="kept", KeySchema=keys, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST")
        tables.put_item(TableName="kept", Item={"k": {"S": "a"}})
        sqs.send_message(QueueUrl=url, MessageBody="hello")
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: client.find(home) is None)
        second = client.ensure_running(home)
        assert second.pid != first.pid
        assert aws(second, "sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
        assert aws(second, "dynamodb").scan(TableName="kept")["Items"] == [{"k": {"S": "a"}}]
    finally:
        client.stop(home)


@pytest.fixture
def uploads(harness, declare, role, tmp_path):
    """A bucket whose objects become rows: PUT, event, queue, function, table."""
    bucket = declare("aws:s3/bucket:Bucket", bucket="whole-path", forceDestroy=True)
    declare("aws:s3/bucketVersioning:BucketVersioning", bucket=bucket.id, versioningConfiguration={"status": "Enabled"})
    queue = declare(QUEUE, "whole-path", visibilityTimeoutSeconds=10)
    allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue["arn"]}
    declare("aws:sqs/queuePolicy:QueuePolicy", queueUrl=queue["url"], policy=policy(allow))
    declare(TABLE, "whole-path", **KEYS)
    may = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "s3:GetObjectVersion", "dynamodb:PutItem"]
    arn = role("whole-path", {"Effect": "Allow", "Action": may, "Resource": "*"})
    code = """
import boto3, json
from urllib.parse import unquote_plus
s3, table = boto3.client("s3"), boto3.client("dynamodb")
def handler(event, context):
    failed = []
    for record in event["Records"]:
        try:
            for one in json.loads(record["body"]).get("Records", []):
                bucket, stored = one["s3"]["bucket"]["name"], one["s3"]["object"]
                key, version = unquote_plus(stored["key"]), stored["versionId"]
                text = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read().decode()
                item = {"object": {"S": key}, "version": {"S": version}, "text": {"S": text}}
                try:
                    table.put_item(TableName="whole-path", Item=item, ConditionExpression="attribute_not_exists(version)")
                except table.exceptions.ConditionalCheckFailedException:
                    print("SEEN BEFORE")
        except Exception as error:
            print("FAILED", error)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
"""
    inputs = {"handler": "app.handler", "runtime": "python3.11", "role": arn, "timeout": 10, "memorySize": 256}
    declare("aws:lambda/function:Function", "whole-path", code=archive(tmp_path / "whole", app=code), **inputs)
    given = {"eventSourceArn": queue["arn"], "functionName": "whole-path", "functionResponseTypes": ["ReportBatchItemFailures"]}
    declare("aws:lambda/eventSourceMapping:EventSourceMapping", **given, scalingConfig={"maximumConcurrency": 2})
    target = {"queueArn": queue["arn"], "events": ["s3:ObjectCreated:*"], "filterPrefix": "in/"}
    declare("aws:s3/bucketNotification:BucketNotification", bucket=bucket.id, queues=[target])
    return queue


def rows(harness):
    pages = harness.client("dynamodb").get_paginator("scan").paginate(TableName="whole-path")
    return {(item["object"]["S"], item["version"]["S"]): item["text"]["S"] for page in pages for item in page["Items"]}


def test_every_version_becomes_one_row_though_the_emulator_is_killed_and_events_come_twice(harness, uploads):
    harness.twin.faults.set({"events": {"duplicates": 0.5, "delay_s": 0.3, "seed": 3}})
    s3, wanted = harness.client("s3"), {}
    for number in range(40):
        body = f"text {number}"
        answer = until(lambda body=body, number=number: put(s3, f"in/{number % 10}", body))
        wanted[f"in/{number % 10}", answer["VersionId"]] = body
        if number == 15:
            pid = next(process.pid for process in harness.twin.processes.running() if process.name == "ministack")
            os.kill(pid, signal.SIGKILL)
    twin = harness.twin

    def settled():
        figures = twin.sqs.store.figures(uploads["arn"])
        if figures.in_flight and not figures.visible:
            harness.wait(twin.timers.forward(twin.clock.now() + 5))
        return not (figures.visible or figures.in_flight or figures.delayed)

    until(settled, 30)
    found = rows(harness)
    assert {key: found[key] for key in wanted} == wanted
    # An upload whose answer was lost was done again: its first version is a row too.
    assert len(found) - len(wanted) <= 1


def put(s3, key, body):
    try:
        return s3.put_object(Bucket="whole-path", Key=key, Body=body.encode())
    except s3.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            raise
        return None


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "s3"])
def test_an_outage_of_a_service_delays_rows_and_loses_none(harness, uploads, service):
    s3 = harness.client("s3")
    for number in range(5):
        put(s3, f"in/before-{number}", "x")
    harness.twin.faults.set({"outages": [service]})
    if service != "s3":
        for number in range(5):
            assert put(s3, f"in/during-{number}", "x")
    harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 10))
    harness.twin.faults.clear()
    for number in range(5):
        put(s3, f"in/after-{number}", "x")
    twin = harness.twin

    def settled():
        figures = twin.sqs.store.figures(uploads["arn"])
        if figures.in_flight and not figures.visible:
            harness.wait(twin.timers.forward(twin.clock.now() + 10))
        return not (figures.visible or figures.in_flight)

    until(settled, 30)
    assert len(rows(harness)) == (10 if service == "s3" else 15)
    log = [event.message for event in twin.logs.events("/aws/lambda/whole-path")]
    assert json.dumps(log).count("Traceback") == 0

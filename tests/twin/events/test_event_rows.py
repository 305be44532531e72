"""Queues and tables as the engine declares them: made, read, changed, refused, deleted."""

import json

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.rows import Refusal
from tests.twin.compute.harness import Harness
from tests.twin.events.conftest import policy

QUEUE, TABLE = "aws:sqs/queue:Queue", "aws:dynamodb/table:Table"
KEYS = {
    "attributes": [{"name": "object", "type": "S"}, {"name": "version", "type": "S"}],
    "hashKey": "object",
    "rangeKey": "version",
    "billingMode": "PAY_PER_REQUEST",
}


def attributes(harness: Harness, queue) -> dict[str, str]:
    return harness.client("sqs").get_queue_attributes(QueueUrl=queue["url"], AttributeNames=["All"])["Attributes"]


def live(harness: Harness, resource):
    found = harness.lifecycle.read(resource.token, resource.id, resource.urn, resource.inputs)
    return found[0] if found else None


def test_a_queue_is_what_was_declared_and_keeps_the_policies_that_others_set(harness, declare):
    dead = declare(QUEUE, "rows-dead")
    queue = declare(QUEUE, "rows-work", visibilityTimeoutSeconds=60)
    redrive = json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 3})
    declare("aws:sqs/redrivePolicy:RedrivePolicy", queueUrl=queue["url"], redrivePolicy=redrive)
    allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue["arn"]}
    declare("aws:sqs/queuePolicy:QueuePolicy", queueUrl=queue["url"], policy=policy(allow))
    harness.update(queue, visibilityTimeoutSeconds=90, delaySeconds=1)
    found = attributes(harness, queue)
    assert (found["VisibilityTimeout"], found["DelaySeconds"], found["MaximumMessageSize"]) == ("90", "1", "262144")
    assert json.loads(found["RedrivePolicy"]) == json.loads(redrive)
    assert json.loads(found["Policy"])["Statement"] == [allow]
    assert harness.client("sqs").list_dead_letter_source_queues(QueueUrl=dead["url"])["queueUrls"] == [queue["url"]]


def test_what_somebody_changed_is_read(harness, declare):
    queue = declare(QUEUE, "rows-drift", visibilityTimeoutSeconds=60)
    harness.client("sqs").set_queue_attributes(QueueUrl=queue["url"], Attributes={"VisibilityTimeout": "10"})
    assert live(harness, queue)["visibilityTimeoutSeconds"] == 10
    harness.client("sqs").delete_queue(QueueUrl=queue["url"])
    assert live(harness, queue) is None


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"visibilityTimeoutSeconds": 43_201}, "visibilityTimeoutSeconds"),
        ({"delaySeconds": 901}, "delaySeconds"),
        ({"maxMessageSize": 100}, "maxMessageSize"),
        ({"fifoQueue": True}, "fifoQueue: the local twin has standard queues only"),
        ({"redrivePolicy": "{}"}, "redrivePolicy: Redrive policy does not contain mandatory attributes"),
        ({"redrivePolicy": json.dumps({"deadLetterTargetArn": "x", "maxReceiveCount": 0})}, "valid values are from 1 to 1000"),
        ({"policy": "{"}, "policy: Invalid value"),
        ({"kmsMasterKeyId": "alias/x", "sqsManagedSseEnabled": True}, "sqsManagedSseEnabled"),
    ],
)
def test_a_queue_that_sqs_would_refuse_fails_in_preview(harness, inputs, problem):
    assert any(problem in text for text in harness.problems(QUEUE, name="x", **inputs))


def test_dead_letters_must_be_there_and_let_the_queue_use_them(harness, declare):
    missing = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:nowhere", "maxReceiveCount": 3})
    with pytest.raises(Refusal, match="Dead letter target does not exist"):
        declare(QUEUE, "rows-orphan", redrivePolicy=missing)
    dead = declare(QUEUE, "rows-closed")
    declare("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", queueUrl=dead["url"], redriveAllowPolicy='{"redrivePermission": "denyAll"}')
    with pytest.raises(Refusal, match="denyAll"):
        declare(QUEUE, "rows-denied", redrivePolicy=json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 3}))


def test_a_table_takes_items_and_goes_with_them(harness, declare):
    table = declare(TABLE, "rows-results", **KEYS, ttl={"attributeName": "expires", "enabled": True}, pointInTimeRecovery={"enabled": True})
    item = {"object": {"S": "b/k"}, "version": {"S": "1"}}
    harness.client("dynamodb").put_item(TableName="rows-results", Item=item)
    found = live(harness, table)
    assert (found["ttl"], found["pointInTimeRecovery"]["enabled"]) == ({"attributeName": "expires", "enabled": True}, True)
    harness.delete(table)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        harness.client("dynamodb").get_item(TableName="rows-results", Key=item)


def test_a_protected_table_is_not_deleted_until_it_is_let_go(harness, declare):
    table = declare(TABLE, "rows-protected", **KEYS, deletionProtectionEnabled=True)
    with pytest.raises(Refusal, match="currently protected against deletion"):
        harness.delete(table)
    assert live(harness, table)["deletionProtectionEnabled"] is True
    harness.update(table, deletionProtectionEnabled=False)
    harness.delete(table)


def test_a_tables_ttl_recovery_and_indexes_can_be_changed(harness, declare):
    index = {"name": "by-version", "hashKey": "version", "projectionType": "ALL"}
    table = declare(TABLE, "rows-changed", **KEYS)
    table = harness.update(table, globalSecondaryIndexes=[index], ttl={"attributeName": "a", "enabled": True})
    (made,) = harness.client("dynamodb").describe_table(TableName="rows-changed")["Table"]["GlobalSecondaryIndexes"]
    assert made["IndexName"] == "by-version"
    assert live(harness, table)["ttl"]["enabled"] is True
    table = harness.update(table, globalSecondaryIndexes=[], ttl={"attributeName": "a", "enabled": False})
    assert "GlobalSecondaryIndexes" not in harness.client("dynamodb").describe_table(TableName="rows-changed")["Table"]
    assert live(harness, table)["ttl"]["enabled"] is False


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"hashKey": "other"}, "'other' is a key"),
        ({"rangeKey": None}, "Unused attributes: ['version']"),
        ({"billingMode": "PROVISIONED"}, "readCapacity, writeCapacity"),
        ({"billingMode": "FREE"}, "billingMode"),
        ({"readCapacity": 1}, "readCapacity: not allowed"),
        ({"ttl": {"enabled": True}}, "ttl.attributeName"),
        ({"streamEnabled": True}, "streams of tables"),
        ({"tableClass": "COLD"}, "tableClass"),
    ],
)
def test_a_table_that_dynamodb_would_refuse_fails_in_preview(harness, inputs, problem):
    given = {name: value for name, value in {**KEYS, **inputs}.items() if value is not None}
    assert any(problem in text for text in harness.problems(TABLE, name="rows-x", **given))

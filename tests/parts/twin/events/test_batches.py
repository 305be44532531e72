"""What a function's answer says of the messages of its batch, and what it gets."""

import json
from typing import Any

import pytest

from pilotlight.twin.aws.event_source_batch import event_of, failed_of
from pilotlight.twin.aws.sqs_model import Message

IDS = ["a", "b", "c"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_nothing_said_means_all_done(answer: Any) -> None:
    assert failed_of(json.dumps(answer).encode(), IDS) == set()


def test_the_named_ones_failed() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]}
    assert failed_of(json.dumps(answer).encode(), IDS) == {"b", "c"}


@pytest.mark.parametrize(
    "answer",
    [
        "text",
        {"batchItemFailures": "a"},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"id": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "stranger"}]},
        {"batchItemFailures": ["a"]},
    ],
)
def test_an_answer_that_makes_no_sense_fails_the_whole_batch(answer: Any) -> None:
    assert failed_of(json.dumps(answer).encode(), IDS) == set(IDS)


def test_an_answer_that_is_no_json_fails_the_whole_batch() -> None:
    assert failed_of(b"{", IDS) == set(IDS)
    assert failed_of(b"", IDS) == set()


def test_a_record_holds_what_lambda_hands_on() -> None:
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
    message = Message(
        number=7,
        id="m1",
        body="hello",
        attributes=attributes,
        sender="S",
        sent=1.5,
        received=2,
        first_received=3.25,
        receipt="r",
        source=None,
    )
    (record,) = json.loads(event_of([message], "arn:aws:sqs:eu-west-1:1:q"))["Records"]
    assert record["messageId"] == "m1"
    assert record["receiptHandle"] == "7.r"
    assert record["attributes"] == {
        "SenderId": "S",
        "SentTimestamp": "1500",
        "ApproximateReceiveCount": "2",
        "ApproximateFirstReceiveTimestamp": "3250",
    }
    assert record["messageAttributes"]["kind"] == {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    assert (record["md5OfBody"], record["awsRegion"]) == ("5d41402abc4b2a76b9719d911017c592", "eu-west-1")
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", "arn:aws:sqs:eu-west-1:1:q")

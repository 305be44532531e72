"""CBOR against the examples of RFC 8949, Appendix A, and against botocore's own serializer and parser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from pilotlight.twin.cbor import BadCbor, decode, encode

EXAMPLES: list[tuple[str, Any]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1b000000e8d4a51000", 1_000_000_000_000),
    ("20", -1),
    ("3863", -100),
    ("fb3ff199999999999a", 1.1),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
]


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_values_are_written_and_read_as_the_standard_says(text: str, value: Any) -> None:
    assert encode(value) == bytes.fromhex(text)
    assert decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("f93c00", 1.0),
        ("fa47c35000", 100000.0),
        ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("c11a514b67b0", 1363896240),
        ("c1fb41d452d9ec200000", 1363896240.5),
    ],
)
def test_other_forms_of_the_same_are_read(text: str, value: Any) -> None:
    assert decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize("text", ["", "18", "62c3", "83 01 02", "ff", "0000", "1c", "f8ff", "bf6161ff"])
def test_what_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises((BadCbor, ValueError)):
        decode(bytes.fromhex(text))


def test_requests_of_boto3_are_read_and_its_answers_understood() -> None:
    model = botocore.session.Session().get_service_model("cloudwatch")
    operation = model.operation_model("GetMetricStatistics")
    moment = datetime(2026, 6, 1, 8, tzinfo=UTC)
    wanted = {"Namespace": "N", "MetricName": "m", "StartTime": moment, "EndTime": moment, "Period": 60, "Statistics": ["Sum"]}
    request = create_serializer("smithy-rpc-v2-cbor").serialize_to_request(wanted, operation)
    read = decode(request["body"])
    assert {**read, "StartTime": float(read["StartTime"])} == {**wanted, "StartTime": moment.timestamp(), "EndTime": read["EndTime"]}
    answer = encode({"Label": "m", "Datapoints": [{"Timestamp": moment, "Sum": 2.0}]})
    headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
    parsed = create_parser("smithy-rpc-v2-cbor").parse({"body": answer, "headers": headers, "status_code": 200}, operation.output_shape)
    (point,) = parsed["Datapoints"]
    assert (point["Sum"], point["Timestamp"].timestamp()) == (2.0, moment.timestamp())

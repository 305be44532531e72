import json
from typing import Any

import pytest

from pilotlight.twin.emulated_actions import dynamodb_needs, is_bulk_delete, operation, s3_context, s3_needs, sqs_needs
from pilotlight.twin.rows import Refusal

B, K = "arn:aws:s3:::b", "arn:aws:s3:::b/k/x"


@pytest.mark.parametrize(
    ("method", "path", "query", "needs"),
    [
        ("GET", "/", [], [("s3:ListAllMyBuckets", "*")]),
        ("GET", "/b", [("list-type", "2")], [("s3:ListBucket", B)]),
        ("GET", "/b/", [], [("s3:ListBucket", B)]),
        ("HEAD", "/b", [], [("s3:ListBucket", B)]),
        ("PUT", "/b", [], [("s3:CreateBucket", B)]),
        ("DELETE", "/b", [], [("s3:DeleteBucket", B)]),
        ("GET", "/b", [("location", "")], [("s3:GetBucketLocation", B)]),
        ("PUT", "/b", [("versioning", "")], [("s3:PutBucketVersioning", B)]),
        ("DELETE", "/b", [("policy", "")], [("s3:DeleteBucketPolicy", B)]),
        ("DELETE", "/b", [("cors", "")], [("s3:PutBucketCORS", B)]),
        ("GET", "/b", [("versions", "")], [("s3:ListBucketVersions", B)]),
        ("GET", "/b/k/x", [], [("s3:GetObject", K)]),
        ("HEAD", "/b/k/x", [], [("s3:GetObject", K)]),
        ("PUT", "/b/k%2Fx", [], [("s3:PutObject", K)]),
        ("DELETE", "/b/k/x", [], [("s3:DeleteObject", K)]),
        ("GET", "/b/k/x", [("versionId", "1")], [("s3:GetObjectVersion", K)]),
        ("GET", "/b/k/x", [("tagging", "")], [("s3:GetObjectTagging", K)]),
        ("PUT", "/b/k/x", [("partNumber", "1"), ("uploadId", "u")], [("s3:PutObject", K)]),
        ("POST", "/b/k/x", [("uploads", "")], [("s3:PutObject", K)]),
        ("DELETE", "/b/k/x", [("uploadId", "u")], [("s3:AbortMultipartUpload", K)]),
    ],
)
def test_s3_requests_need_the_action_of_aws(method: str, path: str, query: list[tuple[str, str]], needs: Any) -> None:
    assert s3_needs(method, path, query, {}) == needs


def test_a_copy_needs_to_read_its_source_too() -> None:
    needs = s3_needs("PUT", "/b/k/x", [], {"x-amz-copy-source": "/other/a%20b?versionId=1"})
    assert needs == [("s3:PutObject", K), ("s3:GetObject", "arn:aws:s3:::other/a b")]


def test_a_bulk_delete_needs_the_right_to_each_key() -> None:
    body = b"<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>"
    assert is_bulk_delete("POST", "/b", [("delete", "")])
    assert s3_needs("POST", "/b", [("delete", "")], {}, body) == [("s3:DeleteObject", f"{B}/a&b"), ("s3:DeleteObject", f"{B}/c")]
    assert s3_needs("POST", "/b", [("delete", "")], {}, b"<x/>") == [("s3:DeleteObject", f"{B}/")]


def test_an_unknown_s3_request_is_refused() -> None:
    with pytest.raises(Refusal, match="does not know the S3 request POST"):
        s3_needs("POST", "/b", [("odd", "")], {})


def test_s3_condition_keys_come_from_query_and_headers() -> None:
    assert s3_context([("prefix", "a/"), ("x", "y")], {"x-amz-acl": "private"}) == {"s3:prefix": "a/", "s3:x-amz-acl": "private"}


@pytest.mark.parametrize(
    ("name", "parameters", "needs"),
    [
        ("SendMessageBatch", {"QueueUrl": "http://127.0.0.1:1/1/q"}, ("sqs:SendMessage", "arn:aws:sqs:us-east-1:1:q")),
        ("CreateQueue", {"QueueName": "q"}, ("sqs:CreateQueue", "arn:aws:sqs:us-east-1:1:q")),
        ("ReceiveMessage", {}, ("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:1:by-path")),
        ("ListQueues", {}, ("sqs:ListQueues", "*")),
    ],
)
def test_sqs_requests_name_their_queue(name: str, parameters: dict[str, Any], needs: tuple[str, str]) -> None:
    assert sqs_needs(name, parameters, "/1/by-path", "us-east-1", "1") == [needs]


T = "arn:aws:dynamodb:us-east-1:1:table/"


@pytest.mark.parametrize(
    ("name", "parameters", "needs"),
    [
        ("PutItem", {"TableName": "t"}, [("dynamodb:PutItem", T + "t")]),
        ("Query", {"TableName": "t", "IndexName": "i"}, [("dynamodb:Query", T + "t/index/i")]),
        (
            "BatchWriteItem",
            {"RequestItems": {"a": [], "b": []}},
            [("dynamodb:BatchWriteItem", T + "a"), ("dynamodb:BatchWriteItem", T + "b")],
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": T + "b"}}]},
            [("dynamodb:PutItem", T + "a"), ("dynamodb:ConditionCheckItem", T + "b")],
        ),
        ("ListTables", {}, [("dynamodb:ListTables", "*")]),
    ],
)
def test_dynamodb_requests_name_their_tables(name: str, parameters: dict[str, Any], needs: Any) -> None:
    assert dynamodb_needs(name, parameters, "us-east-1", "1") == needs


def test_the_operation_is_read_from_target_or_form() -> None:
    assert operation({"x-amz-target": "AmazonSQS.SendMessage"}, json.dumps({"a": 1}).encode()) == ("SendMessage", {"a": 1})
    assert operation({}, b"Action=GetCallerIdentity&Version=2011-06-15")[0] == "GetCallerIdentity"


@pytest.mark.parametrize(("headers", "body"), [({"x-amz-target": "a.b"}, b"["), ({"x-amz-target": "a.b"}, b"[]"), ({}, b"\xff"), ({}, b"")])
def test_a_request_without_an_operation_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(Refusal):
        operation(headers, body)

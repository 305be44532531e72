"""boto3's clients against the front: who they are, what they may, how refusals look to them."""

import io
import json
import os
import signal
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.iam import Credentials
from pilotlight.twin.world import Resource
from tests.twin.front.conftest import RunningFront


def refused(call: Any, code: str, status: int) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    answer: Any = raised.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return str(answer["Error"]["Message"])


def test_objects_go_through_unchanged_whatever_their_names(emulated: RunningFront) -> None:
    s3 = emulated.client("s3")
    s3.create_bucket(Bucket="names")
    for key in ("plain", "a/b c", "ü+%2F~'(x)", "q?x=1&y"):
        body = key.encode() * 1000
        s3.put_object(Bucket="names", Key=key, Body=body)
        assert s3.get_object(Bucket="names", Key=key)["Body"].read() == body
    listed = {item["Key"] for item in s3.list_objects_v2(Bucket="names")["Contents"]}
    assert "a/b c" in listed
    assert len(listed) == 4


def test_large_objects_are_streamed_in_parts(emulated: RunningFront) -> None:
    s3 = emulated.client("s3")
    s3.create_bucket(Bucket="large")
    body = bytes(range(256)) * 80_000
    s3.upload_fileobj(io.BytesIO(body), "large", "blob")
    target = io.BytesIO()
    s3.download_fileobj("large", "blob", target)
    assert target.getvalue() == body


def test_large_objects_are_read_in_ranges_and_on_conditions(emulated: RunningFront) -> None:
    s3 = emulated.client("s3")
    s3.create_bucket(Bucket="ranges")
    body = os.urandom(2 * 1024 * 1024 + 17)
    place = {"Bucket": "ranges", "Key": "blob"}
    etag = s3.put_object(**place, Body=body, Metadata={"made": "by"})["ETag"]
    for wanted, start, end in (
        ("0-0", 0, 1),
        ("262143-262144", 262143, 262145),
        ("9-", 9, len(body)),
        ("-600000", len(body) - 600000, len(body)),
    ):
        part = s3.get_object(**place, Range=f"bytes={wanted}", IfMatch=etag)
        assert part["Body"].read() == body[start:end]
        assert (part["ResponseMetadata"]["HTTPStatusCode"], part["ContentLength"], part["ETag"]) == (206, end - start, etag)
        assert part["ContentRange"] == f"bytes {start}-{end - 1}/{len(body)}"
    refused(lambda: s3.get_object(**place, Range=f"bytes={len(body)}-"), "InvalidRange", 416)
    refused(lambda: s3.get_object(**place, IfMatch='"another"', Range="bytes=0-9"), "PreconditionFailed", 412)
    refused(lambda: s3.get_object(**place, IfNoneMatch=etag), "304", 304)
    whole, head = s3.get_object(**place, ChecksumMode="ENABLED"), s3.head_object(**place, ChecksumMode="ENABLED")
    assert whole["Body"].read() == body
    fields = ("ContentLength", "ETag", "ContentType", "Metadata", "AcceptRanges", "ChecksumCRC32")
    assert [whole[field] for field in fields] == [head[field] for field in fields]


def test_an_object_that_is_replaced_or_deleted_while_it_is_read_arrives_as_it_was(emulated: RunningFront) -> None:
    s3 = emulated.client("s3")
    s3.create_bucket(Bucket="replaced")
    # More than connections hold on the way: the rest is in the emulator's file when it is replaced.
    place, body = {"Bucket": "replaced", "Key": "blob"}, os.urandom(1024 * 1024) * 32
    s3.put_object(**place, Body=body)
    first = s3.get_object(**place)["Body"]
    assert first.read(1) == body[:1]
    s3.put_object(**place, Body=body[::-1])
    second = s3.get_object(**place)["Body"]
    assert second.read(1) == body[-1:]
    s3.delete_object(**place)
    assert first.read() == body[1:]
    assert second.read() == body[-2::-1]
    refused(lambda: s3.get_object(**place), "NoSuchKey", 404)


def test_presigned_urls_work_without_credentials_until_they_are_touched(emulated: RunningFront) -> None:
    s3 = emulated.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="signed")
    s3.put_object(Bucket="signed", Key="a b", Body=b"hi")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "signed", "Key": "a b"}, ExpiresIn=60)
    assert httpx.get(url).content == b"hi"
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "signed", "Key": "new"}, ExpiresIn=60)
    assert httpx.put(put, content=b"put").status_code == 200
    assert s3.get_object(Bucket="signed", Key="new")["Body"].read() == b"put"
    touched = httpx.get(url.replace("a%20b", "new"))
    assert (touched.status_code, "SignatureDoesNotMatch" in touched.text) == (403, True)


def test_a_role_reaches_only_its_own_objects(emulated: RunningFront) -> None:
    deployer = emulated.client("s3")
    for bucket in ("mine", "theirs"):
        deployer.create_bucket(Bucket=bucket)
        deployer.put_object(Bucket=bucket, Key="models/x", Body=b"x")
    read = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::mine/models/*"}
    s3 = emulated.client("s3", emulated.account.iam.credentials(emulated.account.role("reader", policy=[read])))
    assert s3.get_object(Bucket="mine", Key="models/x")["Body"].read() == b"x"
    message = refused(lambda: s3.get_object(Bucket="theirs", Key="models/x"), "AccessDenied", 403)
    assert "s3:GetObject" in message
    refused(lambda: s3.put_object(Bucket="mine", Key="models/x", Body=b"y"), "AccessDenied", 403)
    refused(lambda: s3.list_objects_v2(Bucket="mine"), "AccessDenied", 403)
    refused(lambda: s3.delete_objects(Bucket="mine", Delete={"Objects": [{"Key": "models/x"}]}), "AccessDenied", 403)
    refused(lambda: s3.head_object(Bucket="theirs", Key="models/x"), "403", 403)
    assert deployer.get_object(Bucket="mine", Key="models/x")["Body"].read() == b"x"


def test_who_may_not_list_does_not_learn_what_is_missing(emulated: RunningFront) -> None:
    deployer = emulated.client("s3")
    deployer.create_bucket(Bucket="quiet")
    refused(lambda: deployer.get_object(Bucket="quiet", Key="none"), "NoSuchKey", 404)
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    s3 = emulated.client("s3", emulated.account.iam.credentials(emulated.account.role("quiet-reader", policy=[read])))
    refused(lambda: s3.get_object(Bucket="quiet", Key="none"), "AccessDenied", 403)


def test_a_bucket_policy_counts_on_the_wire(emulated: RunningFront) -> None:
    deployer = emulated.client("s3")
    deployer.create_bucket(Bucket="locked")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::locked/*"}
    outputs = {"bucket": "locked", "policy": json.dumps({"Version": "2012-10-17", "Statement": [deny]})}
    emulated.account.world.put(Resource(token="aws:s3/bucketPolicy:BucketPolicy", id="locked", urn="locked", outputs=outputs))
    refused(lambda: deployer.put_object(Bucket="locked", Key="x", Body=b""), "AccessDenied", 403)


def test_queues_and_tables_know_roles_and_the_fronts_address(emulated: RunningFront) -> None:
    sqs, dynamodb = emulated.client("sqs"), emulated.client("dynamodb")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    assert url.startswith(emulated.url)
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:123456789012:work"}
    put = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/results"}
    credentials = emulated.account.iam.credentials(emulated.account.role("worker", policy=[send, put]))
    emulated.client("sqs", credentials).send_message(QueueUrl=url, MessageBody="hi")
    refused(lambda: emulated.client("sqs", credentials).receive_message(QueueUrl=url), "AccessDeniedException", 400)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hi"
    dynamodb.create_table(
        TableName="results",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "1"}}
    emulated.client("dynamodb", credentials).put_item(TableName="results", Item=item)
    refused(lambda: emulated.client("dynamodb", credentials).get_item(TableName="results", Key=item), "AccessDeniedException", 400)
    assert dynamodb.get_item(TableName="results", Key=item)["Item"] == item


def test_a_killed_emulator_comes_back_with_its_objects(emulated: RunningFront) -> None:
    s3 = emulated.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="x", Body=b"still here")
    starts, pid = emulated.emulators.starts, emulated.emulators.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # A client that retries, as they all do, may meet the gap but not the end.
    retrying = emulated.client("s3", retries={"max_attempts": 10, "mode": "standard"})
    assert retrying.get_object(Bucket="kept", Key="x")["Body"].read() == b"still here"
    assert emulated.emulators.starts == starts + 1


def test_an_outage_is_seen_by_clients_of_that_service_alone(emulated: RunningFront) -> None:
    emulated.faults.set({"outages": ["s3"]})
    try:
        refused(lambda: emulated.client("s3").list_buckets(), "ServiceUnavailable", 503)
        emulated.client("sqs").list_queues()
    finally:
        emulated.faults.clear()
    emulated.client("s3").list_buckets()


@pytest.mark.parametrize(
    ("service", "operation", "unknown", "wrong"),
    [
        ("sts", "get_caller_identity", ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403)),
        ("s3", "list_buckets", ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403)),
        ("logs", "describe_log_groups", ("UnrecognizedClientException", 400), ("InvalidSignatureException", 400)),
        ("lambda", "list_functions", ("UnrecognizedClientException", 403), ("InvalidSignatureException", 403)),
    ],
)
def test_wrong_keys_are_refused_in_each_services_words(
    front: RunningFront, service: str, operation: str, unknown: tuple[str, int], wrong: tuple[str, int]
) -> None:
    stranger = Credentials(access_key_id="AKIASTRANGERSTRANGER", secret_access_key="x")
    liar = Credentials(access_key_id="AKIAPILOTLIGHTDEPLOY", secret_access_key="x")
    refused(getattr(front.client(service, stranger), operation), *unknown)
    refused(getattr(front.client(service, liar), operation), *wrong)


def test_the_caller_is_told_who_it_is(front: RunningFront) -> None:
    assert front.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/deployer"
    credentials = front.account.iam.credentials(front.account.role("api"), "session")
    identity = front.client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/api/session"


def test_a_role_is_assumed_where_it_lets_the_caller(front: RunningFront) -> None:
    sts = front.client("sts")
    account = front.account
    open_role = account.role(
        "open", trust={"AWS": "arn:aws:iam::123456789012:root"}, policy=[{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]
    )
    issued = sts.assume_role(RoleArn=open_role, RoleSessionName="me")["Credentials"]
    credentials = Credentials(
        access_key_id=issued["AccessKeyId"], secret_access_key=issued["SecretAccessKey"], session_token=issued["SessionToken"]
    )
    assert front.client("logs", credentials).describe_log_groups()["logGroups"] == []
    refused(lambda: front.client("lambda", credentials).invoke(FunctionName="api"), "AccessDeniedException", 403)
    refused(lambda: sts.assume_role(RoleArn=account.role("closed"), RoleSessionName="me"), "AccessDenied", 403)
    refused(lambda: sts.assume_role(RoleArn=open_role, RoleSessionName="me", DurationSeconds=60_000), "ValidationError", 400)


def test_logs_are_read_and_written_with_boto3(front: RunningFront) -> None:
    logs = front.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/api")
    logs.create_log_stream(logGroupName="/aws/lambda/api", logStreamName="s")
    events = [{"timestamp": 1000 + n, "message": f"m{n}"} for n in range(30)]
    logs.put_log_events(logGroupName="/aws/lambda/api", logStreamName="s", logEvents=events)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/api", PaginationConfig={"PageSize": 7})
    assert [event["message"] for page in pages for event in page["events"]] == [f"m{n}" for n in range(30)]
    refused(lambda: logs.filter_log_events(logGroupName="none"), "ResourceNotFoundException", 400)


def test_a_service_that_the_twin_does_not_have_is_named(front: RunningFront) -> None:
    message = refused(lambda: front.client("kinesis").list_streams(), "NotImplemented", 501)
    assert "does not serve 'kinesis'" in message


def test_unsigned_and_malformed_requests_are_refused_and_the_front_stays_up(front: RunningFront) -> None:
    assert httpx.get(f"{front.url}/bucket/key").status_code == 403
    header = {"authorization": "AWS4-HMAC-SHA256 nonsense", "x-amz-date": "20260101T000000Z"}
    answer = httpx.get(f"{front.url}/2015-03-31/functions", headers=header)
    assert (answer.status_code, "IncompleteSignature" in answer.text) == (403, True)
    target = httpx.post(f"{front.url}/", headers={"x-amz-target": "Logs_20140328.DescribeLogGroups"}, content=b"{}")
    assert target.json()["__type"] == "MissingAuthenticationTokenException"
    assert httpx.get(f"{front.url}/_twin/health").json()["pid"] > 0


def test_a_body_above_the_limit_is_refused_before_it_is_read(front: RunningFront) -> None:
    function = front.client("lambda")
    refused(lambda: function.invoke(FunctionName="api", Payload=b"x" * (33 * 1024 * 1024)), "RequestEntityTooLargeException", 413)
    assert function.invoke(FunctionName="api", Payload=b"{}")["Payload"].read() == b"{}"


def test_control_needs_its_token(front: RunningFront) -> None:
    assert httpx.get(f"{front.url}/_twin/processes").status_code == 403
    assert httpx.get(f"{front.url}/_twin/processes", headers={"x-twin-token": "wrong"}).status_code == 403
    unknown = httpx.get(f"{front.url}/_twin/odd", headers={"x-twin-token": "token"})
    assert (unknown.status_code, "is not known" in unknown.json()["message"]) == (404, True)

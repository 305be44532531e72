import contextlib
import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.sigv4 import AuthFailure, Signature, query_pairs, read, verify

KEYS = Credentials("AKIAEXAMPLE", "secret", None)
BODY = b'{"a": 1}'


def signed(url: str = "http://127.0.0.1:4566/a%20b?x=1&y=%2F", service: str = "lambda", body: bytes = BODY, **headers: str) -> Any:
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(KEYS, service, "us-east-1").add_auth(request)
    request.headers["Host"] = urlsplit(url).netloc
    return request


def check(request: Any, secret: str = "secret", *, body: bytes | None = BODY, now: float | None = None, **changes: Any) -> Signature:
    split = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()} | changes.pop("headers", {})
    query = query_pairs(split.query)
    signature = read(headers, query)
    assert signature is not None
    call: dict[str, Any] = {"method": request.method, "raw_path": split.path, "query": query, "headers": headers, **changes}
    verify(signature, secret, body_hash=None if body is None else hashlib.sha256(body).hexdigest(), now=now, **call)
    return signature


def test_what_botocore_signs_is_verified() -> None:
    signature = check(signed())
    assert (signature.access_key_id, signature.service, signature.region) == ("AKIAEXAMPLE", "lambda", "us-east-1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "another"}, "SignatureDoesNotMatch"),
        ({"body": b"{}"}, "SignatureDoesNotMatch"),
        ({"method": "GET"}, "SignatureDoesNotMatch"),
        ({"raw_path": "/other"}, "SignatureDoesNotMatch"),
        ({"query": [("x", "2")]}, "SignatureDoesNotMatch"),
        ({"headers": {"host": "elsewhere"}}, "SignatureDoesNotMatch"),
        ({"now": 0.0}, "RequestTimeTooSkewed"),
    ],
)
def test_any_change_after_signing_is_noticed(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(AuthFailure) as raised:
        check(signed(), **changes)
    assert raised.value.code == code


def test_s3_bodies_may_come_later_or_be_unsigned() -> None:
    later = signed("http://127.0.0.1/bucket/a%20key%2Bx", "s3")
    assert check(later, body=None).streams_body
    unsigned = signed("http://127.0.0.1/b/k", "s3", **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    check(unsigned, body=None)


def test_a_body_that_differs_from_its_signed_hash_is_noticed() -> None:
    with pytest.raises(AuthFailure, match="XAmzContentSHA256Mismatch"):
        check(signed("http://127.0.0.1/b/k", "s3"), body=b"other")


def test_an_unsigned_payload_is_for_s3_alone() -> None:
    with pytest.raises(AuthFailure, match="Only S3"):
        check(signed(**{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))


def presigned(expires: int = 60) -> Any:
    request = AWSRequest(method="GET", url="http://127.0.0.1/b/k%20y")
    S3SigV4QueryAuth(KEYS, "s3", "us-east-1", expires=expires).add_auth(request)
    request.headers["Host"] = "127.0.0.1"
    return request


def test_presigned_urls_are_verified_and_expire() -> None:
    assert check(presigned(), body=None).expires_s == 60
    with pytest.raises(AuthFailure, match="SignatureDoesNotMatch"):
        check(presigned(), "another", body=None)
    with pytest.raises(AuthFailure, match="Request has expired"):
        check(presigned(), body=None, now=4e9)
    with pytest.raises(AuthFailure, match="X-Amz-Expires"):
        check(presigned(10_000_000), body=None)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, SignedHeaders=host, Signature=xyz",
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/other, SignedHeaders=host, Signature=" + "0" * 64,
    ],
)
def test_a_malformed_header_says_what_is_missing(authorization: str) -> None:
    with pytest.raises(AuthFailure, match="IncompleteSignature"):
        read({"authorization": authorization, "x-amz-date": "20260101T000000Z"}, [])


def test_a_signature_without_the_host_or_with_another_date_does_not_count() -> None:
    request = signed()
    headers = {"x-amz-date": "yesterday"}
    with pytest.raises(AuthFailure, match="must look like"):
        check(request, headers=headers)
    text = request.headers["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    with pytest.raises(AuthFailure, match="'host' must be signed"):
        check(request, headers={"authorization": text})


def test_unsigned_requests_have_no_signature() -> None:
    assert read({}, []) is None
    assert read({"authorization": "Bearer x"}, [("X-Amz-Signature", "1")]) is None


@given(st.text(max_size=200), st.text(max_size=40))
def test_no_header_makes_the_reader_fail_otherwise(text: str, date: str) -> None:
    with contextlib.suppress(AuthFailure):
        assert read({"authorization": "AWS4-HMAC-SHA256 " + text, "x-amz-date": date}, []) is None

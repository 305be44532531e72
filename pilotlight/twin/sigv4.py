"""Reading and verifying AWS Signature Version 4, in the header and in the query.

The form is built here, not by botocore's signer: that makes a request object and a key anew each time, a third of a millisecond for
every call of every service. The tests sign with botocore.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_plus

from botocore.utils import normalize_url_path

from pilotlight.twin.rows import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
# A signed request older or newer than this is refused: AWS's documented tolerance.
SKEW_S = 15 * 60
UNSIGNED = "UNSIGNED-PAYLOAD"
# The longest life of a presigned URL: a week, by the S3 documentation.
MAX_EXPIRES_S = 7 * 24 * 3600
_HEADER = re.compile(r"Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$")
_HEX = re.compile(r"[0-9a-f]{64}")


class AuthFailure(Refusal):
    """A request whose caller could not be established. `code` is generic; the wire form turns it into the service's own."""

    def __init__(self, code: str, message: str, *, service: str | None = None) -> None:
        super().__init__(code, message, 403)
        self.service = service


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The claims of a signed request, not verified yet. `expires_s` is set on presigned URLs only."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    token: str | None
    expires_s: int | None
    declared_hash: str | None

    @property
    def streams_body(self) -> bool:
        """True where the signature does not need the whole body: its hash, or its being unsigned, is declared in a header."""
        return self.declared_hash is not None or (self.expires_s is not None and self.service == "s3")


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The decoded pairs of a raw query string, in order, empty values kept."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    # A plus sign is a blank in a query, for AWS as for browsers; signers write %20 and %2B.
    return [(unquote_plus(key), unquote_plus(value)) for key, _, value in pairs]


def read(headers: Mapping[str, str], query: list[tuple[str, str]]) -> Signature | None:
    """The signature of a request, or None where it is not signed.

    Raises AuthFailure (IncompleteSignature) where there is one that can't be read. Header names must be lower case.
    """
    authorization = headers.get("authorization", "")
    if authorization.startswith(ALGORITHM):
        return _from_header(authorization, headers)
    values = dict(query)
    if values.get("X-Amz-Algorithm") == ALGORITHM:
        return _from_query(values)
    return None


def _from_header(authorization: str, headers: Mapping[str, str]) -> Signature:
    match = _HEADER.fullmatch(authorization.removeprefix(ALGORITHM).strip())
    timestamp = headers.get("x-amz-date", "")
    if match is None or not timestamp:
        raise AuthFailure(
            "IncompleteSignature", "Authorization header requires 'Credential', 'SignedHeaders', 'Signature', and an 'X-Amz-Date' header."
        )
    key, date, region, service = _credential(match["credential"])
    return Signature(
        access_key_id=key,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(match["signed"].split(";")),
        signature=match["signature"],
        timestamp=timestamp,
        token=headers.get("x-amz-security-token"),
        expires_s=None,
        declared_hash=headers.get("x-amz-content-sha256"),
    )


def _from_query(values: Mapping[str, str]) -> Signature:
    key, date, region, service = _credential(values.get("X-Amz-Credential", ""))
    expires = values.get("X-Amz-Expires", "")
    if not expires.isdigit() or not 1 <= int(expires) <= MAX_EXPIRES_S:
        raise AuthFailure("AuthorizationQueryParametersError", f"X-Amz-Expires must be between 1 and {MAX_EXPIRES_S} seconds.")
    if not values.get("X-Amz-Signature") or not values.get("X-Amz-Date") or not values.get("X-Amz-SignedHeaders"):
        raise AuthFailure("IncompleteSignature", "A presigned URL needs X-Amz-Signature, X-Amz-Date and X-Amz-SignedHeaders.")
    return Signature(
        access_key_id=key,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(values["X-Amz-SignedHeaders"].split(";")),
        signature=values["X-Amz-Signature"],
        timestamp=values["X-Amz-Date"],
        token=values.get("X-Amz-Security-Token"),
        expires_s=int(expires),
        declared_hash=values.get("X-Amz-Content-Sha256"),
    )


def _credential(text: str) -> tuple[str, str, str, str]:
    parts = text.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise AuthFailure("IncompleteSignature", "The credential must be KEY/DATE/REGION/SERVICE/aws4_request.")
    return parts[0], parts[1], parts[2], parts[3]


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(
    signature: Signature, method: str, raw_path: str, query: list[tuple[str, str]], headers: Mapping[str, str], payload_hash: str
) -> str:
    """The request in the form that is signed, held to the headers that the client says it signed (IAM user guide, "create a signed
    request"). S3 signs the path as it is sent, the others escape it once more."""
    path = (raw_path or "/") if signature.service == "s3" else quote(normalize_url_path(raw_path), safe="/~")
    hidden = "X-Amz-Signature" if signature.expires_s is not None else None
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query if name != hidden)
    names = sorted(signature.signed_headers)
    # Runs of blanks within a value count as one.
    held = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    return "\n".join((method.upper(), path, "&".join(f"{name}={value}" for name, value in pairs), held, ";".join(names), payload_hash))


def _expected(signature: Signature, secret: str, canonical: str) -> str:
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    text = f"{ALGORITHM}\n{signature.timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(_signing_key(secret, signature.date, signature.region, signature.service), text.encode(), "sha256").hex()


def verify(
    signature: Signature,
    secret: str,
    *,
    method: str,
    raw_path: str,
    query: list[tuple[str, str]],
    headers: Mapping[str, str],
    body_hash: str | None,
    now: float | None = None,
) -> None:
    """Raise AuthFailure unless the request was signed with `secret`.

    `body_hash` is the SHA-256 of the body in hex, or None where the body is still to come (then the declared one counts,
    and whoever reads the body must compare it).
    """
    _check_time(signature, time.time() if now is None else now)
    if "host" not in signature.signed_headers:
        raise AuthFailure("SignatureDoesNotMatch", "The header 'host' must be signed.", service=signature.service)
    canonical = _canonical(signature, method, raw_path, query, headers, _payload_hash(signature, body_hash))
    expected = _expected(signature, secret, canonical)
    if not hmac.compare_digest(expected, signature.signature):
        raise AuthFailure(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
            service=signature.service,
        )


def _payload_hash(signature: Signature, body_hash: str | None) -> str:
    declared = signature.declared_hash
    if declared is None:
        return UNSIGNED if signature.expires_s is not None and signature.service == "s3" else body_hash or ""
    if body_hash is not None and _HEX.fullmatch(declared) and declared != body_hash:
        raise AuthFailure("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    if signature.service != "s3" and not _HEX.fullmatch(declared):
        raise AuthFailure("SignatureDoesNotMatch", f"Only S3 takes the payload form {declared!r}.", service=signature.service)
    return declared


@lru_cache(maxsize=256)
def _instant(timestamp: str) -> int:
    """Seconds since the epoch; ValueError for another form. Requests come many a second, and parsing one takes 0.1 ms."""
    return timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))


def _check_time(signature: Signature, now: float) -> None:
    try:
        signed_at = _instant(signature.timestamp)
    except ValueError:
        raise AuthFailure(
            "IncompleteSignature", f"X-Amz-Date {signature.timestamp[:40]!r} must look like 20260101T000000Z.", service=signature.service
        ) from None
    if not signature.timestamp.startswith(signature.date):
        raise AuthFailure("SignatureDoesNotMatch", "The credential's date differs from X-Amz-Date.", service=signature.service)
    if signature.expires_s is not None and now > signed_at + signature.expires_s:
        raise AuthFailure("RequestExpired", "Request has expired", service=signature.service)
    if signature.expires_s is None and abs(now - signed_at) > SKEW_S:
        raise AuthFailure(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", service=signature.service
        )
    if signature.expires_s is not None and signed_at - now > SKEW_S:
        raise AuthFailure("RequestTimeTooSkewed", "The presigned URL was signed in the future.", service=signature.service)

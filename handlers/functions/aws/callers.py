"""Who calls, and where: what a gateway's event tells about the other side of a request."""

from collections.abc import Mapping
from typing import Any

from handlers.functions.api import RESULTS


def owner(event: Mapping[str, Any]) -> str | None:
    """Whom an answer belongs to: the API key's id, the token's issuer and subject, or the IAM caller. None when nobody is told.

    A session of a role counts as the role: whoever may assume it fetches what an earlier session asked for.
    """
    context = event["requestContext"]
    identity, authorizer = context.get("identity") or {}, context.get("authorizer") or {}
    if identity.get("apiKeyId"):
        return f"key:{identity['apiKeyId']}"
    claims = (authorizer.get("jwt") or {}).get("claims") or {}
    # A token of a client without a person may have no subject; the authorizer has checked both (RFC 9068, section 2.2). Apart from
    # subjects, since a client may have been named like one of them (section 5).
    for kind, claim in (("token", "sub"), ("client", "client_id")):
        if claims.get(claim):
            return f"{kind}:{claims.get('iss', '')}#{claims[claim]}"
    arn = (authorizer.get("iam") or {}).get("userArn") or identity.get("userArn")
    return f"iam:{_without_session(str(arn))}" if arn else None


def result_url(event: Mapping[str, Any], headers: Mapping[str, str], answer_id: str) -> str:
    """The absolute URL of an answer, beside the path that was called (`…/predict` or `…/results/ID`)."""
    context = event["requestContext"]
    path = str(context.get("path") or (context.get("http") or {}).get("path") or event.get("rawPath") or event.get("path") or "")
    base = path.rpartition(RESULTS)[0] if path.endswith(f"{RESULTS}{answer_id}") else path.rpartition("/")[0]
    scheme = "http" if headers.get("x-forwarded-proto") == "http" else "https"
    host = headers.get("host") or context.get("domainName") or ""
    return f"{scheme}://{host}{base}{RESULTS}{answer_id}"


def _without_session(arn: str) -> str:
    """arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION up to the role; any other ARN as it is."""
    prefix, found, rest = arn.partition(":assumed-role/")
    return f"{prefix}{found}{rest.partition('/')[0]}"

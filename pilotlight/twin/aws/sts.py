"""STS: who am I, and the credentials of a role that lets me assume it."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Caller, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.iam import Iam

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
# STS API reference, AssumeRole: 15 minutes to 12 hours, one hour by default.
SHORTEST_S, LONGEST_S, DEFAULT_S = 900, 43_200, 3_600


class StsService:
    """The `sts` service: GetCallerIdentity and AssumeRole."""

    name = "sts"

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        """Nothing: GetCallerIdentity needs no right, and AssumeRole is decided by both policies together in `handle`."""
        return []

    async def handle(self, request: AwsRequest) -> AwsResponse:
        """The operation's answer in XML; Refusal for an operation that the twin does not serve."""
        name, parameters = operation(request.headers, request.body)
        if name == "GetCallerIdentity":
            return _answer(name, self._identity(request.caller))
        if name == "AssumeRole":
            return _answer(name, self._assume(request.caller, {key: str(value) for key, value in parameters.items()}))
        raise Refusal("InvalidAction", f"The twin does not serve sts:{name}; it serves GetCallerIdentity and AssumeRole.")

    def _identity(self, caller: Caller) -> str:
        session = caller.arn.rpartition("/")[2]
        user_id = f"AROA{'PILOTLIGHT' * 2}"[:21] + f":{session}" if caller.role_arn else "AIDAPILOTLIGHTDEPLOY"
        return _elements({"Arn": caller.arn, "UserId": user_id, "Account": caller.account})

    def _assume(self, caller: Caller, parameters: dict[str, str]) -> str:
        role_arn, session = parameters.get("RoleArn", ""), parameters.get("RoleSessionName", "")
        duration = parameters.get("DurationSeconds", str(DEFAULT_S))
        if not _SESSION_NAME.fullmatch(session):
            raise Refusal("ValidationError", "RoleSessionName must be 2 to 64 characters of letters, digits and +=,.@-")
        if not duration.isdigit() or not SHORTEST_S <= int(duration) <= LONGEST_S:
            raise Refusal("ValidationError", f"DurationSeconds {duration!r}: use {SHORTEST_S} to {LONGEST_S}")
        if not self._iam.assumable_by(role_arn, caller):
            message = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            raise Refusal("AccessDenied", message, 403)
        issued = self._iam.credentials(role_arn, session, int(duration))
        name = role_arn.rpartition("/")[2]
        credentials = {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "SessionToken": issued.session_token or "",
            "Expiration": issued.expires_at or "",
        }
        arn = f"arn:aws:sts::{caller.account}:assumed-role/{name}/{session}"
        user = {"AssumedRoleId": f"AROAPILOTLIGHTTWIN001:{session}", "Arn": arn}
        return f"<Credentials>{_elements(credentials)}</Credentials><AssumedRoleUser>{_elements(user)}</AssumedRoleUser>"


def _elements(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _answer(name: str, result: str) -> AwsResponse:
    meta = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    body = f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{result}</{name}Result>{meta}</{name}Response>'
    return AwsResponse(headers={"content-type": "text/xml"}, body=body.encode())

"""Callers of AWS_IAM methods and routes: the signature for `execute-api`, then the right to invoke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Request, sha256
from pilotlight.twin.rows import Caller
from pilotlight.twin.sigv4 import AuthFailure, read, verify

if TYPE_CHECKING:
    from pilotlight.twin.iam import Decision, Iam


class SignedCallers:
    """Verifies signed gateway requests with the twin's IAM."""

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def identify(self, request: Request, body: bytes) -> tuple[Caller, str]:
        """(who signed, access key id). AuthFailure where it is unsigned, wrong, expired, or signed for another service."""
        signature = read(request.headers, request.query)
        if signature is None:
            raise AuthFailure("MissingAuthenticationToken", "Missing Authentication Token")
        if signature.service != "execute-api":
            raise AuthFailure("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'execute-api'.")
        caller, credentials = self._iam.identify(signature.access_key_id, signature.token)
        verify(
            signature,
            credentials.secret_access_key,
            method=request.method,
            raw_path=request.raw_path,
            query=request.query,
            headers=request.headers,
            body_hash=sha256(body),
        )
        return caller, signature.access_key_id

    def decide(self, caller: Caller, source_arn: str, policy: str, context: dict[str, str]) -> Decision:
        """Whether a caller may invoke, by its own policies and the API's resource policy."""
        return self._iam.decide(caller, "execute-api:Invoke", source_arn, context, [policy] if policy else [])

"""Google's HTTP APIs at the twin's front: who asks, whether they may, and refusals in Google's form.

An API of the name N answers below `/_gcp/N/`. Programs send the access token of their account; clients that are led to an emulator send
no identity at all, so that the addresses in variables hold a word that only those know who are given it: `/_gcp/N/~WORD/…`, one for the
developer and one for each account.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.gcp.cloud import PREFIX
from pilotlight.twin.gcp.developer import named
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.rows import AwsResponse, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_LOG = logging.getLogger(__name__)
# google.rpc.Code as HTTP (googleapis, google/rpc/code.proto).
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
# Told beside a status, not in its place (googleapis, google/rpc/error_details.proto and google/api/error_reason.proto).
_REASONS = frozenset({"SERVICE_DISABLED"})
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to an API. `path` is what follows the API's address, as it was sent, without the query, with its leading slash.

    `caller` is a service account's address, None for the developer, ANONYMOUS for who proved nothing.
    """

    request: Request
    caller: str | None
    path: str


class HttpApi:
    """An API's handler at the front: `answer` is all that a service adds. To be used in the twin's loop."""

    # The API's name below `/_gcp/`, which is also what an outage is asked for by; and Google's own host, which jobs and clients name.
    name: str
    host: str | None = None

    def __init__(self, twin: Twin) -> None:
        self.twin = twin

    async def answer(self, asked: Asked, send: Send) -> None:
        """Answer one request. Refusals become Google's errors, whatever else is raised the twin's 500."""
        raise NotImplementedError

    async def handle(self, request: Request, send: Send) -> None:
        try:
            if self.twin.faults.is_out(self.name):
                raise Refusal("UNAVAILABLE", f"{self.name} is out: a test asked for it.", 503)
            await self.answer(self._asked(request), send)
        except Refusal as refusal:
            await respond(send, refused(refusal))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 (whatever goes wrong here must not look like an answer of Google's, and must be logged)
            _LOG.exception("%s %s", request.method, request.raw_path)
            await respond(send, refused(Refusal("INTERNAL", "The twin failed at this request: see the log in its home.", 500)))

    def reason(self, asked: Asked, permission: str, resource: str) -> str | None:
        """Why the caller may not do it, None where it may; the developer is the one of whom a test can take a right."""
        if asked.caller is None and self.twin.faults.denies(permission):
            return f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
        return self.twin.gcp.iam.allowed(asked.caller, permission, resource)

    def permit(self, asked: Asked, permission: str, resource: str) -> None:
        """Refusal (401 for nobody, else 403) where the caller may not do it on the resource of that full name."""
        reason = self.reason(asked, permission, resource)
        if reason is None:
            return
        if asked.caller == ANONYMOUS:
            raise Refusal(
                "UNAUTHENTICATED", f"Anonymous caller does not have {permission} access to {resource}: send an access token.", 401
            )
        raise Refusal("PERMISSION_DENIED", reason, 403)

    def _asked(self, request: Request) -> Asked:
        """Refusal (401) for an address or a token that was made up. An account's token counts more than the address it is sent to."""
        path, caller = request.raw_path.removeprefix(f"{PREFIX}{self.name}"), ANONYMOUS
        if path.startswith("/~"):
            given, slash, rest = path[2:].partition("/")
            known, path = named(self.twin, given), slash + rest
            if known is None:
                return Asked(request=request, caller=None, path=path or "/")
            caller = known
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if token:
            email = self.twin.gcp.tokens(self.twin).account_of(token.strip()) if kind.lower() == "bearer" else None
            if email is None:
                text = "Request had invalid authentication credentials: expected an OAuth 2 access token."
                raise Refusal("UNAUTHENTICATED", text, 401)
            caller = email
        return Asked(request=request, caller=caller, path=path or "/")


def address_of(twin: Twin, host: str) -> str | None:
    """Where the twin answers what is sent to a host of Google's, without a trailing slash; None for one that it does not serve."""
    found = (name for name, handler in twin.gcp.handlers.items() if getattr(handler, "host", None) == host)
    name = next(found, None)
    return None if name is None else twin.gcp.url(twin, name)


def json_of(body: bytes) -> dict[str, Any]:
    """A request's JSON object; Refusal for what is none."""
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refusal("INVALID_ARGUMENT", "Invalid JSON payload received: the body must be a JSON object.")
    return content


def answered(content: Any, status: int = 200) -> AwsResponse:
    return AwsResponse(status=status, headers={"content-type": "application/json; charset=UTF-8"}, body=json.dumps(content).encode())


def refused(refusal: Refusal) -> AwsResponse:
    """An error as Google's APIs tell it."""
    reasons = [{"@type": _ERROR_INFO, "reason": refusal.code, "domain": "googleapis.com"}] if refusal.code in _REASONS else []
    error = {
        "code": refusal.status,
        "message": refusal.message,
        "status": refusal.code if refusal.code.isupper() and not reasons else STATUSES.get(refusal.status, "UNKNOWN"),
        "errors": [{"message": refusal.message, "domain": "global", "reason": refusal.code}],
        **({"details": reasons} if reasons else {}),
    }
    return answered({"error": error}, refusal.status)

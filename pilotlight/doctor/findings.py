"""What a check says."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pilotlight.cli.api_errors import ApiError

Status = Literal["ok", "warn", "fail"]
# What services call a caller's missing right.
DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "NotAuthorizedException",
    "UnauthorizedOperation",
    "403",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One answer. `fail`: `up` would fail; `warn`: it may, or something else is not as it should be, or can't be seen.

    `found` is what came, `allowed` what would be right, `mend` the command (or the setting) that makes it so.
    """

    id: str
    status: Status
    found: str
    allowed: str = ""
    mend: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def ok(id: str, found: str) -> Finding:
    return Finding(id=id, status="ok", found=found)


def warn(id: str, found: str, *, allowed: str = "", mend: str = "") -> Finding:
    return Finding(id=id, status="warn", found=found, allowed=allowed, mend=mend)


def fail(id: str, found: str, *, allowed: str = "", mend: str = "") -> Finding:
    return Finding(id=id, status="fail", found=found, allowed=allowed, mend=mend)


def unseen(id: str, error: Exception, to_look: str = "") -> Finding:
    """Why a check could not look. Never a failure: `up` may well go through. `to_look` is the command that lets it."""
    from botocore.exceptions import BotoCoreError, ClientError

    from pilotlight.cli.api_errors import ApiError
    from pilotlight.cli.exits import CommandError

    if isinstance(error, ApiError):
        return _unseen_at_an_api(id, error, to_look)
    if isinstance(error, CommandError):
        return warn(id, f"can't be seen: {error}")
    if isinstance(error, ClientError):
        code, message = (str(error.response.get("Error", {}).get(key)) for key in ("Code", "Message"))
        if code in DENIED:
            mend = to_look or "ask who manages the account"
            return warn(id, f"can't be seen: {message}", allowed=f"the right to call {error.operation_name}", mend=mend)
        return warn(id, f"can't be seen: {error.operation_name} answered {code}: {message}", mend="try again")
    if isinstance(error, BotoCoreError):
        return warn(id, f"can't be seen: {error}", mend="look at your connection, then try again")
    return warn(id, f"this check is broken: {type(error).__name__}: {error}", mend="report it")


def _unseen_at_an_api(id: str, error: "ApiError", to_look: str) -> Finding:
    """Google's and Azure's APIs, which have errors of one kind."""
    from pilotlight.cli.api_errors import NotServed

    if isinstance(error, NotServed):
        return warn(id, f"can't be seen: {error}", mend="pilotlight down, and try again: a running twin keeps its code")
    if error.reason == "SERVICE_DISABLED":
        return warn(id, f"can't be seen: {error}", allowed="the API that tells it, switched on", mend="follow the link, or go on with `up`")
    if error.status == 403:
        return warn(id, f"can't be seen: {error}", allowed="the right to look", mend=to_look or "ask who manages it")
    return warn(id, f"can't be seen: {error}", mend="look at your connection, then try again" if error.status is None else "try again")


def closest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like it, for a command with a value that is allowed."""
    return next(iter(difflib.get_close_matches(name, known, 1, 0)), known[0])


def code_of(error: Exception) -> str:
    """The error code of an SDK's ClientError."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))

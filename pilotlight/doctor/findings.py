"""What a check says."""

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


def unseen(id: str, error: Exception) -> Finding:
    """Why a check could not look. Never a failure: `up` may well go through."""
    from botocore.exceptions import BotoCoreError, ClientError

    from pilotlight.cli.api_errors import ApiError
    from pilotlight.cli.exits import CommandError

    if isinstance(error, ApiError):
        return _unseen_at_an_api(id, error)
    if isinstance(error, CommandError):
        return warn(id, f"can't be seen: {error}")
    if isinstance(error, ClientError):
        code, message = (str(error.response.get("Error", {}).get(key)) for key in ("Code", "Message"))
        if code in DENIED:
            return warn(
                id, f"can't be seen: {message}", allowed=f"the right to call {error.operation_name}", mend="ask who manages the account"
            )
        return warn(id, f"can't be seen: {error.operation_name} answered {code}: {message}", mend="try again")
    if isinstance(error, BotoCoreError):
        return warn(id, f"can't be seen: {error}", mend="look at your connection, then try again")
    return warn(id, f"this check is broken: {type(error).__name__}: {error}", mend="report it")


def _unseen_at_an_api(id: str, error: "ApiError") -> Finding:
    """Google's and Azure's APIs, which have errors of one kind."""
    from pilotlight.cli.api_errors import NotServed

    if isinstance(error, NotServed):
        return warn(id, f"can't be seen: {error}", mend="pilotlight down, and try again: a running twin keeps its code")
    if error.reason == "SERVICE_DISABLED":
        return warn(id, f"can't be seen: {error}", allowed="the API that tells it, switched on", mend="follow the link, or go on with `up`")
    if error.status == 403:
        place = "subscription" if error.reason == "AuthorizationFailed" else "project"
        return warn(id, f"can't be seen: {error}", allowed="the right to look", mend=f"ask who manages the {place}")
    return warn(id, f"can't be seen: {error}", mend="look at your connection, then try again" if error.status is None else "try again")


def code_of(error: Exception) -> str:
    """The error code of an SDK's ClientError."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))

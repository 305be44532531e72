"""Errors of Azure Storage as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from handlers.functions.outcomes import NotAllowed, Unavailable
from handlers.functions.rest import ApiError

# Whose token is not known, and who lacks a role: a new identity, and a new assignment of a role, take minutes to be known everywhere
# ("Troubleshoot Azure RBAC").
_RIGHTS = (401, 403)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turns an ApiError into Unavailable, or into NotAllowed; `what` is what was asked of whom."""
    try:
        yield
    except ApiError as error:
        raise (NotAllowed if error.status in _RIGHTS else Unavailable)(f"{what}: {error}") from error

"""Firestore's client, impatient enough for a call that somebody waits for, and its errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore import Client

from handlers.functions.outcomes import Unavailable

# One attempt of a call, and all of them: what takes longer is tried again by whoever sent the event.
TIMEOUT_S = 4.0
PATIENCE_S = 10.0
_PASSING = (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.InternalServerError, exceptions.TooManyRequests)
# How every call is made.
PATIENTLY: dict[str, Any] = {
    "timeout": TIMEOUT_S,
    "retry": Retry(predicate=if_exception_type(*_PASSING), initial=0.1, maximum=1.0, multiplier=2.0, timeout=PATIENCE_S),
}
# Somebody else wrote the same documents meanwhile: AlreadyExists and Aborted are Conflicts, a stale update time is the other one.
LOST = (exceptions.Conflict, exceptions.FailedPrecondition)


def make_client(project: str, database: str) -> Client:
    """The one client of a database in this process; FIRESTORE_EMULATOR_HOST moves the service."""
    return Client(project=project, database=database)


@contextmanager
def guarded() -> Iterator[None]:
    """Turns an error into Unavailable; LOST and NotFound stay, since they are answers."""
    try:
        yield
    except (*LOST, exceptions.NotFound):
        raise
    except (exceptions.GoogleAPIError, GoogleAuthError) as error:
        raise Unavailable(f"Firestore: {type(error).__name__}: {error}") from error

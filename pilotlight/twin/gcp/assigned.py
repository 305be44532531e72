"""What Google assigns and nobody chooses: project numbers, ids, times."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import UTC, datetime

from pilotlight.twin.twin import Twin

# Where numbers of projects begin: they have twelve digits.
_LEAST_NUMBER = 100_000_000_000


def project_number(project: str) -> str:
    """The number of a project; another one for every id, and the same at every start of the twin."""
    return str(_LEAST_NUMBER + int.from_bytes(hashlib.sha256(project.encode()).digest()[:8]) % (9 * _LEAST_NUMBER))


def short_hash(*parts: str, digits: int = 10) -> str:
    """What Google puts into names that it makes: the same for the same parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]


def digits(count: int) -> str:
    """A number that stands for nothing, as ids of alert policies and accounts are; it does not begin with 0."""
    return str(secrets.randbelow(9 * 10 ** (count - 1)) + 10 ** (count - 1))


def new_uuid() -> str:
    return str(uuid.uuid4())


def etag() -> str:
    return secrets.token_urlsafe(12)


def now(twin: Twin) -> str:
    """The twin's time as Google writes it: RFC 3339 in UTC, microseconds."""
    return datetime.fromtimestamp(twin.clock.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

"""Who calls one of the twin's gRPC ports: clients of emulators send no identity, so that each port belongs to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# `Iam.allowed`: why a caller may not do something on a resource of that full name, None where it may.
Allowed = Callable[[str | None, str, str], str | None]


@dataclass(frozen=True)
class Caller:
    """`email` is a service account's address; None is the developer, the empty text a caller without identity (`iam.ANONYMOUS`)."""

    email: str | None = None

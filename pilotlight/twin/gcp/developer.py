"""The words by which addresses of the twin tell one caller's clients from another's."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin


def word(twin: Twin, email: str | None = None) -> str:
    """What stands for an account in an address, for the developer where None; as secret as the deployer's key, of which it is made."""
    secret = twin.iam.deployer.secret_access_key
    if email is None:
        return hashlib.sha256(f"google developer {secret}".encode()).hexdigest()[:32]
    return f"{email}:{hashlib.sha256(f'google account {email} {secret}'.encode()).hexdigest()[:32]}"


def named(twin: Twin, given: str) -> str | None:
    """The account that a word of an address stands for, None for the developer. Refusal (401) for one that was made up."""
    given = unquote(given)
    name, colon, _ = given.rpartition(":")
    email = name if colon else None
    if not hmac.compare_digest(given.encode("utf-8", "replace"), word(twin, email).encode()):
        raise Refusal("UNAUTHENTICATED", "The address is of another twin, or was made up: take that of `pilotlight env`.", 401)
    return email

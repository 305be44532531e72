"""Passwords for the twin's image registries that only this twin can make, and that need no record: the expiry and its seal."""

from __future__ import annotations

import hashlib
import hmac
import os

from pilotlight.twin.twin import Twin


def password(twin: Twin, expiry: int) -> str:
    """A password that is good until `expiry`, in seconds since the epoch on the twin's clock."""
    return f"{expiry}.{hmac.new(_key(twin), str(expiry).encode(), hashlib.sha256).hexdigest()}"


def expiry_of(twin: Twin, given: str) -> int | None:
    """When a password ends, or None for one that this twin did not make."""
    expiry, _, _ = given.partition(".")
    if not expiry.isdigit() or not hmac.compare_digest(given.encode(), password(twin, int(expiry)).encode()):
        return None
    return int(expiry)


def _key(twin: Twin) -> bytes:
    path = twin.home / "registry.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    draft.touch(mode=0o600)
    draft.write_bytes(os.urandom(32))
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        draft.unlink()
    return path.read_bytes()

"""The two keys of a storage account, made from a secret of the twin's home."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

NAMES = ("key1", "key2")
_FILE = "azure-storage.secret"


def keys(twin: Twin, account: Resource) -> list[bytes]:
    """Both keys, 64 bytes each: the same over a restart, others for an account that is made again."""
    secret, made = _secret(twin.home), f"{account.id}\0{account['creationTime']}"
    return [hmac.new(secret, f"{made}\0{name}".encode(), hashlib.sha512).digest() for name in NAMES]


def _secret(home: Path) -> bytes:
    path = home / _FILE
    with FileLock(home / f"{_FILE}.lock"):
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
    return path.read_bytes()

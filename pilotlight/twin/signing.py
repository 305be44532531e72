"""A key of the twin's own that signs tokens of a cloud's identities, and what is remembered of tokens so that few are signed twice."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from filelock import FileLock

ALGORITHM = "RS256"
_KEY_BITS = 2048
# Of each kind that is remembered; more are signed or verified anew.
REMEMBERED = 1024
T = TypeVar("T")


class SigningKey:
    """The key in a file, made where there is none. Any number of them on one file are the same key; `key_id` is what tokens name it by."""

    def __init__(self, path: Path) -> None:
        self._private = _key(path)
        self.public = self._private.public_key()
        self.key_id = hashlib.sha256(str(self.public.public_numbers().n).encode()).hexdigest()[:40]

    def sign(self, claims: Mapping[str, Any], lifetime_s: int) -> str:
        """A token of these claims that is issued now and ends after `lifetime_s`, by the machine's clock and not the twin's: the
        processes that hold tokens live by that, and ask for a new one in time."""
        now = int(time.time())
        whole = {**claims, "iat": now, "exp": now + lifetime_s}
        return jwt.encode(whole, self._private, algorithm=ALGORITHM, headers={"kid": self.key_id})

    def jwk(self) -> dict[str, Any]:
        """The public key as a key set lists it."""
        made = jwt.algorithms.RSAAlgorithm.to_jwk(self.public, as_dict=True)
        return {**made, "kid": self.key_id, "use": "sig", "alg": ALGORITHM}


class Remembered(Generic[T]):
    """Values that hold until a second of the machine's clock; what was remembered first goes where there is no room."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], tuple[T, float]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: tuple[str, ...]) -> T | None:
        """None where there is none, and where it holds no more."""
        held = self._held.get(key)
        return held[0] if held is not None and time.time() < held[1] else None

    def put(self, key: tuple[str, ...], value: T, until: float) -> None:
        self._held.pop(key, None)
        if len(self._held) >= REMEMBERED:
            del self._held[next(iter(self._held))]
        self._held[key] = (value, until)


def _key(path: Path) -> rsa.RSAPrivateKey:
    """The key in that file: readable for the twin's user alone, and whole or not there."""
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
            draft = path.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            draft.rename(path)
        # It is the file that this function wrote: to find its primes prime again takes longer than all else that is read at a start.
        key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key

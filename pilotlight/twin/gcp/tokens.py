"""ID tokens and access tokens of service accounts, signed with a key of the twin's own."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from filelock import FileLock

# Google's documentation on both kinds of token: one hour.
LIFETIME_S = 3600
ISSUER = "https://accounts.google.com"
_ALGORITHM = "RS256"
# A claim that is the twin's own.
_SUBNETWORK = "twin_subnetwork"
# How Google's access tokens begin, and whom they are for here.
_ACCESS_KIND = "ya29."
_ACCESS_AUDIENCE = "https://www.googleapis.com/"
_KEY_BITS = 2048
# Signing takes 0.3 ms of processor time, which every push would take, so that an ID token is given out for some minutes.
REUSED_S = 300
# Of each kind that is remembered; more are signed or verified anew.
_REMEMBERED = 1024


class Tokens:
    """What this twin signs and accepts. Any number of them in one home share its key.

    They end by the machine's clock, not the twin's: the processes that hold them live by that, and ask for a new one in time.
    """

    def __init__(self, home: Path) -> None:
        self._key = _key(home / "google-tokens.pem")
        self._public = self._key.public_key()
        numbers = self._public.public_numbers()
        self._key_id = hashlib.sha256(str(numbers.n).encode()).hexdigest()[:40]
        # (address, audience, subnetwork) -> token, until when it is given out.
        self._given: dict[tuple[str, ...], tuple[str, float]] = {}
        # (token, audience) -> address, when it ends.
        self._accepted: dict[tuple[str, ...], tuple[str, float]] = {}

    def identity(self, email: str, audience: str, subnetwork: str = "") -> str:
        """An ID token that tells `audience` who calls; and the twin's Cloud Run through which subnetwork, since here all requests come
        from one machine."""
        asked = (email, audience, subnetwork)
        held = self._given.get(asked)
        if held is not None and time.time() < held[1]:
            return held[0]
        claims = {"iss": ISSUER, "aud": audience, "azp": subject(email), "email": email, "email_verified": True}
        token = self._signed({**claims, _SUBNETWORK: subnetwork} if subnetwork else claims)
        _remember(self._given, asked, (token, time.time() + REUSED_S))
        return token

    def subnetwork(self, token: str, audience: str) -> str:
        """The id of the subnetwork that an ID token for that audience was asked for in; empty for any other one."""
        if self.verify(token, audience) is None:
            return ""
        return str(jwt.decode(token, options={"verify_signature": False}).get(_SUBNETWORK, ""))

    def access(self, email: str) -> str:
        """An access token for Google's APIs; it lasts `LIFETIME_S` seconds."""
        return _ACCESS_KIND + self._signed({"iss": ISSUER, "aud": _ACCESS_AUDIENCE, "email": email})

    def verify(self, token: str, audience: str) -> str | None:
        """The e-mail address of an ID token for that audience; None for one of another key or audience, or that has ended."""
        held = self._accepted.get((token, audience))
        if held is not None and time.time() < held[1]:
            return held[0]
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "aud", "email"]},
            )
        except jwt.InvalidTokenError:
            return None
        email = str(claims["email"])
        _remember(self._accepted, (token, audience), (email, float(claims["exp"])))
        return email

    def account_of(self, access_token: str) -> str | None:
        """The e-mail address of an access token; None for one that this twin did not sign, or that has ended."""
        if not access_token.startswith(_ACCESS_KIND):
            return None
        return self.verify(access_token.removeprefix(_ACCESS_KIND), _ACCESS_AUDIENCE)

    def _signed(self, claims: dict[str, Any]) -> str:
        now = int(time.time())
        whole = {**claims, "sub": subject(str(claims["email"])), "iat": now, "exp": now + LIFETIME_S}
        return jwt.encode(whole, self._key, algorithm=_ALGORITHM, headers={"kid": self._key_id})


def _remember(held: dict[tuple[str, ...], tuple[str, float]], key: tuple[str, ...], value: tuple[str, float]) -> None:
    """What was remembered first goes where there is no room."""
    held.pop(key, None)
    if len(held) >= _REMEMBERED:
        del held[next(iter(held))]
    held[key] = value


def subject(email: str) -> str:
    """The number that stands for an account: the same for the same address."""
    return str(10**20 + int.from_bytes(hashlib.sha256(email.encode()).digest()[:8]))


def _key(path: Path) -> rsa.RSAPrivateKey:
    """The key in that file, made where there is none: readable for the twin's user alone, and whole or not there."""
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
            draft = path.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            draft.rename(path)
        key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key

"""ID tokens and access tokens of service accounts, signed with a key of the twin's own."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import jwt

from pilotlight.twin.signing import ALGORITHM, Remembered, SigningKey

# Google's documentation on both kinds of token: one hour.
LIFETIME_S = 3600
ISSUER = "https://accounts.google.com"
# A claim that is the twin's own.
_SUBNETWORK = "twin_subnetwork"
# How Google's access tokens begin, and whom they are for here.
_ACCESS_KIND = "ya29."
_ACCESS_AUDIENCE = "https://www.googleapis.com/"
# Signing takes 0.3 ms of processor time, which every push would take, so that an ID token is given out for some minutes.
REUSED_S = 300


class Tokens:
    """What this twin signs and accepts. Any number of them in one home share its key."""

    def __init__(self, home: Path) -> None:
        self._key = SigningKey(home / "google-tokens.pem")
        # (address, audience, subnetwork) -> token.
        self._given: Remembered[str] = Remembered()
        # (token, audience) -> address.
        self._accepted: Remembered[str] = Remembered()

    def identity(self, email: str, audience: str, subnetwork: str = "") -> str:
        """An ID token that tells `audience` who calls; and the twin's Cloud Run through which subnetwork, since here all requests come
        from one machine."""
        asked = (email, audience, subnetwork)
        held = self._given.get(asked)
        if held is not None:
            return held
        claims = {"iss": ISSUER, "aud": audience, "azp": subject(email), "email": email, "email_verified": True}
        token = self._signed({**claims, _SUBNETWORK: subnetwork} if subnetwork else claims)
        self._given.put(asked, token, time.time() + REUSED_S)
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
        if held is not None:
            return held
        try:
            claims = jwt.decode(
                token,
                self._key.public,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "aud", "email"]},
            )
        except jwt.InvalidTokenError:
            return None
        email = str(claims["email"])
        self._accepted.put((token, audience), email, float(claims["exp"]))
        return email

    def account_of(self, access_token: str) -> str | None:
        """The e-mail address of an access token; None for one that this twin did not sign, or that has ended."""
        if not access_token.startswith(_ACCESS_KIND):
            return None
        return self.verify(access_token.removeprefix(_ACCESS_KIND), _ACCESS_AUDIENCE)

    def _signed(self, claims: dict[str, Any]) -> str:
        return self._key.sign({**claims, "sub": subject(str(claims["email"]))}, LIFETIME_S)


def subject(email: str) -> str:
    """The number that stands for an account: the same for the same address."""
    return str(10**20 + int.from_bytes(hashlib.sha256(email.encode()).digest()[:8]))

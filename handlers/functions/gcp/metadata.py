"""Tokens of the account that this process runs as, from the metadata server.

Source of the routes: Compute Engine, "View and query VM metadata" and "Verify the identity of instances"; Cloud Run has the same.
GCE_METADATA_HOST moves the server, as it does for Google's own clients.
"""

import base64
import json
import os
import time
from urllib.parse import quote

from handlers.functions import tokens
from handlers.functions.outcomes import Unavailable
from handlers.functions.tokens import Token, Tokens

HOST = "GCE_METADATA_HOST"
_DEFAULT_HOST = "metadata.google.internal"
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
# The server gives the same token until four minutes before its end, so asking earlier brings nothing new (google-auth's own margin).
MARGIN_S = 225.0


def access_tokens() -> Tokens:
    """Tokens for Google's APIs, as far as the account's roles go."""
    return Tokens(_access_token, margin_s=MARGIN_S)


def id_tokens(audience: str) -> Tokens:
    """Tokens that tell `audience`, the URL of a service, who calls it."""
    return Tokens(lambda: _id_token(audience), margin_s=MARGIN_S)


def _access_token() -> Token:
    text = _ask(f"{_ACCOUNT}/token")
    try:
        answer = json.loads(text)
        return Token(str(answer["access_token"]), time.time() + float(answer["expires_in"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("The metadata server's answer is no access token.") from error


def _id_token(audience: str) -> Token:
    text = _ask(f"{_ACCOUNT}/identity?audience={quote(audience, safe='')}&format=full").strip()
    try:
        payload = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return Token(text, float(claims["exp"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unavailable("The metadata server's answer is no ID token.") from error


def _ask(path: str) -> str:
    host = os.environ.get(HOST) or _DEFAULT_HOST
    return tokens.ask(f"The metadata server {host}", f"http://{host}", path, {"Metadata-Flavor": "Google"})

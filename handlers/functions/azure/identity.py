"""Tokens of the managed identity that this process runs as, from the identity endpoint beside it.

Source of the request: Container Apps, "Managed identities": REST endpoint reference. IDENTITY_ENDPOINT and IDENTITY_HEADER are the
platform's, AZURE_CLIENT_ID names the one of an app's identities that is meant, as it does for Azure's own clients.
"""

import json
import os
from urllib.parse import urlencode, urlsplit

from handlers.functions import tokens
from handlers.functions.outcomes import Unavailable
from handlers.functions.tokens import Token, Tokens

ENDPOINT, HEADER, CLIENT_ID = "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID"
STORAGE = "https://storage.azure.com/"
# The whole service, as Azure's own client asks for it (azure-data-tables, COSMOS_OAUTH_SCOPE).
COSMOS = "https://cosmos.azure.com"
_VERSION = "2019-08-01"
MARGIN_S = 300.0


def access_tokens(resource: str) -> Tokens:
    """Tokens for what `resource` names, as far as the identity's roles go."""
    return Tokens(lambda: _access_token(resource), margin_s=MARGIN_S)


def _access_token(resource: str) -> Token:
    address, secret = os.environ.get(ENDPOINT), os.environ.get(HEADER)
    if not address or not secret:
        raise Unavailable(f"There is no managed identity: the platform sets {ENDPOINT} and {HEADER} for an app that has one.")
    query = {"api-version": _VERSION, "resource": resource}
    if client_id := os.environ.get(CLIENT_ID):
        query["client_id"] = client_id
    parts = urlsplit(address)
    path = f"{parts.path or '/'}?{urlencode(query)}"
    text = tokens.ask("The identity endpoint", f"{parts.scheme}://{parts.netloc}", path, {"X-IDENTITY-HEADER": secret})
    try:
        answer = json.loads(text)
        # Seconds since 1970, as a text.
        return Token(str(answer["access_token"]), float(answer["expires_on"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("The identity endpoint's answer is no access token.") from error

"""How the program logs in to the stack's registry: with the deployer's own token, exchanged for one of the registry's.

A registry takes no token of Resource Manager as a password, and its admin user is off.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from pulumi import RunError

# The name beside a token of the registry's (Container Registry documentation, authenticate with a token of Entra's).
USER = "00000000-0000-0000-0000-000000000000"
WAIT_S = 30
# For so long a registry that was made a moment ago may not have its name, or not know its roles yet.
NEW_S, PAUSE_S = 60, 3
NOT_YET = (401, 403, 404, 429, 500, 502, 503, 504)


def refresh_token(server: str, tenant: str, access_token: str) -> str:
    """The registry's refresh token, which is the password, asked for again for a minute. Raises RunError where the registry goes on
    refusing, or can't be reached."""
    until = time.monotonic() + NEW_S
    while True:
        try:
            return _asked(server, tenant, access_token)
        except _NotYet as error:
            if time.monotonic() + PAUSE_S > until:
                raise RunError(str(error)) from error
        time.sleep(PAUSE_S)


class _NotYet(Exception):
    """A refusal that a registry may take back; the text says what it was."""


def _asked(server: str, tenant: str, access_token: str) -> str:
    form = {"grant_type": "access_token", "service": server, "tenant": tenant, "access_token": access_token}
    request = urllib.request.Request(f"https://{server}/oauth2/exchange", data=urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310 (https, to the registry that the program made)
            return str(json.loads(answer.read())["refresh_token"])
    except urllib.error.HTTPError as error:
        told = _text(error)
        text = (
            f"The registry {server} refuses the login with {error.code}: {told}. Whoever deploys needs the role AcrPush, Contributor or "
            "Owner there."
        )
        raise (_NotYet(text) if error.code in NOT_YET else RunError(text)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _NotYet(_unusable(server, error)) from error
    except (ValueError, KeyError) as error:
        raise RunError(_unusable(server, error)) from error


def _text(refusal: urllib.error.HTTPError) -> str:
    try:
        return refusal.read().decode(errors="replace")[:500]
    except (OSError, http.client.HTTPException) as error:
        return f"its text broke off ({error!r})"


def _unusable(server: str, error: Exception) -> str:
    return f"The registry {server} can't be logged in to: {error!r}. Run `pulumi up` again."

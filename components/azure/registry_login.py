"""How the program logs in to the stack's registry: with the deployer's own token, exchanged for one of the registry's.

A registry takes no token of Resource Manager as a password, and its admin user is off.
"""

import json
import urllib.error
import urllib.parse
import urllib.request

from pulumi import RunError

# The name beside a token of the registry's (Container Registry documentation, authenticate with a token of Entra's).
USER = "00000000-0000-0000-0000-000000000000"
WAIT_S = 30


def refresh_token(server: str, tenant: str, access_token: str) -> str:
    """The registry's refresh token, which is the password. Raises RunError where the registry refuses, or can't be reached."""
    form = {"grant_type": "access_token", "service": server, "tenant": tenant, "access_token": access_token}
    request = urllib.request.Request(f"https://{server}/oauth2/exchange", data=urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310 (https, to the registry that the program made)
            return str(json.loads(answer.read())["refresh_token"])
    except urllib.error.HTTPError as error:
        told = error.read().decode(errors="replace")[:500]
        raise RunError(
            f"The registry {server} refuses the login with {error.code}: {told}. Whoever deploys needs the role AcrPush, Contributor or "
            "Owner there."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"The registry {server} can't be logged in to: {error!r}. Run `pulumi up` again.") from error

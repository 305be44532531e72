"""Who calls, and where: what API Management's policy tells about the other side.

The policy sets both headers itself, in the place of what a client sent, and nobody but API Management gets through to the function.
"""

import hashlib
import re
from collections.abc import Mapping

from handlers.functions.api import RESULTS

CALLER_HEADER, GATEWAY_HEADER = "x-pilotlight-caller", "x-pilotlight-gateway"
# A subscription by its id, a token by its issuer and subject or client.
_CALLER = re.compile(r"(?:key|token|client):.+", re.DOTALL)
_GATEWAY = re.compile(r"https?://[^/?#\s]+")
# A longer one is known by its hash: a row has room for that.
_MOST = 1024


def owner(headers: Mapping[str, str]) -> str | None:
    """Whom an answer belongs to, None when nobody is told."""
    caller = headers.get(CALLER_HEADER, "")
    if not _CALLER.fullmatch(caller):
        return None
    return caller if len(caller) <= _MOST else f"hash:{hashlib.sha256(caller.encode()).hexdigest()}"


def result_url(headers: Mapping[str, str], answer_id: str) -> str:
    """The URL of an answer: relative to the gateway's own (RFC 9110, section 10.2.2) where that is not told."""
    gateway = headers.get(GATEWAY_HEADER, "")
    return f"{gateway if _GATEWAY.fullmatch(gateway) else ''}{RESULTS}{answer_id}"

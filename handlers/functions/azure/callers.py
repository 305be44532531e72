"""Who calls, where and since when: what API Management's policy tells about the other side.

The policy sets these headers itself, in the place of what a client sent, and nobody but API Management gets through to the function.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from handlers.functions.api import RESULTS

CALLER_HEADER, GATEWAY_HEADER, ARRIVED_HEADER = "x-pilotlight-caller", "x-pilotlight-gateway", "x-pilotlight-arrived"
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


def waited_s(headers: Mapping[str, str]) -> float | None:
    """For how many seconds a request had been at the gateway, where this function may have started for it; None where that is not told."""
    try:
        arrived = datetime.fromisoformat(headers.get(ARRIVED_HEADER, ""))
    except ValueError:
        return None
    return time.time() - (arrived if arrived.tzinfo else arrived.replace(tzinfo=UTC)).timestamp()

"""Pings of an endpoint that is reached over HTTP, and until when they are sent."""

import json
import time
from datetime import datetime

from handlers.functions import pings
from handlers.functions.http_endpoint import HttpEndpoint
from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.functions.pings import Ping
from handlers.functions.warming import Send, WarmingFailed

# A worst cold start, with a large model on a GPU.
TIMEOUT_S = 240.0
# The model server reads pings on this route alone, which no gateway leads to.
_ROUTE = "/invocations"


def to_service(endpoint: HttpEndpoint, timeout_s: float) -> Send:
    """What sends one."""
    body = json.dumps(pings.REQUEST).encode()

    def send(ping: Ping) -> bytes:
        headers, until = {CUSTOM_ATTRIBUTES_HEADER: ping.attributes}, time.monotonic() + timeout_s
        answer, said = endpoint.post(_ROUTE, body, headers, request_id=ping.request_id, until=until)
        if answer.status != 200:
            raise WarmingFailed(f"{answer.status} {answer.reason}: {said[:300].decode(errors='replace')}")
        return said

    return send


def moment(text: object) -> datetime | None:
    """The moment from which on none is sent; None where there is none. Raises ValueError."""
    if text is None:
        return None
    found = datetime.fromisoformat(text) if isinstance(text, str) else None
    if found is None or found.tzinfo is None:
        raise ValueError(f"until is {text!r}: use a moment with its offset, 2027-01-31T23:00:00Z, say.")
    return found

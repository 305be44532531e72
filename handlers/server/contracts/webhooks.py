"""Where a prediction's state is told: addresses that the client names, below the one that the operator allows."""

import re
import time
from urllib.parse import unquote, urlsplit

from handlers.functions import logs
from handlers.functions.connections import TRANSPORT_ERRORS, Server
from handlers.functions.problems import InputRefused
from handlers.functions.wording import clipped

_PATIENCE_S = 5.0
# An address that was encoded more often is refused: nobody means it, and a long one could be decoded for seconds.
_MOST_DECODINGS = 8
# The end of a prediction is told again when it did not arrive: three seconds of pauses in all, which fit into a drain of eight.
_PAUSES_S = (0.2, 0.4, 0.8, 1.6)


def check(address: str, root: str | None) -> None:
    """Raises InputRefused for an address that is not below `root`; without a root there is none."""
    if root is None:
        raise InputRefused("'webhook' is set, and this server calls none: its operator allows them with WEBHOOKS_URI.")
    # Blanks would end the request's line.
    if not address.startswith(root) or not re.fullmatch(r"[\x21-\x7e]+", address) or _leaves(urlsplit(address).path):
        raise InputRefused(f"'webhook' is {clipped(address)}: this server calls addresses below {root} alone.")


def _leaves(path: str) -> bool:
    """Whether some server on the way may take a step of a path for `.` or `..`: with whatever encoding, separator and parameters."""
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            return any(re.split("[;?#]", step, maxsplit=1)[0] in (".", "..") for step in re.split(r"[/\\]", path))
        path = decoded
    return True


def send(address: str, body: bytes, *, again: bool, request_id: str) -> None:
    """Tell it, and with `again` until it was heard or is refused for good. Blocks; redirects are not followed, and whatever is no
    success is logged, never raised."""
    parts = urlsplit(address)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    for pause_s in (*(_PAUSES_S if again else ()), None):
        outcome, passes = _once(f"{parts.scheme}://{parts.netloc}", target, body)
        if not outcome:
            return
        if pause_s is None or not passes:
            break
        time.sleep(pause_s)
    # Without what is behind its path: many receivers take a secret there.
    told = f"{parts.scheme}://{parts.netloc}{parts.path}"[:200]
    logs.write("webhook_failed", level="WARNING", request_id=request_id, webhook=told, reason=outcome)


def _once(server: str, target: str, body: bytes) -> tuple[str, bool]:
    """Why it was not heard, empty when it was; and whether it may be another time."""
    headers = {"Content-Type": "application/json", "Connection": "close"}
    try:
        with Server(server).asked("POST", target, headers=headers, timeout_s=_PATIENCE_S, body=body) as answer:
            outcome = "" if 200 <= answer.status < 300 else f"status {answer.status}"
            return outcome, answer.status == 429 or answer.status >= 500
    except TRANSPORT_ERRORS as error:
        return f"{type(error).__name__}: {error}", True

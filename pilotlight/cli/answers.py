"""An answer that comes later (202): where it will be, and waiting for it there."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pilotlight.cli.access import Access
from pilotlight.cli.addresses import reachable
from pilotlight.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    import httpx

# Without a Retry-After, and the least between two looks whatever the API says.
USUAL_S, LEAST_S = 1.0, 0.2
# An answer may itself be a 502, 503 or 504; one that stays so this often is the answer, not a gateway's hiccup.
PATIENCE = 3
_HICCUPS = (502, 503, 504)

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How to wait: at most `max_wait` seconds, telling about it with `say` and, on a terminal, in a live line."""

    max_wait: float
    say: Say
    live: Callable[[str], AbstractContextManager[object]]


def _as_asked(target: str, url: str) -> str:
    """The address below the gateway that was asked, where that is the twin's and calls itself as it does in its cloud."""
    split = urlsplit(url)
    here = reachable(target, f"{split.scheme}://{split.netloc}")
    return here if split[:2] != urlsplit(target)[:2] and here.startswith(f"{url.rpartition('/')[0]}/") else target


def address(answer: "httpx.Response", url: str) -> str:
    """Where the answer to a 202 will be. Raises CommandError when none is named, or one that must not see the credentials."""
    found = answer.headers.get("location")
    if not found:
        try:
            content = answer.json()
        except ValueError:
            content = None
        found = content.get("result") if isinstance(content, dict) else None
    if not isinstance(found, str) or not found:
        raise CommandError(f"{url} answered 202 without saying where the answer will be (no Location, no `result`).", Exit.FAILED)
    target = _as_asked(urljoin(url, found), url)
    if urlsplit(target)[:2] != urlsplit(url)[:2]:
        raise CommandError(
            f"{url} says the answer will be at {target}: that is another place, and the credentials of this stack don't go there.",
            Exit.FAILED,
        )
    return target


def follow(http: "httpx.Client", target: str, first: "httpx.Response", access: Access, waiting: Waiting) -> "httpx.Response":
    """Look at `target` until the answer is there, and return it. Raises CommandError after `max_wait` seconds, with the address."""
    deadline = time.monotonic() + waiting.max_wait
    pause, trouble = _pause(first), 0
    waiting.say(f"The answer comes later, at {target}")
    with waiting.live(f"waiting for {target}"):
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise CommandError(
                    f"No answer within {waiting.max_wait:g} s: it will be at {target} (--max-wait allows more).", Exit.FAILED
                )
            time.sleep(min(pause, left))
            answer, told = _look(http, target, access)
            if answer is None or answer.status_code in _HICCUPS:
                trouble += 1
                if trouble >= PATIENCE:
                    if answer is None:
                        raise CommandError(f"{target} can't be reached: {told}", Exit.FAILED)
                    return answer
                pause = USUAL_S if answer is None else _pause(answer)
            elif answer.status_code in (202, 429):
                pause, trouble = _pause(answer), 0
            else:
                return answer


def _look(http: "httpx.Client", target: str, access: Access) -> tuple["httpx.Response | None", str]:
    """The answer as it is now, or None and why there was none."""
    import httpx

    try:
        return http.get(target, headers=access.headers("GET", target, b"", {"accept": "application/json"})), ""
    except httpx.HTTPError as error:
        return None, str(error) or type(error).__name__


def _pause(answer: "httpx.Response") -> float:
    """Seconds until the next look: the answer's Retry-After, in seconds or as a date (RFC 9110)."""
    text = answer.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdigit() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds() if text else USUAL_S
    except (ValueError, TypeError):
        seconds = USUAL_S
    return max(LEAST_S, seconds)

"""What is pushed to a function: requests `POST /`, and the messages that Pub/Sub wraps in them ("Receive push messages").

What is answered with a 2xx counts as delivered, anything else is pushed again as the subscription, the trigger or the job says.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.functions.http_request import HttpRequest, require_post
from handlers.functions.problems import RouteUnknown

ROUTE = "/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A message; `attempt` is told where its subscription has dead letters."""

    data: bytes
    attributes: Mapping[str, str]
    id: str
    attempt: int | None


def require_push(request: HttpRequest) -> None:
    """Raises RouteUnknown, MethodNotAllowed."""
    if request.path != ROUTE:
        raise RouteUnknown(f"There is {ROUTE}.")
    require_post(request)


def message_of(request: HttpRequest) -> Push | None:
    """The message that a request delivers, or None."""
    try:
        body: Any = json.loads(request.body)
        message, attempt = body["message"], body.get("deliveryAttempt")
        return Push(
            data=base64.b64decode(message.get("data") or "", validate=True),
            attributes={str(name): str(value) for name, value in (message.get("attributes") or {}).items()},
            id=str(message["messageId"]),
            attempt=None if attempt is None else int(attempt),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return None

"""CloudEvents of Cloud Storage: which triggers want one, and how it looks as a message whose push is the event in binary mode.

Source of the shapes: Eventarc documentation, "CloudEvents format" and "Event types: Cloud Storage" (read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from pilotlight.twin.gcp.rows_eventarc import STORAGE_EVENTS, criteria
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.storage_events import ObjectEvent

# CloudEvents, HTTP protocol binding 1.0, "HTTP header values": what is printable in ASCII stays, but for the quotation mark and %.
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_SOURCE = "//storage.googleapis.com/projects/_/buckets/"


def wants(trigger: Resource, event: ObjectEvent) -> bool:
    """Whether every criterion of the trigger holds for the event."""
    has = {"type": STORAGE_EVENTS + event.kind, "bucket": event.bucket}
    return all(has.get(attribute) == value for attribute, value in criteria(trigger.outputs).items())


def headers(event: ObjectEvent) -> Mapping[str, str]:
    """The event's attributes, as HTTP headers."""
    return {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-source": f"{_SOURCE}{event.bucket}",
        "ce-type": STORAGE_EVENTS + event.kind,
        "ce-subject": quote(f"objects/{event.resource['name']}", safe=_PRINTABLE),
        "ce-time": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "ce-bucket": event.bucket,
    }


def body(event: ObjectEvent) -> bytes:
    """The event's data: the object as Cloud Storage's JSON API tells it."""
    return json.dumps(event.resource).encode()

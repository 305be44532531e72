"""Events of Cloud Storage as they are pushed: by Eventarc, or in a message of Pub/Sub when a dead letter is replayed.

Source of the shapes: CloudEvents, HTTP and Pub/Sub bindings, binary mode; google-cloudevents, StorageObjectData.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from handlers.functions.gcp import pushes
from handlers.functions.http_request import HttpRequest
from handlers.functions.logs import request_id
from handlers.functions.outcomes import Refused
from handlers.functions.problems import MalformedBody
from handlers.functions.versions import ObjectVersion

FINALIZED = "google.cloud.storage.object.v1.finalized"
_PREFIX = "ce-"
# A generation is a 64-bit number (Cloud Storage, "Objects"): filled up with zeros on the left it compares as text.
SEQUENCER_DIGITS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A CloudEvent: its attributes with their prefix, its data, and the message that it was replayed in, if it was."""

    attributes: Mapping[str, str]
    data: bytes
    replay: str | None = None

    @property
    def id(self) -> str:
        return self.attributes[f"{_PREFIX}id"]

    @property
    def key(self) -> str:
        """What attempts are counted by. A replay is an event of its own: it gets every attempt again."""
        return "\n".join((self.attributes[f"{_PREFIX}source"], self.id, self.replay or ""))


def read(request: HttpRequest) -> Event:
    """The event that a request delivers. Raises MalformedBody for one that delivers none."""
    found = _event(request.headers, request.body)
    if found is None and (push := pushes.message_of(request)):
        found = _event(push.attributes, push.data, push.id)
    if found is None:
        raise MalformedBody("The request is neither a CloudEvent (headers ce-id, ce-source, ce-type) nor a message of Pub/Sub with one.")
    return found


def created(event: Event) -> ObjectVersion:
    """The generation that an event tells of. Raises Refused for another event."""
    kind = event.attributes.get(f"{_PREFIX}type")
    if kind != FINALIZED:
        raise Refused(f"The event is of type {kind!r}: {FINALIZED} is worked on.")
    try:
        stored = json.loads(event.data)
        bucket, key = _text(stored["bucket"]), _text(stored["name"])
        generation, size = int(stored["generation"]), int(stored["size"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"The event is none of Cloud Storage: {type(error).__name__}: {error}.") from error
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version=str(generation),
        sequencer=str(generation).zfill(SEQUENCER_DIGITS),
        etag=str(stored.get("etag") or ""),
        size=size,
        uri=f"gs://{bucket}/{quote(key)}?generation={generation}",
        request_id=request_id({}, event.id),
        event=event.key,
    )


def _event(attributes: Mapping[str, str], data: bytes, replay: str | None = None) -> Event | None:
    own = {name: value for name, value in attributes.items() if name.startswith(_PREFIX)}
    if not all(own.get(f"{_PREFIX}{name}") for name in ("id", "source", "type")):
        return None
    return Event(attributes=own, data=data, replay=replay)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no name")
    return value

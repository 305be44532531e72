"""Events that Event Grid could not put into the queue of work: blobs beside the objects, each a JSON list of events with why.

Event Grid documentation, "Set dead-letter location and retry policy".
"""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.azure.objects import etag_of
from pilotlight.cli.azure.storage import Login, told
from pilotlight.cli.clouds import DeadLetter, Look, VersionId

# The container's name (components/azure/events.py), and for how long a message stays in a queue.
DEAD_EVENTS, FOR_EVER = "dead-events", -1
# What an event is ("Azure Event Grid event schema"); what else a dead letter has is about its deliveries.
_MEMBERS = ("topic", "subject", "eventType", "id", "data", "dataVersion", "metadataVersion", "eventTime")
_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
Event = Mapping[str, Any]


class Undelivered:
    """The container beside that of the objects, whose address is given."""

    def __init__(self, login: Login, objects_url: str) -> None:
        self.url = f"{objects_url.rstrip('/').rpartition('/')[0]}/{DEAD_EVENTS}"
        self._container = login.container(self.url)

    def look(self, limit: int) -> Look:
        """Up to `limit` of them; how many there are is known where no blob had to be left unread."""
        count, letters = 0, list[DeadLetter]()
        with self._told("can't be read"):
            for name in self._names():
                if len(letters) >= limit:
                    return Look(count=None, letters=letters)
                events = self._events(name)
                found = [_unreadable(name)] if events is None else [_letter(name, each) for each in events]
                letters += found[: limit - len(letters)]
                count += len(found)
        return Look(count=count, letters=letters)

    def move(self, work: Any, rate: int | None) -> int:
        """Put the events into the queue `work`, at most `rate` a second, then delete their blob; how many they were. What ends this in
        between loses nothing: what was sent and not deleted is sent again, and an object has one result however often it is told of."""
        moved = 0
        with self._told("can't be sent again"):
            for name in self._names():
                events = self._events(name)
                if events is None:
                    say(f"{self.url}/{name} is no list of events, and stays.")
                    continue
                for each in events:
                    with told(f"{self.url}/{name} can't be sent again", data="Queue"):
                        work.send_message(_body(each), time_to_live=FOR_EVER)
                    moved += 1
                    if rate is not None:
                        time.sleep(1 / rate)
                self._container.delete_blob(name)
                say(f"{moved} put into the queue that they never came to")
        return moved

    def left(self) -> int:
        """How many blobs there are, each with one event or more."""
        with self._told("can't be read"):
            return sum(1 for _ in self._names())

    def _told(self, what: str) -> Any:
        return told(f"The events in {self.url} {what}", data="Blob")

    def _names(self) -> Iterator[str]:
        return (str(each.name) for each in self._container.list_blobs())

    def _events(self, name: str) -> list[Event] | None:
        """Those of a blob; None where it is something else, which somebody else put there."""
        try:
            found = json.loads(self._container.download_blob(name).readall())
        except ValueError:
            return None
        return found if isinstance(found, list) and all(isinstance(each, dict) for each in found) else None


def versions(event: Event) -> list[VersionId]:
    """The blob of an event of Event Grid's (its documentation, Azure Blob Storage as a source)."""
    named, data = _SUBJECT.fullmatch(str(event.get("subject", ""))), event.get("data")
    if named is None or not isinstance(data, dict) or "eTag" not in data:
        return []
    return [(f"{named[1]}/{named[2]}", etag_of(str(data["eTag"])))]


def came_about(event: Event) -> datetime | None:
    """When it came about, which no attempt was before."""
    try:
        return datetime.fromisoformat(str(event["eventTime"])).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _letter(name: str, event: Event) -> DeadLetter:
    at = came_about(event)
    return DeadLetter(
        message_id=str(event.get("id", name)),
        about=tuple(versions(event)),
        answer=None,
        sent=0 if at is None else int(at.timestamp() * 1000),
        receipt="",
        reason=f"Event Grid did not put it into the queue: {event.get('deadLetterReason', 'it says not why')} "
        f"(attempts: {event.get('deliveryAttempts', 'unknown')}, the last one: {event.get('lastDeliveryOutcome') or 'none'}).",
    )


def _unreadable(name: str) -> DeadLetter:
    return DeadLetter(message_id=name, about=(), answer=None, sent=0, receipt="", reason=f"It is no list of events: see {DEAD_EVENTS}.")


def _body(event: Event) -> str:
    """As Event Grid would have put it there."""
    return base64.b64encode(json.dumps({name: event[name] for name in _MEMBERS if name in event}).encode()).decode()

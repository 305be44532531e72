"""The dead letters of a stack on Google Cloud: a subscription, whose messages are sent again through a topic."""

import contextlib
import json
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.clouds import DEAD, DeadLetter, Look, VersionId
from pilotlight.cli.gcp import backlog
from pilotlight.cli.gcp.clients import PATIENCE_S, publisher, subscriber, told

# Messages in one request, far below what Pub/Sub takes of messages that name one object each (1,000, 10 MB).
BATCH = 100
# How many are looked at to count them where nobody else does.
COUNTED = 1000
# How long a pull waits, and how many in a row bring nothing where there is nothing: one may while there are some (Pub/Sub API,
# PullResponse), and what was given back comes again when Pub/Sub gets to it.
WAIT_S, PULLS = 10.0, 2
# The twin has what there is at once.
POLL_S = 1.0


class PubsubDeadLetters:
    """The subscription and the topic that a stack's outputs name."""

    def __init__(self, twin: Mapping[str, str] | None, outputs: Mapping[str, Any]) -> None:
        self.url = str(outputs[DEAD])
        self._topic, self._twin = str(outputs["replayTopic"]), twin
        self._subscriber = subscriber(twin)
        self._wait_s, self._pulls = (WAIT_S, PULLS) if twin is None else (POLL_S, 1)

    def look(self, limit: int) -> Look:
        """Up to `limit` of them; as many as there are where that is fewer, else what `count` says."""
        letters = self._peek(limit)
        if len(letters) < limit:
            return Look(count=len(letters), letters=letters)
        count = self.count()
        return Look(count=None if count is None else max(count, len(letters)), letters=letters)

    def count(self) -> int | None:
        """In a cloud what Cloud Monitoring counted last, minutes ago; on the twin as many as can be looked at. None where that is
        unknown: Pub/Sub itself tells no number."""
        if self._twin is None:
            return backlog.undelivered(self.url)
        found = len(self._peek(COUNTED))
        return found if found < COUNTED else None

    def move(self, rate: int | None) -> dict[str, Any]:
        """Publish each to the topic, then acknowledge it, at most `rate` a second. What ends this in between loses nothing: a letter that
        was sent and not acknowledged is one still, and its object has one result however often it is sent.

        One that came back meanwhile, because it failed again, is `left`.
        """
        publish = publisher(self._twin)
        moved, sent, about, back = 0, set[str](), set[str](), dict[str, str]()
        held: list[Any] = []
        with told("The dead letters can't be sent again"):
            try:
                while held := self._pull(min(rate or BATCH, BATCH)):
                    fresh = [one for one in held if not _came_back(one, sent, about)]
                    again = {one.message.message_id: one.ack_id for one in held if _came_back(one, sent, about)}
                    if not fresh and again.keys() <= back.keys():
                        break
                    back |= again
                    if fresh:
                        sent |= set(self._send(publish, fresh))
                        moved += len(fresh)
                        say(f"{moved} sent again")
                    held = []
                    about |= {_about(one) for one in fresh}
                    if rate is not None:
                        time.sleep(len(fresh) / rate)
            except KeyboardInterrupt:
                say(f"Interrupted: {moved} were sent again, the others are where they were.")
                raise
            finally:
                self._give_back([*back.values(), *(one.ack_id for one in held)])
        return {"status": "COMPLETED", "moved": moved, "failure": None, "left": len(back)}

    def _send(self, publish: Any, messages: Sequence[Any]) -> list[str]:
        """The ids of what was published."""
        bodies = [
            {"data": one.message.data, "attributes": dict(one.message.attributes), "ordering_key": one.message.ordering_key}
            for one in messages
        ]
        sent = publish.publish(topic=self._topic, messages=bodies, timeout=PATIENCE_S).message_ids
        self._subscriber.acknowledge(subscription=self.url, ack_ids=[one.ack_id for one in messages], timeout=PATIENCE_S)
        return list(sent)

    def _peek(self, limit: int) -> list[DeadLetter]:
        """Up to `limit` of them, given back before this returns."""
        found: dict[str, DeadLetter] = {}
        with told(f"The subscription {self.url} can't be read"):
            try:
                while len(found) < limit:
                    letters = [_letter(one) for one in self._pull(min(BATCH, limit - len(found)))]
                    all_known = all(letter.message_id in found for letter in letters)
                    # One that comes again has a new receipt, and only with that can it be given back.
                    found |= {letter.message_id: letter for letter in letters}
                    if all_known:
                        break
            finally:
                self._give_back([letter.receipt for letter in found.values()])
        return list(found.values())

    def _pull(self, most: int) -> list[Any]:
        """Some of them, taken for as long as the subscription's deadline says; none where none came in time."""
        from google.api_core.exceptions import DeadlineExceeded

        for _ in range(self._pulls):
            with contextlib.suppress(DeadlineExceeded):
                answer = self._subscriber.pull(subscription=self.url, max_messages=most, timeout=self._wait_s, retry=None)
                if answer.received_messages:
                    return list(answer.received_messages)
        return []

    def _give_back(self, receipts: Iterable[str]) -> None:
        every = list(receipts)
        for start in range(0, len(every), BATCH):
            some = every[start : start + BATCH]
            self._subscriber.modify_ack_deadline(subscription=self.url, ack_ids=some, ack_deadline_seconds=0, timeout=PATIENCE_S)


def _letter(received: Any) -> DeadLetter:
    message = received.message
    content = _content(message.data)
    return DeadLetter(
        message_id=str(message.message_id),
        about=tuple(_versions(content)),
        answer=str(content["id"]) if isinstance(content.get("id"), str) and "bucket" not in content else None,
        sent=int(_first_sent(message).timestamp() * 1000),
        receipt=str(received.ack_id),
        reason=message.attributes.get("reason"),
    )


def _first_sent(message: Any) -> datetime:
    """Before its first attempt: what Pub/Sub itself gave up is published to the dead letters after the last one, and says when it was
    before ("Handle message failures")."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(message.attributes.get("CloudPubSubDeadLetterSourceTopicPublishTime", ""))
    published: datetime = message.publish_time
    return published


def _came_back(received: Any, sent: Container[str], about: Container[str]) -> bool:
    """Whether a letter is of a message that was `sent` by now. One that does not say so (Pub/Sub's own, or older than this program) is
    taken for one where it is `about` the same."""
    replay = received.message.attributes.get("replay")
    return _about(received) in about if replay is None else replay in sent


def _about(received: Any) -> str:
    """What a letter is about, which stays the same when it comes back under another id."""
    letter = _letter(received)
    return str(letter.about or letter.answer or letter.message_id)


def _content(data: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _versions(content: Mapping[str, Any]) -> list[VersionId]:
    """The object of an event of Cloud Storage (google-cloudevents, StorageObjectData)."""
    if not all(isinstance(content.get(name), str) for name in ("bucket", "name")) or "generation" not in content:
        return []
    return [(f"{content['bucket']}/{content['name']}", str(content["generation"]))]

"""The dead letters of a stack on Azure: a queue, whose messages go back to the queue that they came from, and what never came there."""

import base64
import binascii
import json
import time
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.azure.storage import Login, told
from pilotlight.cli.azure.undelivered import FOR_EVER, Undelivered, came_about, versions
from pilotlight.cli.clouds import DEAD, DeadLetter, Look

# Storage queues REST API, Get Messages: the most in one answer. Whoever looks at more takes them for a moment.
BATCH, HELD_S = 32, 30
# Output that names the queue of work, by pattern.
WORK = ("queueUrl", "answersQueueUrl")
# That names where events come from that may not have got into it.
OBJECTS = "objectsUrl"


class QueueDeadLetters:
    """The queues that a stack's outputs name."""

    def __init__(self, login: Login, outputs: Mapping[str, Any]) -> None:
        self.url = str(outputs[DEAD])
        self.work_url = next(str(outputs[name]) for name in WORK if outputs.get(name))
        self._dead, self._work = login.queue(self.url), login.queue(self.work_url)
        self._undelivered = Undelivered(login, str(outputs[OBJECTS])) if outputs.get(OBJECTS) else None

    def look(self, limit: int) -> Look:
        """Up to `limit` of them, and about how many there are, as far as all that never came was read."""
        count = self.count()
        letters = [] if not count else self._peek(limit)
        count = max(count, len(letters))
        if self._undelivered is None:
            return Look(count=count, letters=letters)
        more = self._undelivered.look(limit - len(letters))
        return Look(count=None if more.count is None else count + more.count, letters=[*letters, *more.letters])

    def count(self) -> int:
        """About how many there are in the queue, those that somebody holds too."""
        return self._count(self.url, self._dead)

    def waiting(self) -> int:
        """About how many messages of work there are, those that are being worked on too."""
        return self._count(self.work_url, self._work)

    def move(self, rate: int | None) -> dict[str, Any]:
        """Put each into the queue of work, then delete it, at most `rate` a second. What ends this in between loses nothing: a letter that
        was sent and not deleted is one still, and its object has one result however often it is sent.

        One that came back meanwhile, because it failed again, is `left`.
        """
        moved, left = self._move(rate), 0
        if self._undelivered is not None:
            moved += self._undelivered.move(self._work, rate)
            left = self._undelivered.left()
        return {"status": "COMPLETED", "moved": moved, "failure": None, "left": self.count() + left}

    def _move(self, rate: int | None) -> int:
        """Those of the queue; how many they were."""
        moved, sent, about = 0, set[str](), set[str]()
        held: list[Any] = []
        with told("The dead letters can't be sent again", data="Queue"):
            try:
                while held := self._take(min(rate or BATCH, BATCH)):
                    fresh = [one for one in held if not _came_back(one, sent, about)]
                    if not fresh:
                        break
                    for one in fresh:
                        sent.add(str(self._work.send_message(_body(one), time_to_live=FOR_EVER).id))
                        about.add(_about(one))
                        self._dead.delete_message(one)
                        held.remove(one)
                        moved += 1
                    say(f"{moved} sent again")
                    self._give_back(held)
                    held = []
                    if rate is not None:
                        time.sleep(len(fresh) / rate)
            except KeyboardInterrupt:
                say(f"Interrupted: {moved} were sent again, the others are where they were.")
                raise
            finally:
                self._give_back(held)
        return moved

    def _count(self, url: str, queue: Any) -> int:
        with told(f"The queue {url} can't be read", data="Queue"):
            return int(queue.get_queue_properties().approximate_message_count)

    def _peek(self, limit: int) -> list[DeadLetter]:
        """Up to `limit` of them: looked at without a trace where one answer has them, else taken, and given back before this returns."""
        with told(f"The queue {self.url} can't be read", data="Queue"):
            if limit <= BATCH:
                return [_letter(one) for one in self._dead.peek_messages(max_messages=limit)]
            held: list[Any] = []
            try:
                while len(held) < limit and (more := self._take(min(BATCH, limit - len(held)))):
                    held += more
            finally:
                self._give_back(held)
            return [_letter(one) for one in held]

    def _take(self, most: int) -> list[Any]:
        return list(self._dead.receive_messages(max_messages=most, messages_per_page=most, visibility_timeout=HELD_S))

    def _give_back(self, messages: Iterable[Any]) -> None:
        for one in messages:
            self._dead.update_message(one, visibility_timeout=0)


def _letter(message: Any) -> DeadLetter:
    told_ = _content(message)
    event = told_.get("event")
    work: Mapping[str, Any] = event if isinstance(event, dict) else {}
    about = tuple(versions(work))
    return DeadLetter(
        message_id=str(message.id),
        about=about,
        answer=str(work["id"]) if not about and isinstance(work.get("id"), str) else None,
        sent=int(_sent(work, message).timestamp() * 1000),
        receipt=str(message.pop_receipt or ""),
        reason=None if told_.get("reason") is None else str(told_["reason"]),
    )


def _sent(work: Mapping[str, Any], message: Any) -> datetime:
    """When the event came about; of an answer, when it was given up."""
    inserted: datetime = message.inserted_on
    return came_about(work) or inserted


def _came_back(message: Any, sent: Container[str], about: Container[str]) -> bool:
    """Whether a letter is of a message that was `sent` by now. One that does not say so, since it is older than this program or somebody
    else's, is taken for one where it is `about` the same."""
    told_ = _content(message)
    return str(told_["messageId"]) in sent if "messageId" in told_ else _about(message) in about


def _about(message: Any) -> str:
    """What a letter is about, which stays the same when it comes back under another id."""
    letter = _letter(message)
    return str(letter.about or letter.answer or letter.message_id)


def _body(message: Any) -> str:
    """The message that the letter was, as the queue of work has them."""
    told_ = _content(message)
    text = json.dumps(told_["event"]) if "event" in told_ else str(told_.get("message", message.content))
    return base64.b64encode(text.encode()).decode()


def _content(message: Any) -> Mapping[str, Any]:
    """The letter's JSON (handlers/functions/azure/messages.py); nothing of what somebody else put there."""
    try:
        content = json.loads(base64.b64decode(message.content, validate=True))
    except (ValueError, binascii.Error):
        return {}
    return content if isinstance(content, dict) else {}

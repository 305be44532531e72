"""Queues and their messages in one SQLite file, on the twin's clock: what SQS keeps, without its API.

The twin keeps its queues itself, not in the emulator, for four reasons. Delays, visibility and retention run on the twin's clock, so that
a fast-forward moves them too (the emulator's run on the machine's). Every answer is on disk before it is given, so a killed twin loses no
message (the emulator saves its queues when it is ended politely). A send takes 0.5 ms of the twin's processor time, all told; with the
emulator behind the front it took 2.8 ms, measured on the same two cores. And the emulator has no StartMessageMoveTask.
Standard queues only: order is by the time of visibility, and a message is given out again when its visibility timeout ends.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pilotlight.twin.aws.sqs_model import Figures, Message, Queue

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (arn TEXT PRIMARY KEY, attributes TEXT, tags TEXT, created REAL, modified REAL, purged REAL);
CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, id TEXT, body TEXT, attributes TEXT, sender TEXT, sent REAL, visible REAL,
  received INTEGER, first_received REAL, receipt TEXT, source TEXT);
CREATE INDEX IF NOT EXISTS by_visibility ON messages (queue, visible);
"""
SWEEP_S = 60.0
_COLUMNS = "number, id, body, attributes, sender, sent, received, first_received, receipt, source"


class QueueStore:
    """Thread-safe. Methods that name a queue by an ARN that is not there raise KeyError."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._swept: dict[str, float] = {}
        self._queues = {queue.arn: queue for queue in self._load()}
        self._return_to_now()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def queues(self) -> list[Queue]:
        with self._lock:
            return sorted(self._queues.values(), key=lambda queue: queue.arn)

    def queue(self, arn: str) -> Queue | None:
        return self._queues.get(arn)

    def put(self, arn: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> Queue:
        """Create a queue, or give one other attributes and tags; its messages stay."""
        with self._lock:
            now, old = self._now(), self._queues.get(arn)
            queue = Queue(
                arn=arn,
                attributes=dict(attributes),
                tags=dict(tags),
                created=old.created if old else now,
                modified=now,
                purged=old.purged if old else 0.0,
            )
            self._save(queue)
            return queue

    def delete(self, arn: str) -> None:
        """The queue and its messages; one that is not there is no error."""
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM messages WHERE queue = ?", (arn,))
            self._db.execute("DELETE FROM queues WHERE arn = ?", (arn,))
            self._queues.pop(arn, None)

    def purge(self, arn: str) -> None:
        with self._lock, self._transaction():
            queue = self._queues[arn]
            self._db.execute("DELETE FROM messages WHERE queue = ?", (arn,))
            self._save(Queue(**{**vars(queue), "purged": self._now()}))

    def send(self, arn: str, bodies: Iterable[tuple[str, Mapping[str, Any], float | None]], sender: str) -> list[str]:
        """Store messages, each (body, attributes, delay in seconds or None for the queue's own); their ids."""
        with self._lock, self._transaction():
            queue, now = self._queues[arn], self._now()
            ids = []
            for body, attributes, delay_s in bodies:
                ids.append(str(uuid.uuid4()))
                due = now + (queue.seconds("DelaySeconds") if delay_s is None else delay_s)
                row = (arn, ids[-1], body, json.dumps(attributes) if attributes else "", sender, now, due)
                self._db.execute(
                    "INSERT INTO messages (queue, id, body, attributes, sender, sent, visible, received) VALUES (?,?,?,?,?,?,?,0)", row
                )
            return ids

    def receive(self, arn: str, limit: int, visibility_s: float | None = None) -> list[Message]:
        """Up to `limit` visible messages, hidden from now on for `visibility_s` (the queue's own where None).

        A message that was received as often as the redrive policy allows goes to the dead-letter queue instead.
        """
        with self._lock:
            queue, now = self._queues[arn], self._now()
            hidden_until = now + (queue.seconds("VisibilityTimeout") if visibility_s is None else visibility_s)
            redrive = queue.redrive if queue.redrive and queue.redrive[0] in self._queues else None
            taken: list[Message] = []
            with self._transaction():
                self._sweep(queue, now)
                while len(taken) < limit and (found := self._visible(arn, now, limit - len(taken))):
                    for message in found:
                        if redrive and message.received >= redrive[1]:
                            self._bury(message, arn, redrive[0], now)
                        else:
                            taken.append(self._take(message, now, hidden_until))
                    if hidden_until <= now:
                        break
            return taken

    def receipt(self, arn: str, handle: str) -> tuple[int, str] | None:
        """(number, receipt) of a handle of this queue; None for one that is malformed or of another queue."""
        number, _, receipt = handle.partition(".")
        if not number.isdigit() or len(number) > 18 or not receipt:
            return None
        with self._lock:
            row = self._db.execute("SELECT queue FROM messages WHERE number = ?", (int(number),)).fetchone()
        return (int(number), receipt) if row is None or row[0] == arn else None

    def remove(self, receipts: Iterable[tuple[int, str]]) -> None:
        """Delete messages; one that was received again since is left, one that is gone is no error."""
        with self._lock, self._transaction():
            self._db.executemany("DELETE FROM messages WHERE number = ? AND receipt = ?", list(receipts))

    def in_flight_for(self, receipt: tuple[int, str]) -> float | None:
        """Seconds since the first receive of a message that is in flight; None where it is not."""
        with self._lock:
            query = "SELECT first_received FROM messages WHERE number = ? AND receipt = ? AND visible > ?"
            row = self._db.execute(query, (*receipt, self._now())).fetchone()
            return None if row is None else self._now() - float(row[0])

    def hide(self, receipt: tuple[int, str], seconds: float) -> None:
        """Make a message that is in flight visible in `seconds`."""
        with self._lock, self._transaction():
            self._db.execute("UPDATE messages SET visible = ? WHERE number = ? AND receipt = ?", (self._now() + seconds, *receipt))

    def next_visible(self, arn: str) -> float | None:
        """When the first of the hidden and delayed messages becomes visible; None where there is none."""
        with self._lock:
            row = self._db.execute("SELECT MIN(visible) FROM messages WHERE queue = ? AND visible > ?", (arn, self._now())).fetchone()
            return None if row[0] is None else float(row[0])

    def in_flight(self, arn: str, limit: int) -> int:
        """How many messages were received and neither deleted nor visible again, counted up to `limit`."""
        query = "SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE queue = ? AND visible > ? AND receipt IS NOT NULL LIMIT ?)"
        with self._lock:
            return int(self._db.execute(query, (arn, self._now(), limit)).fetchone()[0])

    def figures(self, arn: str) -> Figures:
        with self._lock:
            now = self._now()
            row = self._db.execute(
                "SELECT TOTAL(visible <= :now), TOTAL(visible > :now AND receipt IS NOT NULL), TOTAL(visible > :now AND receipt IS NULL),"
                " MIN(CASE WHEN received < 3 THEN sent END) FROM messages WHERE queue = :arn",
                {"now": now, "arn": arn},
            ).fetchone()
            age = 0.0 if row[3] is None else max(0.0, now - float(row[3]))
            return Figures(visible=int(row[0]), in_flight=int(row[1]), delayed=int(row[2]), oldest_s=age)

    def move(self, arn: str, limit: int, target: str | None) -> tuple[int, Message | None]:
        """Move up to `limit` visible messages of a dead-letter queue: to `target`, else each to the queue that it came from.

        As on SQS they are new messages there, with another id. Returns how many went, and the message that has nowhere to go, if one.
        """
        with self._lock, self._transaction():
            now, moved = self._now(), 0
            for message in self._visible(arn, now, limit):
                destination = target or message.source
                if destination is None or destination not in self._queues:
                    return moved, message
                self._db.execute(
                    "UPDATE messages SET queue = ?, id = ?, sent = ?, visible = ?, received = 0, first_received = NULL, receipt = NULL,"
                    " source = NULL WHERE number = ?",
                    (destination, str(uuid.uuid4()), now, now, message.number),
                )
                moved += 1
            return moved, None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _visible(self, arn: str, now: float, limit: int) -> list[Message]:
        query = f"SELECT {_COLUMNS} FROM messages WHERE queue = ? AND visible <= ? ORDER BY visible, number LIMIT ?"  # noqa: S608
        return [_message(row) for row in self._db.execute(query, (arn, now, limit))]

    def _sweep(self, queue: Queue, now: float) -> None:
        """Messages older than the queue keeps them, once a minute: SQS promises no better."""
        if now >= self._swept.get(queue.arn, 0.0) + SWEEP_S:
            self._swept[queue.arn] = now
            self._db.execute(
                "DELETE FROM messages WHERE queue = ? AND sent <= ?", (queue.arn, now - queue.seconds("MessageRetentionPeriod"))
            )

    def _take(self, message: Message, now: float, hidden_until: float) -> Message:
        receipt, first = secrets.token_urlsafe(24), message.first_received or now
        self._db.execute(
            "UPDATE messages SET visible = ?, received = received + 1, first_received = ?, receipt = ? WHERE number = ?",
            (hidden_until, first, receipt, message.number),
        )
        return Message(**{**vars(message), "received": message.received + 1, "first_received": first, "receipt": receipt})

    def _bury(self, message: Message, source: str, target: str, now: float) -> None:
        self._db.execute(
            "UPDATE messages SET queue = ?, source = ?, visible = ?, receipt = NULL WHERE number = ?", (target, source, now, message.number)
        )

    def _load(self) -> Iterator[Queue]:
        for arn, attributes, tags, created, modified, purged in self._db.execute("SELECT * FROM queues"):
            yield Queue(
                arn=arn, attributes=json.loads(attributes), tags=json.loads(tags), created=created, modified=modified, purged=purged
            )

    def _save(self, queue: Queue) -> None:
        row = (queue.arn, json.dumps(queue.attributes), json.dumps(queue.tags), queue.created, queue.modified, queue.purged)
        self._db.execute("INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?)", row)
        self._queues[queue.arn] = queue

    def _return_to_now(self) -> None:
        """A clock that was moved ahead is the machine's again where its file was deleted: messages keep their distance to it."""
        row = self._db.execute("SELECT MAX(MAX(sent), MAX(COALESCE(first_received, 0))) FROM messages").fetchone()
        ahead = float(row[0] or 0) - self._now()
        if ahead > 0:
            self._db.execute(
                "UPDATE messages SET sent = sent - :s, visible = visible - :s, first_received = first_received - :s", {"s": ahead}
            )


def _message(row: tuple[Any, ...]) -> Message:
    number, id_, body, attributes, sender, sent, received, first_received, receipt, source = row
    return Message(
        number=number,
        id=id_,
        body=body,
        attributes=json.loads(attributes) if attributes else {},
        sender=sender,
        sent=sent,
        received=received,
        first_received=first_received,
        receipt=receipt,
        source=source,
    )

"""Topics, subscriptions and their messages in one SQLite file, on the twin's clock: what Pub/Sub keeps, without its API.

Every answer is on disk before it is given. A message has a row for each subscription that has not acknowledged it; its `due` is when it
may be given out (again): at once, when its lease and the wait after it are over, or when the wait after a refusal is over.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from google.pubsub_v1.types import pubsub as types

Topic: Any = types.Topic.pb()
Subscription: Any = types.Subscription.pb()
Message: Any = types.PubsubMessage.pb()
# What a subscription says whose topic is gone (Pub/Sub API, Subscription.topic).
DELETED_TOPIC = "_deleted-topic_"
# Pub/Sub API, Subscription: what holds where a subscription says nothing (read 2026-11).
ACK_S = 10
KEPT_S = 604_800.0
ATTEMPTS = 5
_BACKOFF_S = (10.0, 600.0)
# Pub/Sub documentation, "Push backoff": between 100 milliseconds and 60 seconds.
_PUSH_BACKOFF_S = (0.1, 60.0)
SWEEP_S = 60.0
# Of one answer: clients that are led to an emulator take 4 MiB, which is gRPC's own default, and the ids around the messages count too.
TAKEN_BYTES = 7 * 2**19
_SOURCE = "CloudPubSubDeadLetterSource"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, body BLOB);
CREATE TABLE IF NOT EXISTS subscriptions (name TEXT PRIMARY KEY, body BLOB);
CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT, body BLOB, published REAL, due REAL, attempts INTEGER, receipt TEXT);
CREATE INDEX IF NOT EXISTS by_due ON messages (subscription, due);
"""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message that was given out for the `attempt`th time, counted from 1."""

    ack_id: str
    message: Any
    attempt: int


def ack_seconds(subscription: Any) -> int:
    return int(subscription.ack_deadline_seconds or ACK_S)


def attempts(subscription: Any) -> int | None:
    """How often a message is given out before it is a dead letter; None where it never is one."""
    policy = subscription.dead_letter_policy
    return (policy.max_delivery_attempts or ATTEMPTS) if policy.dead_letter_topic else None


def backoff_s(subscription: Any, attempt: int) -> float:
    """Seconds that a message waits after its `attempt`th delivery has failed."""
    least, most = 0.0, 0.0
    if subscription.HasField("retry_policy"):
        policy = subscription.retry_policy
        least = policy.minimum_backoff.ToTimedelta().total_seconds() if policy.HasField("minimum_backoff") else _BACKOFF_S[0]
        most = policy.maximum_backoff.ToTimedelta().total_seconds() if policy.HasField("maximum_backoff") else _BACKOFF_S[1]
    elif subscription.push_config.push_endpoint:
        least, most = _PUSH_BACKOFF_S
    return float(min(most, least * 2 ** min(attempt - 1, 20)))


class MessageStore:
    """Thread-safe. Methods that name a topic or subscription which is not there raise KeyError."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.now = now
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self.topics: dict[str, Any] = {name: Topic.FromString(body) for name, body in self._db.execute("SELECT * FROM topics")}
        self.subscriptions: dict[str, Any] = {
            name: Subscription.FromString(body) for name, body in self._db.execute("SELECT * FROM subscriptions")
        }
        self._swept: dict[str, float] = {}
        self._return_to_now()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put_topic(self, topic: Any) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO topics VALUES (?, ?)", (topic.name, topic.SerializeToString()))
            self.topics[topic.name] = topic

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, with what they hold."""
        with self._lock, self._transaction():
            del self.topics[name]
            self._db.execute("DELETE FROM topics WHERE name = ?", (name,))
            for subscription in self.subscriptions_of(name):
                subscription.topic = DELETED_TOPIC
                self.put_subscription(subscription)

    def put_subscription(self, subscription: Any) -> None:
        """Create one, or give one other settings; its messages stay."""
        with self._lock:
            row = (subscription.name, subscription.SerializeToString())
            self._db.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?)", row)
            self.subscriptions[subscription.name] = subscription

    def delete_subscription(self, name: str) -> None:
        with self._lock, self._transaction():
            del self.subscriptions[name]
            self._db.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
            self._db.execute("DELETE FROM messages WHERE subscription = ?", (name,))

    def subscriptions_of(self, topic: str) -> list[Any]:
        with self._lock:
            return [one for one in self.subscriptions.values() if one.topic == topic]

    def publish(self, topic: str, messages: Iterable[Any]) -> list[str]:
        """Store messages for every subscription of the topic; their ids."""
        with self._lock, self._transaction():
            if topic not in self.topics:
                raise KeyError(topic)
            return [self._publish(topic, message) for message in messages]

    def take(self, name: str, limit: int, lease_s: float | None = None) -> list[Delivery]:
        """Up to `limit` messages that are due, leased for `lease_s` seconds (the subscription's own where None); fewer where they would be
        more than `TAKEN_BYTES`."""
        with self._lock, self._transaction():
            subscription, now = self.subscriptions[name], self.now()
            self._sweep(subscription, now)
            rows = self._db.execute(
                "SELECT number, body, attempts FROM messages WHERE subscription = ? AND due <= ? ORDER BY due, number LIMIT ?",
                (name, now, limit),
            ).fetchall()
            taken: list[Delivery] = []
            ends = now + (ack_seconds(subscription) if lease_s is None else lease_s)
            size = 0
            for number, body, before in rows:
                size += len(body)
                if taken and size > TAKEN_BYTES:
                    break
                receipt = secrets.token_urlsafe(12)
                due = ends + self._wait_s(subscription, before + 1)
                self._db.execute(
                    "UPDATE messages SET due = ?, attempts = ?, receipt = ? WHERE number = ?", (due, before + 1, receipt, number)
                )
                taken.append(Delivery(ack_id=f"{number}.{receipt}", message=Message.FromString(body), attempt=before + 1))
            return taken

    def acknowledge(self, name: str, ack_ids: Iterable[str]) -> None:
        """Messages that were given out again since are left, those that are gone are no error."""
        with self._lock, self._transaction():
            query = "DELETE FROM messages WHERE number = ? AND receipt = ? AND subscription = ?"
            self._db.executemany(query, [(*_parts(one), name) for one in ack_ids])

    def lease(self, name: str, ack_ids: Iterable[str], seconds: float) -> None:
        """Lease messages for `seconds` from now; 0 gives them back."""
        with self._lock, self._transaction():
            subscription, now = self.subscriptions[name], self.now()
            for one in ack_ids:
                where = (*_parts(one), name)
                row = self._db.execute(
                    "SELECT attempts FROM messages WHERE number = ? AND receipt = ? AND subscription = ?", where
                ).fetchone()
                if row is not None:
                    due, receipt = now + seconds + self._wait_s(subscription, row[0]), where[1] if seconds else None
                    self._db.execute("UPDATE messages SET due = ?, receipt = ? WHERE number = ?", (due, receipt, where[0]))

    def bury(self, name: str) -> list[str]:
        """Publish what has failed too often to the dead-letter topic; the subscriptions that got something."""
        with self._lock, self._transaction():
            subscription, now = self.subscriptions[name], self.now()
            most, target = attempts(subscription), subscription.dead_letter_policy.dead_letter_topic
            if most is None or target not in self.topics:
                return []
            rows = self._db.execute(
                "SELECT number, body, attempts FROM messages WHERE subscription = ? AND due <= ? AND attempts >= ? ORDER BY number",
                (name, now, most),
            ).fetchall()
            for number, body, made in rows:
                message = Message.FromString(body)
                project, short = name.split("/")[1], name.rsplit("/", 1)[1]
                message.attributes[f"{_SOURCE}DeliveryCount"] = str(made)
                message.attributes[f"{_SOURCE}Subscription"] = short
                message.attributes[f"{_SOURCE}SubscriptionProject"] = project
                message.attributes[f"{_SOURCE}TopicPublishTime"] = message.publish_time.ToJsonString()
                self._publish(target, message)
                self._db.execute("DELETE FROM messages WHERE number = ?", (number,))
            return [one.name for one in self.subscriptions_of(target)] if rows else []

    def next_due(self, name: str) -> float | None:
        """When the first of the messages that are out or wait is due; None where there is none."""
        with self._lock:
            row = self._db.execute("SELECT MIN(due) FROM messages WHERE subscription = ? AND due > ?", (name, self.now())).fetchone()
            return None if row[0] is None else float(row[0])

    def held(self, name: str) -> int:
        """How many messages are not acknowledged."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM messages WHERE subscription = ?", (name,)).fetchone()[0])

    def oldest(self, name: str) -> float | None:
        """When the oldest message that is not acknowledged was published; None where there is none."""
        with self._lock:
            row = self._db.execute("SELECT MIN(published) FROM messages WHERE subscription = ?", (name,)).fetchone()
            return None if row[0] is None else float(row[0])

    def _publish(self, topic: str, given: Any) -> str:
        message, now = Message(), self.now()
        message.CopyFrom(given)
        message.message_id = str(10**15 + secrets.randbelow(9 * 10**15))
        micros = int(now * 1_000_000)
        message.publish_time.CopyFrom(Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000))
        body = message.SerializeToString()
        self._db.executemany(
            "INSERT INTO messages (subscription, body, published, due, attempts) VALUES (?, ?, ?, ?, 0)",
            [(one.name, body, now, now) for one in self.subscriptions_of(topic)],
        )
        return str(message.message_id)

    def _wait_s(self, subscription: Any, attempt: int) -> float:
        """What comes after a lease: nothing for a message that is a dead letter then."""
        most = attempts(subscription)
        return 0.0 if most is not None and attempt >= most else backoff_s(subscription, attempt)

    def _sweep(self, subscription: Any, now: float) -> None:
        """Messages older than the subscription keeps them, once a minute."""
        if now >= self._swept.get(subscription.name, 0.0) + SWEEP_S:
            self._swept[subscription.name] = now
            kept = subscription.message_retention_duration.ToTimedelta().total_seconds() or KEPT_S
            self._db.execute("DELETE FROM messages WHERE subscription = ? AND published <= ?", (subscription.name, now - kept))

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

    def _return_to_now(self) -> None:
        """A clock that was moved ahead may be back at the machine's time after a restart: messages keep their distance to it."""
        row = self._db.execute("SELECT MAX(published) FROM messages").fetchone()
        ahead = float(row[0] or 0) - self.now()
        if ahead > 0:
            self._db.execute("UPDATE messages SET published = published - :s, due = due - :s", {"s": ahead})


def _parts(ack_id: str) -> tuple[int, str]:
    """Number and receipt; of a malformed id, what names no message."""
    number, _, receipt = ack_id.partition(".")
    return (int(number), receipt) if number.isdigit() and len(number) < 19 else (0, "")

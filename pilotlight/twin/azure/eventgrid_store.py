"""Events on their way, in one SQLite file: what was accepted is there after the twin was killed, until it has arrived or is given up."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT, event TEXT, published REAL, due REAL, attempts INTEGER, tried REAL,
  outcome TEXT, reason TEXT);
DROP INDEX IF EXISTS due;
"""
_COLUMNS = "id, subscription, event, published, attempts, tried, outcome, reason"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event for one subscription, by its id. Times are seconds since the epoch.

    attempts  how often it was tried, `tried` when for the last time, with which `outcome`
    reason    why it is not tried any more: it is a dead letter then, to be stored
    """

    id: int
    subscription: str
    event: Mapping[str, Any]
    published: float
    attempts: int
    tried: float | None
    outcome: str
    reason: str | None


class EventStore:
    """To be used in one thread. What is taken is not due until `later` or `end` was called for it, or the file is opened again.

    What is due when is also in memory, so that a look for it, two with each event, asks the file for nothing that is not there.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        # When what is not taken is due, by its id; and (due, id) of that as heaps, which may have more.
        self._due: dict[int, float] = {}
        self._live: list[tuple[float, int]] = []
        self._dead: list[tuple[float, int]] = []
        for id_, due, reason in self._db.execute("SELECT id, due, reason FROM deliveries"):
            self._wait(id_, due, reason)

    def close(self) -> None:
        self._db.close()

    def add(self, subscription: str, event: Mapping[str, Any], published: float, due: float) -> None:
        added = self._db.execute(
            "INSERT INTO deliveries (subscription, event, published, due, attempts, outcome) VALUES (?, ?, ?, ?, 0, '')",
            (subscription, json.dumps(event), published, due),
        )
        assert added.lastrowid is not None
        self._wait(added.lastrowid, due, None)

    def take(self, now: float, limit: int) -> list[Delivery]:
        """Events that are to be tried by now, those that are due first."""
        return list(itertools.islice(self._taken(self._live, now), limit))

    def take_dead(self, now: float) -> list[Delivery]:
        """Dead letters that are to be stored by now."""
        return list(self._taken(self._dead, now))

    def next_due(self) -> float | None:
        """When something that is not taken is due, or was before it was forgotten or put off."""
        return min((heap[0][0] for heap in (self._live, self._dead) if heap), default=None)

    def later(self, delivery: Delivery, due: float) -> None:
        """Write down what has become of it, and when it is due again."""
        changed = (due, delivery.attempts, delivery.tried, delivery.outcome, delivery.reason, delivery.id)
        self._db.execute("UPDATE deliveries SET due = ?, attempts = ?, tried = ?, outcome = ?, reason = ? WHERE id = ?", changed)
        self._wait(delivery.id, due, delivery.reason)

    def end(self, *deliveries: Delivery) -> None:
        """Forget them: they have arrived, or are given up."""
        ids = json.dumps([one.id for one in deliveries])
        self._db.execute("DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))", (ids,))

    def forget(self, subscription: str) -> None:
        """Whatever is on its way for a subscription."""
        self._db.execute("DELETE FROM deliveries WHERE subscription = ?", (subscription,))

    def _wait(self, id_: int, due: float, reason: str | None) -> None:
        self._due[id_] = due
        heapq.heappush(self._live if reason is None else self._dead, (due, id_))

    def _taken(self, heap: list[tuple[float, int]], now: float) -> Iterator[Delivery]:
        """What is due by now, taken one by one."""
        names = _COLUMNS.split(", ")
        while heap and heap[0][0] <= now:
            due, id_ = heapq.heappop(heap)
            if self._due.get(id_) != due:
                continue
            del self._due[id_]
            row = self._db.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", (id_,)).fetchone()  # noqa: S608 (constants)
            # It may have been forgotten since.
            if row is not None:
                yield Delivery(**{**dict(zip(names, row, strict=True)), "event": json.loads(row[2])})

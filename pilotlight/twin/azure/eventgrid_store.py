"""Events on their way, in one SQLite file: what was accepted is there after the twin was killed, until it has arrived or is given up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT, event TEXT, published REAL, due REAL, attempts INTEGER, tried REAL,
  outcome TEXT, reason TEXT, taken INTEGER);
CREATE INDEX IF NOT EXISTS due ON deliveries (due) WHERE taken = 0;
UPDATE deliveries SET taken = 0;
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
    """To be used in one thread. What is taken is not due until `later` or `end` was called for it, or the file is opened again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)

    def close(self) -> None:
        self._db.close()

    def add(self, subscription: str, event: Mapping[str, Any], published: float, due: float) -> None:
        self._db.execute(
            "INSERT INTO deliveries (subscription, event, published, due, attempts, outcome, taken) VALUES (?, ?, ?, ?, 0, '', 0)",
            (subscription, json.dumps(event), published, due),
        )

    def take(self, now: float, limit: int) -> list[Delivery]:
        """Events that are to be tried by now, those that are due first."""
        return self._take("due <= ? AND reason IS NULL ORDER BY due, id LIMIT ?", now, limit)

    def take_dead(self, now: float) -> list[Delivery]:
        """Dead letters that are to be stored by now."""
        return self._take("due <= ? AND reason IS NOT NULL ORDER BY due, id LIMIT ?", now, -1)

    def next_due(self) -> float | None:
        """When something that is not taken is due."""
        found: float | None = self._db.execute("SELECT min(due) FROM deliveries WHERE taken = 0").fetchone()[0]
        return found

    def later(self, delivery: Delivery, due: float) -> None:
        """Write down what has become of it, and when it is due again."""
        changed = (due, delivery.attempts, delivery.tried, delivery.outcome, delivery.reason, delivery.id)
        self._db.execute("UPDATE deliveries SET due = ?, attempts = ?, tried = ?, outcome = ?, reason = ?, taken = 0 WHERE id = ?", changed)

    def end(self, *deliveries: Delivery) -> None:
        """Forget them: they have arrived, or are given up."""
        self._db.executemany("DELETE FROM deliveries WHERE id = ?", [(one.id,) for one in deliveries])

    def forget(self, subscription: str) -> None:
        """Whatever is on its way for a subscription."""
        self._db.execute("DELETE FROM deliveries WHERE subscription = ?", (subscription,))

    def _take(self, which: str, *values: float) -> list[Delivery]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE taken = 0 AND {which}", values).fetchall()  # noqa: S608 (constants)
        self._db.executemany("UPDATE deliveries SET taken = 1 WHERE id = ?", [(row[0],) for row in rows])
        names = _COLUMNS.split(", ")
        return [Delivery(**{**dict(zip(names, row, strict=True)), "event": json.loads(row[2])}) for row in rows]

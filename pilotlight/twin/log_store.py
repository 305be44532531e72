"""Log entries in one SQLite file, on the twin's clock, the newest of them: what a cloud's service of logs keeps, without its API."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

# The twin's home must not fill a disk: of twice as much the newer half is kept.
KEPT_BYTES = 16 * 1024 * 1024
# Lines that come within this time are written together.
GATHER_S = 0.05
_READ_ROWS = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT, at REAL, body TEXT);
CREATE INDEX IF NOT EXISTS by_time ON entries (project, at, number);
CREATE TABLE IF NOT EXISTS metrics (project TEXT, name TEXT, since REAL, PRIMARY KEY (project, name));
"""
# When an entry came (seconds since the epoch), and its number, which is no other's.
Place = tuple[float, int]


class Source(Protocol):
    """What writes lines."""

    @property
    def kept_in(self) -> str:
        """Where they are kept together: a project, a workspace."""

    def entry(self, line: str, moment: float) -> dict[str, Any]:
        """What is kept of a line that came at that time, in seconds since the epoch."""


class LogStore:
    """Thread-safe. What is written is in the file with the next `flush` or read, which a killed twin may not come to."""

    def __init__(self, path: Path, now: Callable[[], float], kept_bytes: int = KEPT_BYTES) -> None:
        self._now = now
        self._kept_bytes = kept_bytes
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._size = int(self._db.execute("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM entries").fetchone()[0])
        self._waiting: list[tuple[str, float, str]] = []

    def close(self) -> None:
        with self._lock:
            self.flush()
            self._db.close()

    def write(self, source: Source, line: str) -> None:
        """Keep a line that came now; empty ones are none."""
        if not line.strip():
            return
        moment = self._now()
        body = json.dumps(source.entry(line, moment), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            # Half a character is none in UTF-8, and must not cost the line.
            self._waiting.append((source.kept_in, moment, body.encode(errors="replace").decode()))

    def count_from_now(self, project: str, metric: str) -> None:
        """A metric is there, or another one than it was."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)", (project, metric, self._now()))

    def counts_since(self, project: str, metric: str) -> float:
        """Seconds since the epoch."""
        with self._lock:
            found = self._db.execute("SELECT since FROM metrics WHERE project = ? AND name = ?", (project, metric)).fetchone()
        return float(found[0]) if found else 0.0

    def flush(self) -> None:
        """Write down what has been gathered."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO entries (project, at, body) VALUES (?, ?, ?)", waiting)
            self._size += sum(len(body) for _, _, body in waiting)
            if self._size > 2 * self._kept_bytes:
                self._shorten()
            self._db.execute("COMMIT")

    def entries(
        self, kept_in: str, *, since: float = 0.0, newest_first: bool = False, after: Place | None = None
    ) -> Iterator[tuple[Place, dict[str, Any]]]:
        """The entries of one place from `since` on by time, those `after` one in that order; another thread may write meanwhile."""
        self.flush()
        order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        while True:
            where, values = "project = ? AND at >= ?", [kept_in, since]
            if after is not None:
                where, values = f"{where} AND (at, number) {beyond} (?, ?)", [*values, *after]
            # The text is all of our own; what a caller gives goes in as values.
            with self._lock:
                rows = self._db.execute(
                    f"SELECT at, number, body FROM entries WHERE {where} ORDER BY at {order}, number {order} LIMIT {_READ_ROWS}",  # noqa: S608
                    values,
                ).fetchall()
            for at, number, body in rows:
                after = (float(at), int(number))
                yield after, json.loads(body)
            if len(rows) < _READ_ROWS:
                return

    def _shorten(self) -> None:
        """Keep the newest that fit."""
        left, first = self._kept_bytes, None
        for number, size in self._db.execute("SELECT number, LENGTH(body) FROM entries ORDER BY number DESC"):
            left -= size
            if left < 0:
                break
            first = number
        self._db.execute("DELETE FROM entries WHERE number < ?", (first if first is not None else 2**62,))
        self._size = int(self._db.execute("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM entries").fetchone()[0])

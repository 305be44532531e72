"""Versions of objects, uploads under way and untold events in one SQLite file: what Cloud Storage knows, without its API.

Every answer is on disk before it is given. A version is live, noncurrent (`ended` says since when) or soft-deleted (`deleted`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, name TEXT, generation INTEGER, metageneration INTEGER, blob TEXT, size INTEGER, created REAL, updated REAL,
  ended REAL, deleted REAL, fields TEXT, PRIMARY KEY (bucket, name, generation)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS live ON objects (bucket, name) WHERE ended IS NULL AND deleted IS NULL;
CREATE INDEX IF NOT EXISTS soft ON objects (deleted) WHERE deleted IS NOT NULL;
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, blob TEXT, created REAL, body TEXT);
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, due REAL, event TEXT);
CREATE TABLE IF NOT EXISTS counter (generation INTEGER);
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
"""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an object. `fields` is what its uploader said of it, with its hashes, in the API's names; times are seconds."""

    bucket: str
    name: str
    generation: int
    blob: str
    size: int
    created: float
    updated: float
    metageneration: int = 1
    ended: float | None = None
    deleted: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.ended is None and self.deleted is None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A resumable upload. `body` holds what its first request said; with `made` it is complete: the generation that came of it."""

    id: str
    blob: str
    created: float
    body: Mapping[str, Any]

    @property
    def made(self) -> int | None:
        return self.body.get("made")


class ObjectStore:
    """To be used in one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def next_generation(self, now: float) -> int:
        """Microseconds of the clock, and greater than every one before, whatever the clock does."""
        query = "UPDATE counter SET generation = MAX(generation + 1, ?) RETURNING generation"
        return int(self._db.execute(query, (int(now * 1_000_000),)).fetchone()[0])

    # Versions.

    def put(self, version: Version) -> None:
        """Insert or replace."""
        row = (version.bucket, version.name, version.generation, version.metageneration, version.blob, version.size)
        times = (version.created, version.updated, version.ended, version.deleted)
        query = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._db.execute(query, (*row, *times, json.dumps(version.fields)))

    def drop(self, version: Version) -> None:
        where = (version.bucket, version.name, version.generation)
        self._db.execute("DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?", where)

    def live(self, bucket: str, name: str) -> Version | None:
        return next(self.select("bucket = ? AND name = ? AND ended IS NULL AND deleted IS NULL", bucket, name), None)

    def version(self, bucket: str, name: str, generation: int, *, soft: bool = False) -> Version | None:
        """One that is live or noncurrent; with `soft` one that is soft-deleted."""
        state = "deleted IS NOT NULL" if soft else "deleted IS NULL"
        return next(self.select(f"bucket = ? AND name = ? AND generation = ? AND {state}", bucket, name, generation), None)

    def count(self, bucket: str) -> int:
        """How many versions a bucket holds; what is soft-deleted is not among them."""
        return int(self._db.execute("SELECT COUNT(*) FROM objects WHERE bucket = ? AND deleted IS NULL", (bucket,)).fetchone()[0])

    def select(self, where: str, *values: Any, limit: int = -1) -> Iterator[Version]:
        """Versions in the order of their names (by bytes) and generations. `where` is SQL, its values are `values`."""
        query = f"SELECT * FROM objects WHERE {where} ORDER BY bucket, name, generation LIMIT ?"  # noqa: S608 (our own SQL, values apart)
        for row in self._db.execute(query, (*values, limit)).fetchall():
            yield _version(row)

    # Uploads.

    def upload(self, id_: str) -> Upload | None:
        row = self._db.execute("SELECT id, blob, created, body FROM uploads WHERE id = ?", (id_,)).fetchone()
        return None if row is None else Upload(id=row[0], blob=row[1], created=row[2], body=json.loads(row[3]))

    def put_upload(self, upload: Upload) -> None:
        """Insert or replace."""
        row = (upload.id, upload.blob, upload.created, json.dumps(upload.body))
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", row)

    def drop_upload(self, id_: str) -> None:
        self._db.execute("DELETE FROM uploads WHERE id = ?", (id_,))

    def finish_upload(self, upload: Upload, generation: int) -> None:
        """Its bytes belong to that version now."""
        self.put_upload(replace(upload, blob="", body={**upload.body, "made": generation}))

    def uploads_before(self, instant: float) -> list[Upload]:
        rows = self._db.execute("SELECT id, blob, created, body FROM uploads WHERE created < ?", (instant,)).fetchall()
        return [Upload(id=row[0], blob=row[1], created=row[2], body=json.loads(row[3])) for row in rows]

    def blobs(self) -> set[str]:
        """Every file that something owns."""
        return {row[0] for row in self._db.execute("SELECT blob FROM objects UNION SELECT blob FROM uploads")}

    # Events.

    def add_event(self, event: Mapping[str, Any], due: float) -> None:
        self._db.execute("INSERT INTO outbox (due, event) VALUES (?, ?)", (due, json.dumps(event)))

    def events_due(self, now: float) -> list[tuple[int, dict[str, Any]]]:
        """Number and content of what is to be told by now, the oldest first."""
        rows = self._db.execute("SELECT id, event FROM outbox WHERE due <= ? ORDER BY due, id", (now,)).fetchall()
        return [(int(id_), json.loads(event)) for id_, event in rows]

    def next_event(self) -> float | None:
        """When the first of those that wait is due."""
        due = self._db.execute("SELECT MIN(due) FROM outbox").fetchone()[0]
        return None if due is None else float(due)

    def move_event(self, id_: int, due: float) -> None:
        self._db.execute("UPDATE outbox SET due = ? WHERE id = ?", (due, id_))

    def drop_event(self, id_: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE id = ?", (id_,))


def _version(row: tuple[Any, ...]) -> Version:
    return Version(
        bucket=row[0],
        name=row[1],
        generation=row[2],
        metageneration=row[3],
        blob=row[4],
        size=row[5],
        created=row[6],
        updated=row[7],
        ended=row[8],
        deleted=row[9],
        fields=json.loads(row[10]),
    )

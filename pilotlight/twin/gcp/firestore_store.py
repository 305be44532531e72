"""Documents of all databases in one SQLite file, with transactions that are checked when they commit.

Every commit is on disk before it is answered. Transactions themselves live in memory: a client whose transaction is gone begins anew.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from pilotlight.twin.gcp import firestore_query, firestore_writes
from pilotlight.twin.gcp.firestore_values import Document
from pilotlight.twin.gcp.grpc_front import GrpcError, invalid

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, parent TEXT, body BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_parent ON documents (parent);
"""
# Firestore documentation, "Usage and limits": how long a transaction lives, and how long when nothing happens (read 2026-11).
TRANSACTION_S = 270.0
IDLE_S = 60.0
# Above every character that a name may hold, so that a range of names ends with it.
_LAST = "\U0010ffff"


@dataclass(kw_only=True)
class Transaction:
    """What it has read: versions of documents by name, and queries with what they gave."""

    database: str
    read_only: bool
    begun: float
    used: float
    documents: dict[str, int] = field(default_factory=dict)
    queries: list[tuple[str, Any, list[tuple[str, int]]]] = field(default_factory=list)


def micros(time: Timestamp) -> int:
    return int(time.seconds * 1_000_000 + time.nanos // 1000)


def version(document: Any | None) -> int:
    return 0 if document is None else micros(document.update_time)


class DocumentStore:
    """Thread-safe. Methods raise GrpcError with Firestore's status."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A commit is in the operating system's hands when it returns: it survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._transactions: dict[bytes, Transaction] = {}
        self._last = 0

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # Transactions.

    def begin(self, database: str, *, read_only: bool = False) -> bytes:
        with self._lock:
            now, id_ = self._now(), secrets.token_bytes(12)
            for old in [key for key, one in self._transactions.items() if self._over(one)]:
                del self._transactions[old]
            self._transactions[id_] = Transaction(database=database, read_only=read_only, begun=now, used=now)
            return id_

    def rollback(self, id_: bytes) -> None:
        """One that is gone is no error."""
        with self._lock:
            self._transactions.pop(id_, None)

    def held_by_others(self, names: Iterable[str], id_: bytes) -> bool:
        """Whether another transaction that may still write has read one of the documents."""
        with self._lock:
            others = [one for key, one in self._transactions.items() if key != id_ and not one.read_only and not self._over(one)]
            return any(name in one.documents for name in names for one in others)

    # Reads; in a transaction they are remembered.

    def read(self, names: Iterable[str], id_: bytes = b"") -> tuple[list[tuple[str, Any | None]], Timestamp]:
        """(name, document or None) of each, and the time of the read."""
        with self._lock:
            transaction = self._running(id_)
            found = [(name, self._get(name)) for name in names]
            if transaction is not None:
                for name, document in found:
                    transaction.documents.setdefault(name, version(document))
            return found, self._stamp()

    def query(self, parent: str, query: Any, id_: bytes = b"") -> tuple[list[Any], Timestamp]:
        """What a structured query below a document (or `…/documents`) gives."""
        with self._lock:
            transaction = self._running(id_)
            found = firestore_query.run(query, self._candidates(parent, query))
            if transaction is not None:
                transaction.queries.append((parent, query, _versions(found)))
            return found, self._stamp()

    def collection(self, path: str) -> list[Any]:
        """The documents of one collection, by name."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM documents WHERE parent = ? ORDER BY name", (path,))
            return [Document.FromString(body) for (body,) in rows]

    def names_below(self, path: str) -> list[str]:
        """Names of the documents below a path, also of those in collections of documents."""
        with self._lock:
            rows = self._db.execute("SELECT name FROM documents WHERE name > ? AND name < ? ORDER BY name", (f"{path}/", f"{path}/{_LAST}"))
            return [str(name) for (name,) in rows]

    # Writes.

    def commit(self, database: str, writes: Iterable[Any], id_: bytes = b"") -> tuple[list[Any], Timestamp]:
        """All writes or none; their results and the time of the commit. ABORTED where the transaction's reads are no longer true."""
        with self._lock:
            transaction = self._running(id_)
            writes = list(writes)
            if transaction is not None:
                del self._transactions[id_]
                if transaction.database != database:
                    raise invalid(f"The transaction belongs to {transaction.database}, not to {database}.")
                if transaction.read_only and writes:
                    raise invalid("A read-only transaction can't write.")
                self._require_unchanged(transaction)
            staged: dict[str, Any | None] = {}
            held = {name: self._get(name) for name in {firestore_writes.name_of(one) for one in writes}}
            time = self._stamp(max(map(version, held.values()), default=0))
            results = []
            for write in writes:
                name = firestore_writes.name_of(write)
                _require_within(database, name)
                written = firestore_writes.apply(write, staged[name] if name in staged else held[name], time)
                staged[name] = written.document
                if not written.result.HasField("update_time"):
                    written.result.update_time.CopyFrom(time)
                results.append(written.result)
            self._save(staged)
            return results, time

    def delete(self, names: Iterable[str]) -> None:
        with self._lock:
            self._save(dict.fromkeys(names))

    def drop(self, database: str) -> None:
        """Every document of a database that is deleted."""
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE name > ? AND name < ?", (f"{database}/", f"{database}/{_LAST}"))

    def in_group(self, database: str, collection: str) -> Iterator[Any]:
        """Documents of all collections of an id."""
        query = firestore_query.Query()
        query.from_.add(collection_id=collection, all_descendants=True)
        with self._lock:
            yield from self._candidates(f"{database}/documents", query)

    def _get(self, name: str) -> Any | None:
        row = self._db.execute("SELECT body FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else Document.FromString(row[0])

    def _candidates(self, parent: str, query: Any) -> list[Any]:
        sources = list(query.from_)
        if len(sources) != 1 or not sources[0].collection_id:
            raise invalid("A query names exactly one collection: use `from` with one collectionId.")
        source = sources[0]
        if not source.all_descendants:
            return self.collection(f"{parent}/{source.collection_id}")
        rows = self._db.execute("SELECT body, parent FROM documents WHERE name > ? AND name < ?", (f"{parent}/", f"{parent}/{_LAST}"))
        return [Document.FromString(body) for body, path in rows if path.rsplit("/", 1)[1] == source.collection_id]

    def _save(self, staged: dict[str, Any | None]) -> None:
        self._db.execute("BEGIN")
        try:
            for name, document in staged.items():
                if document is None:
                    self._db.execute("DELETE FROM documents WHERE name = ?", (name,))
                else:
                    row = (name, name.rsplit("/", 1)[0], document.SerializeToString())
                    self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", row)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _running(self, id_: bytes) -> Transaction | None:
        if not id_:
            return None
        transaction = self._transactions.get(id_)
        if transaction is None or self._over(transaction):
            self._transactions.pop(id_, None)
            raise invalid("The referenced transaction has expired or is no longer valid.")
        transaction.used = self._now()
        return transaction

    def _over(self, transaction: Transaction) -> bool:
        now = self._now()
        return now > transaction.begun + TRANSACTION_S or now > transaction.used + IDLE_S

    def _require_unchanged(self, transaction: Transaction) -> None:
        same = all(version(self._get(name)) == read for name, read in transaction.documents.items()) and all(
            _versions(firestore_query.run(query, self._candidates(parent, query))) == read for parent, query, read in transaction.queries
        )
        if not same and not transaction.read_only:
            text = "Aborted due to cross-transaction contention. This occurs when multiple transactions attempt to access the same data."
            raise GrpcError(grpc.StatusCode.ABORTED, text)

    def _stamp(self, above: int = 0) -> Timestamp:
        """The time, in microseconds: later than every other one of this process, and than `above`.

        Documents may be of the future, since a clock that was moved ahead is back at the machine's time after a restart.
        """
        self._last = max(int(self._now() * 1_000_000), self._last + 1)
        stamp = max(self._last, above + 1)
        return Timestamp(seconds=stamp // 1_000_000, nanos=stamp % 1_000_000 * 1000)


def _versions(documents: Iterable[Any]) -> list[tuple[str, int]]:
    return [(one.name, version(one)) for one in documents]


def _require_within(database: str, name: str) -> None:
    if not name.startswith(f"{database}/documents/"):
        raise invalid(f"Document {name!r} is not in the database {database!r} of the request.")

"""`python -m pilotlight.twin.emulator_host`: ministack as the twin runs it, configured by its own variables (`emulators.py` sets them).

Three things differ from ministack's own start. Tables, their items and the settings of buckets are on disk before a request is answered,
so that an emulator that is killed loses nothing it has acknowledged (ministack saves them when it is ended politely). Objects are sent
from their files as clients take them (`emulated_reads.py`). And it is served by uvicorn, which takes 0.4 ms less processor time a request
than its own server. It hooks into ministack's inner functions, which is why the version is pinned (`locks/tool.in`); a test kills it in
the middle of work.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from pilotlight.twin.emulated_reads import stream_objects

# Connections of the front rest longer than this only when nothing is asked for; then the next request opens one.
KEEP_ALIVE_S = 75
GRACE_S = 2
# DynamoDB operations that change more than items.
_CONTROL = ("CreateTable", "DeleteTable", "UpdateTable", "UpdateTimeToLive", "UpdateContinuousBackups", "TagResource", "UntagResource")
Change = tuple[str, str, str, str | None]


class Items:
    """The items of every table in one SQLite file. A change is (table ARN, partition key, sort key, item or None), the last two JSON."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            "CREATE TABLE IF NOT EXISTS items (place TEXT, partition TEXT, sort TEXT, item TEXT, PRIMARY KEY (place, partition, sort))"
        )

    def write(self, changes: list[Change]) -> None:
        """All of them or, should the process end now, none."""
        with self._lock:
            self._db.execute("BEGIN")
            for place, partition, sort, item in changes:
                if item is None:
                    self._db.execute("DELETE FROM items WHERE place = ? AND partition = ? AND sort = ?", (place, partition, sort))
                else:
                    self._db.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", (place, partition, sort, item))
            self._db.execute("COMMIT")

    def replace(self, place: str, rows: list[tuple[str, str, str]]) -> None:
        """Exactly these items for one table."""
        with self._lock:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM items WHERE place = ?", (place,))
            self._db.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", [(place, *row) for row in rows])
            self._db.execute("COMMIT")

    def keep_only(self, places: set[str]) -> None:
        """Forget the items of tables that are gone."""
        with self._lock:
            gone = [place for (place,) in self._db.execute("SELECT DISTINCT place FROM items") if place not in places]
            self._db.executemany("DELETE FROM items WHERE place = ?", [(place,) for place in gone])

    def of(self, place: str) -> list[tuple[str, str, dict[str, Any]]]:
        with self._lock:
            rows = self._db.execute("SELECT partition, sort, item FROM items WHERE place = ?", (place,)).fetchall()
        return [(partition, sort, json.loads(item)) for partition, sort, item in rows]


def make_tables_durable(dynamodb: Any, persistence: Any, items: Items) -> None:
    """Hook into ministack's DynamoDB: items are written with each request, the rest with each change of a table."""
    pending: list[Change] = []
    serving = threading.local()
    set_item, remove_item, replaced = dynamodb._set_item, dynamodb._remove_item, dynamodb._items_replaced
    state_of, restore, handle = dynamodb.get_state, dynamodb.load_persisted_state, dynamodb.handle_request

    def note(change: Change) -> None:
        # The reaper of expired items runs in a thread of its own.
        if getattr(serving, "request", False):
            pending.append(change)
        else:
            items.write([change])

    def noted_set(table: Any, partition: str, sort: str, item: Any) -> Any:
        note((table["TableArn"], partition, sort, json.dumps(item)))
        return set_item(table, partition, sort, item)

    def noted_remove(table: Any, partition: str, sort: str) -> Any:
        note((table["TableArn"], partition, sort, None))
        return remove_item(table, partition, sort)

    def noted_replace(table: Any) -> None:
        replaced(table)
        # What the request has noted until now is part of the whole that is written here.
        pending[:] = [change for change in pending if change[0] != table["TableArn"]]
        rows = [(partition, sort, json.dumps(item)) for partition, held in table["items"].items() for sort, item in held.items()]
        items.replace(table["TableArn"], rows)

    def state() -> dict[str, Any]:
        emptied = [(table, table["items"]) for table in dynamodb._tables.all_values()]
        for table, _ in emptied:
            table["items"] = {}
        try:
            found: dict[str, Any] = state_of()
            return found
        finally:
            for table, held in emptied:
                table["items"] = held

    def load(data: Any) -> None:
        restore(data)
        for table in dynamodb._tables.all_values():
            table["items"] = defaultdict(dict, table["items"])
            for partition, sort, item in items.of(table["TableArn"]):
                table["items"][partition][sort] = item
            replaced(table)

    async def handled(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        serving.request = True
        try:
            answer = await handle(method, path, headers, body, query)
        finally:
            serving.request = False
            if pending:
                items.write(pending)
                pending.clear()
        if headers.get("x-amz-target", "").rpartition(".")[2] in _CONTROL:
            persistence.save_state("dynamodb", state())
            items.keep_only({table["TableArn"] for table in dynamodb._tables.all_values()})
        return answer

    dynamodb._set_item, dynamodb._remove_item, dynamodb._items_replaced = noted_set, noted_remove, noted_replace
    dynamodb.get_state, dynamodb.load_persisted_state, dynamodb.handle_request = state, load, handled


def make_buckets_durable(s3: Any, persistence: Any) -> None:
    """Hook into ministack's S3: the settings of buckets are written with each change; objects are files already."""
    dispatch: Callable[..., Any] = s3._dispatch

    def dispatched(method: str, bucket: str, key: str, headers: Any, body: bytes, query: Any) -> Any:
        answer = dispatch(method, bucket, key, headers, body, query)
        if method in ("PUT", "DELETE") and bucket and not key:
            persistence.save_state("s3", s3.get_state())
        return answer

    s3._dispatch = dispatched


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    from ministack import app  # type: ignore[import-untyped]
    from ministack.core import persistence  # type: ignore[import-untyped]
    from ministack.services import dynamodb, s3  # type: ignore[import-untyped]

    make_tables_durable(dynamodb, persistence, Items(Path(persistence.STATE_DIR) / "items.sqlite3"))
    make_buckets_durable(s3, persistence)
    stream_objects(s3)
    uvicorn.run(
        app.app,
        host=os.environ["BIND_HOST"],
        port=int(os.environ["GATEWAY_PORT"]),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )


if __name__ == "__main__":
    main()

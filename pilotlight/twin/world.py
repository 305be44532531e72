"""Every resource that the twin's account holds, kept in one SQLite file so that it survives a restart."""

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (token TEXT, id TEXT, urn TEXT, inputs TEXT, outputs TEXT, PRIMARY KEY (token, id));
CREATE TABLE IF NOT EXISTS confirmed (token TEXT, id TEXT, PRIMARY KEY (token, id));
"""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the engine knows it. `outputs` includes the inputs; all keys are Pulumi's camelCase names."""

    token: str
    id: str
    urn: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.outputs[key]

    def get(self, key: str, default: Any = None) -> Any:
        value = self.outputs.get(key)
        return default if value is None else value


class World:
    """Resources by (token, id). Thread-safe; reads are from memory, writes are in the operating system's hands before they return.

    `version` is another number after every change.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._rows: dict[tuple[str, str], Resource] = {}
        # The same by type: every request looks for roles and policies.
        self._kinds: dict[str, dict[str, Resource]] = {}
        self._watchers: dict[str, list[Callable[[str], None]]] = {}
        self.version = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # As the queues have it (sqs_store.py): a commit survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._confirmed: set[tuple[str, str]] = set(self._db.execute("SELECT token, id FROM confirmed"))
        for token, id_, urn, inputs, outputs in self._db.execute("SELECT token, id, urn, inputs, outputs FROM resources ORDER BY rowid"):
            self._keep(Resource(token=token, id=id_, urn=urn, inputs=json.loads(inputs), outputs=json.loads(outputs)))

    def put(self, resource: Resource) -> None:
        """Insert or replace."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)",
                (resource.token, resource.id, resource.urn, json.dumps(resource.inputs), json.dumps(resource.outputs)),
            )
            self._keep(resource)
        self._tell(resource.token, resource.id)

    def delete(self, token: str, id: str) -> None:
        """Remove; a resource that is not there is no error."""
        with self._lock:
            self._db.execute("DELETE FROM resources WHERE token = ? AND id = ?", (token, id))
            self._db.execute("DELETE FROM confirmed WHERE token = ? AND id = ?", (token, id))
            self._rows.pop((token, id), None)
            self._kinds.get(token, {}).pop(id, None)
            self.version += 1
            self._confirmed.discard((token, id))
        self._tell(token, id)

    def confirm(self, token: str, id: str) -> None:
        """The engine has named this resource by its id, so its state holds it."""
        with self._lock:
            if (token, id) in self._rows and (token, id) not in self._confirmed:
                self._db.execute("INSERT OR IGNORE INTO confirmed VALUES (?, ?)", (token, id))
                self._confirmed.add((token, id))

    def unconfirmed(self, urn: str) -> list[Resource]:
        """Resources of that URN that the engine has never named since they were created: left by an engine that was killed."""
        with self._lock:
            return [resource for resource in self.by_urn(urn) if (resource.token, resource.id) not in self._confirmed]

    def watch(self, token: str, changed: Callable[[str], None]) -> None:
        """Call `changed` with the id of a resource of that type after it was put or deleted, in the thread that did it."""
        self._watchers.setdefault(token, []).append(changed)

    def get(self, token: str, id: str) -> Resource | None:
        with self._lock:
            return self._rows.get((token, id))

    def find(self, token: str, **outputs: Any) -> list[Resource]:
        """Resources of a type whose top-level outputs equal the given values."""
        with self._lock:
            return [
                resource
                for resource in self._kinds.get(token, {}).values()
                if all(resource.outputs.get(key) == value for key, value in outputs.items())
            ]

    def one(self, token: str, **outputs: Any) -> Resource | None:
        """The first match of `find`, or None."""
        return next(iter(self.find(token, **outputs)), None)

    def by_urn(self, urn: str) -> list[Resource]:
        with self._lock:
            return [resource for resource in self._rows.values() if resource.urn == urn]

    def all(self) -> list[Resource]:
        with self._lock:
            return list(self._rows.values())

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _keep(self, resource: Resource) -> None:
        self._rows[resource.token, resource.id] = resource
        self._kinds.setdefault(resource.token, {})[resource.id] = resource
        self.version += 1

    def _tell(self, token: str, id: str) -> None:
        for changed in self._watchers.get(token, ()):
            changed(id)

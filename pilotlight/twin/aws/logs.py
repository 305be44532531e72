"""Log groups that hold lines: one file per group under the twin's home, written only by who may write."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import World

if TYPE_CHECKING:
    from pilotlight.twin.iam import Iam

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
# A group keeps about this much: twice it is rewritten to its newer half. The twin's home must not fill a disk.
GROUP_BYTES = 8 * 1024 * 1024
# CloudWatch Logs quotas: an event is at most 1 MB with 26 bytes of overhead.
EVENT_BYTES = 1_048_576 - 26
Listener = Callable[[str, list[tuple[float, str]]], None]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line; times in milliseconds since the epoch. `number` rises over the group's whole life."""

    number: int
    timestamp: int
    ingested: int
    stream: str
    message: str

    @property
    def id(self) -> str:
        return f"{self.number:056d}"


class Logs:
    """Groups, streams, events. Thread-safe: functions and endpoints write from threads of their own.

    Whether a group exists is the world's to say (`aws:cloudwatch/logGroup:LogGroup`), and this class's for those that a role created by
    writing. `now` gives seconds since the epoch.
    """

    def __init__(self, home: Path, world: World, iam: Iam, *, account: str, region: str, now: Callable[[], float] = time.time) -> None:
        self._folder = home / "logs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._world = world
        self._iam = iam
        self._now = now
        self._account = account
        self._region = region
        self._lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._listeners: list[Listener] = []

    def listen(self, heard: Listener) -> None:
        """Call `heard` with every line that is written: (group, [(seconds since the epoch, line), …]), in the thread that writes."""
        self._listeners.append(heard)

    def arn(self, group: str) -> str:
        return f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}"

    def create_group(self, group: str) -> None:
        """Make the group able to hold lines; one that is there stays as it is."""
        with self._lock:
            self._path(group).touch()

    def delete_group(self, group: str) -> None:
        """Drop the group with everything in it; no error where it is not there."""
        with self._lock:
            self._path(group).unlink(missing_ok=True)
            self._numbers.pop(group, None)

    def exists(self, group: str) -> bool:
        return self._path(group).exists() or self._world.one(LOG_GROUP, name=group) is not None

    def groups(self, prefix: str = "") -> list[str]:
        """The names of all groups, sorted."""
        held = {unquote(path.stem) for path in self._folder.glob("*.jsonl")}
        declared = {str(resource["name"]) for resource in self._world.find(LOG_GROUP)}
        return sorted(name for name in held | declared if name.startswith(prefix))

    def write(self, group: str, stream: str, lines: Iterable[str], role_arn: str | None, moments: Iterable[float] | None = None) -> None:
        """Append lines as the role (None: the twin itself, or a service's own right); `moments` says when each was written, else now.

        They are lost, without an error, where the group is missing and the role may not create it, or where it may not put: on AWS a
        function does not hear of it either.
        """
        arn = self.arn(group)
        with self._lock:
            if not self.exists(group):
                if role_arn is None or not self._iam.allowed(role_arn, "logs:CreateLogGroup", f"{arn}:*"):
                    return
                self.create_group(group)
            if role_arn is not None and not self._iam.allowed(role_arn, "logs:PutLogEvents", f"{arn}:log-stream:{stream}"):
                return
            held = list(lines)
            times = [self._now()] * len(held) if moments is None else moments
            self.append(group, stream, [(int(moment * 1000), line) for moment, line in zip(times, held, strict=True)])

    def append(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        """Append (timestamp, message) pairs, an empty list makes the stream known. Refusal where the group is missing."""
        with self._lock:
            if not self.exists(group):
                raise Refusal("ResourceNotFoundException", "The specified log group does not exist.", 400)
            number = self._numbers.get(group)
            if number is None:
                number = max((event.number for event in self._read(group)), default=0)
            ingested = int(self._now() * 1000)
            # Time 0 marks a stream that was created and holds nothing yet.
            rows = [(timestamp, ingested, stream, message[:EVENT_BYTES]) for timestamp, message in events] or [(0, ingested, stream, "")]
            text = self._break(group)
            for row in rows:
                number += 1
                text += json.dumps([number, *row], ensure_ascii=False, separators=(",", ":")) + "\n"
            self._numbers[group] = number
            path = self._path(group)
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(text)
            if path.stat().st_size > 2 * GROUP_BYTES:
                self._shorten(path)
        for heard in self._listeners:
            heard(group, [(timestamp / 1000, message) for timestamp, message in events])

    def events(self, group: str) -> list[Event]:
        """Every event of a group, by time; Refusal where there is no such group."""
        with self._lock:
            if not self.exists(group):
                raise Refusal("ResourceNotFoundException", "The specified log group does not exist.", 400)
            return sorted((event for event in self._read(group) if event.timestamp), key=lambda event: (event.timestamp, event.number))

    def streams(self, group: str) -> dict[str, list[Event]]:
        """Streams by name with their events, empty ones included; Refusal where there is no such group."""
        with self._lock:
            if not self.exists(group):
                raise Refusal("ResourceNotFoundException", "The specified log group does not exist.", 400)
            streams: dict[str, list[Event]] = {}
            for event in self._read(group):
                held = streams.setdefault(event.stream, [])
                if event.timestamp:
                    held.append(event)
            return streams

    def size(self, group: str) -> int:
        """Bytes that the group holds."""
        path = self._path(group)
        return path.stat().st_size if path.exists() else 0

    def _path(self, group: str) -> Path:
        return self._folder / f"{quote(group, safe='')}.jsonl"

    def _read(self, group: str) -> Iterator[Event]:
        path = self._path(group)
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    number, timestamp, ingested, stream, message = json.loads(line)
                except ValueError:
                    # The last line of a twin that was killed while writing.
                    continue
                yield Event(number=number, timestamp=timestamp, ingested=ingested, stream=stream, message=message)

    def _break(self, group: str) -> str:
        """A line break where a killed twin left half a line, so that the next event is not lost with it."""
        path = self._path(group)
        if group in self._numbers or not path.exists() or path.stat().st_size == 0:
            return ""
        with path.open("rb") as file:
            file.seek(-1, 2)
            return "" if file.read(1) == b"\n" else "\n"

    def _shorten(self, path: Path) -> None:
        content = path.read_bytes()[-GROUP_BYTES:]
        newer = path.with_suffix(".tmp")
        newer.write_bytes(content[content.find(b"\n") + 1 :])
        newer.replace(path)

"""`upload`: objects for an event stack, and, when asked for, what becomes of each."""

import json
import mimetypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.call import outputs_of
from pilotlight.cli.clouds import Objects, cloud_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.results import short
from pilotlight.cli.session import open_session
from pilotlight.cli.upload_watch import Object, Watch

_TYPES = {".jsonl": "application/x-ndjson", ".ndjson": "application/x-ndjson", ".json": "application/json", ".txt": "text/plain"}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What the user asked for. `key` ends in / where it is a folder."""

    stack: str
    folder: Path
    where: Where | None
    files: tuple[Path, ...]
    key: str | None = None
    wait: bool = False
    max_wait: float = 900
    as_json: bool = False


def upload(asked: Upload) -> Exit:
    """Put the files into the stack's bucket. With `wait` 4 where one gets no result, 1 where one is pending at the end."""
    session = open_session(asked.folder, asked.where, asked.stack)
    outputs = outputs_of(session, asked.stack, pattern="events")
    events = session.project.service(asked.stack).get("events")
    keys = keys_of(asked.files, asked.key, events if isinstance(events, Mapping) else {})
    cloud = cloud_of(session, asked.stack, outputs)
    objects = _put(cloud.objects(), keys)
    watch = Watch(cloud, asked.stack, outputs, asked.max_wait) if asked.wait else None
    if watch:
        objects = watch.follow(objects)
    if asked.as_json:
        sys.stdout.write(json.dumps({"stack": asked.stack, "objects": [one.document() for one in objects]}, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{_line(one)}\n" for one in objects)
    states = {one.state for one in objects}
    if watch and watch.interrupted:
        return Exit.INTERRUPTED
    return Exit.FAILED if "pending" in states else Exit.ANSWERED_ERROR if states & {"dead", "refused"} else Exit.OK


def keys_of(files: Sequence[Path], key: str | None, events: Mapping[str, Any]) -> dict[str, Path]:
    """Key -> file. Raises CommandError for a file that is not there, and for a key that would start nothing."""
    if key is not None and len(files) > 1 and not key.endswith("/"):
        raise CommandError(f"--key {key}: {len(files)} files can't have one key: end it with / to name a folder.")
    folder = str(events.get("prefix") or "") if key is None else key if key.endswith("/") else None
    keys: dict[str, Path] = {}
    for file in files:
        if not file.is_file():
            raise CommandError(f"{file} is no file: name the files that become objects.")
        name = str(key) if folder is None else folder + file.name
        if name in keys:
            raise CommandError(f"{keys[name]} and {file} would both be the object {name}: upload them one by one, with --key.")
        _passes(name, file, events)
        keys[name] = file
    return keys


def _passes(key: str, file: Path, events: Mapping[str, Any]) -> None:
    """Raise CommandError when the stack's filters pass over such an object."""
    prefix, suffixes, least = str(events.get("prefix") or ""), events.get("suffixes") or [], events.get("minObjectBytes", 1)
    if not key.startswith(prefix):
        raise CommandError(f"{key} would start nothing: the stack takes objects whose key begins with {prefix!r} (events.prefix).")
    if suffixes and not key.endswith(tuple(map(str, suffixes))):
        raise CommandError(
            f"{key} would start nothing: the stack takes objects whose key ends with {' or '.join(map(repr, suffixes))} (events.suffixes)."
        )
    if isinstance(least, int) and file.stat().st_size < least:
        raise CommandError(f"{file} has {file.stat().st_size} bytes: objects of less than {least} are passed over (events.minObjectBytes).")


def _put(place: Objects, keys: Mapping[str, Path]) -> list[Object]:
    objects = []
    for key, file in keys.items():
        content_type = _TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        try:
            version = place.put(file, key, content_type)
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}") from error
        objects.append(Object(file=str(file), id=(f"{place.bucket}/{key}", version)))
        say(f"{file} is {key}, version {version}")
    return objects


def _line(one: Object) -> str:
    ended = {
        "done": short(one.row.result) if one.row else "",
        "dead": f"is among the dead letters: {one.reason}",
        "refused": f"gets no result, and will be among the dead letters: {one.reason}",
        "pending": "is pending",
    }
    return f"{one.key}  {one.id[1]}  {ended.get(one.state, '')}".rstrip()

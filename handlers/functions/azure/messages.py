"""Messages as attempts leave them: what is known of earlier attempts travels in the message itself, and dead letters tell all of it.

A queue counts how often a message was taken, and no more. What that count does not tell (attempts that were none of the message's own,
why the last one ended) is a member of the message's JSON, written where the message is put off ("Update Message"). Pure.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NOTE = "pilotlight"
# Characters of a reason; and of a message that is no JSON, or fits no letter: six bytes each at most where JSON escapes them.
_REASON, _TEXT = 500, 6_000
# What a message has in base64, of 64 KiB ("Put Message").
MOST_BYTES = 65_536 // 4 * 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Of the attempts so far `spared` used none up, and `words` left a word; the first one began at `since` (seconds since 1970, 0 where
    nobody wrote it down). `last` is why the last one that left a word ended, `permanent` whether no further one can help."""

    spared: int = 0
    words: int = 0
    since: float = 0.0
    last: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """A message without its note; `told` is its JSON object, None where it is none."""

    body: bytes
    note: Note
    told: Mapping[str, Any] | None

    @classmethod
    def read(cls, body: bytes) -> "Noted":
        """Whatever a message holds: a note that can't be read counts as none."""
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            return cls(body, Note(), None)
        if not isinstance(told, dict):
            return cls(body, Note(), None)
        if NOTE not in told:
            return cls(body, Note(), told)
        note = _note(told.pop(NOTE))
        without = _json(told)
        return cls(body if without is None else without, note, told)

    def with_note(self, note: Note) -> bytes | None:
        """The message with a note, None where there is no room for it, or it can't be written."""
        return None if self.told is None else _fitting({**self.told, NOTE: asdict(note)})

    @property
    def request_id(self) -> str | None:
        """The correlation id: an answer's, Azure Storage's own of an upload, an event's."""
        told = self.told or {}
        data = told.get("data")
        found = told.get("requestId") or (data.get("requestId") if isinstance(data, dict) else None) or told.get("id")
        return str(found)[:_REASON] if isinstance(found, str | int | float) else None

    def letter(self, reason: str, *, message_id: str, attempts: int, permanent: bool) -> bytes:
        """The dead letter: the message as `event`, as `message` where it is no JSON object that can be written here, and why. Who has sent
        a letter again knows by the message's id what came back of that."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        why: dict[str, Any] = {"reason": reason[:_REASON], "attempts": attempts, "permanent": permanent}
        why |= {"requestId": self.request_id, "messageId": message_id, "at": at}
        whole = None if self.told is None else _fitting({**why, "event": self.told})
        return whole or _written({**why, "message": self.body.decode(errors="replace")[:_TEXT]})


def _note(value: Any) -> Note:
    try:
        return Note(
            spared=max(0, int(value["spared"])),
            words=max(0, int(value["words"])),
            since=float(value["since"]),
            last=str(value["last"])[:_REASON],
            permanent=value["permanent"] is True,
        )
    except (TypeError, KeyError, ValueError, OverflowError):
        return Note()


def _fitting(value: Any) -> bytes | None:
    """As a message has it, None where there is no room for it in one."""
    body = _json(value)
    return body if body is not None and len(body) <= MOST_BYTES else None


def _json(value: Any) -> bytes | None:
    """None for what is nested too deeply to be written from here, though it could be read."""
    try:
        return _written(value)
    except RecursionError:
        return None


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

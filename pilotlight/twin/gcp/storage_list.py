"""Listing: pages of a bucket's objects, with what lies below a delimiter told as one prefix."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotlight.twin.gcp.storage_conditions import flag, number
from pilotlight.twin.gcp.storage_store import ObjectStore, Version
from pilotlight.twin.rows import Refusal

# JSON API, "Objects: list": `maxResults` (read 2026-11).
MOST = 1000
_STATES = {"live": "ended IS NULL AND deleted IS NULL", "versions": "deleted IS NULL", "soft": "deleted IS NOT NULL"}
# After what: a name and a generation.
_Place = tuple[str, int]


@dataclass(kw_only=True)
class Page:
    """`token` asks for the next one; None is the end."""

    items: list[Version] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    token: str | None = None


def page(store: ObjectStore, bucket: str, query: Mapping[str, str]) -> Page:
    """The page that these parameters ask for. Refusal for parameters that make no sense, and those that the twin does not know."""
    if "matchGlob" in query or "filter" in query:
        raise Refusal("notImplemented", "The twin lists by prefix and delimiter, not by matchGlob or filter.", 501)
    asked = number(query, "maxResults")
    if asked is not None and asked < 1:
        raise Refusal("invalid", f"Invalid value for maxResults: {asked}: use 1 to {MOST}.")
    walk = _Walk(store, bucket, query, min(asked or MOST, MOST))
    return walk.page()


class _Walk:
    def __init__(self, store: ObjectStore, bucket: str, query: Mapping[str, str], most: int) -> None:
        self._store, self._bucket, self._most = store, bucket, most
        self._prefix, self._delimiter = query.get("prefix", ""), query.get("delimiter", "")
        self._trailing = flag(query, "includeTrailingDelimiter")
        versions, soft = flag(query, "versions"), flag(query, "softDeleted")
        if versions and soft:
            raise Refusal("invalid", "versions and softDeleted cannot be asked for together.")
        self._state = _STATES["soft" if soft else "versions" if versions else "live"]
        self._first = max(self._prefix, query.get("startOffset", ""))
        ends = [end for end in (_successor(self._prefix), query.get("endOffset")) if end]
        self._end = min(ends, default=None)
        self._place: _Place = _read(query["pageToken"]) if query.get("pageToken") else ("", -1)
        self._page = Page()

    def page(self) -> Page:
        while self._batch():
            pass
        return self._page

    def _batch(self) -> bool:
        """Take what comes next; whether there may be more."""
        where = f"bucket = ? AND (name, generation) > (?, ?) AND name >= ? AND {self._state}"
        values = [self._bucket, *self._place, self._first]
        if self._end is not None:
            where, values = f"{where} AND name < ?", [*values, self._end]
        found = list(self._store.select(where, *values, limit=self._most + 1))
        for version in found:
            below = self._below(version.name)
            if below is not None and self._page.prefixes[-1:] == [below]:
                continue
            if len(self._page.items) + len(self._page.prefixes) >= self._most:
                self._page.token = _written(self._place)
                return False
            if below is None or (self._trailing and version.name == below):
                self._page.items.append(version)
            self._place = (version.name, version.generation)
            if below is not None:
                self._page.prefixes.append(below)
                # Whatever else lies below it is passed over.
                self._place = (_successor(below) or below, -1)
        return len(found) > self._most

    def _below(self, name: str) -> str | None:
        """The prefix that a name is told by."""
        at = name.find(self._delimiter, len(self._prefix)) if self._delimiter else -1
        return None if at < 0 else name[: at + len(self._delimiter)]


def _successor(prefix: str) -> str | None:
    """The first text that is greater than everything that begins so; None where there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code <= 0x10FFFF:
            # Half a pair of UTF-16 is no character.
            return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)
        prefix = prefix[:-1]
    return None


def _written(place: _Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read(token: str) -> _Place:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
        return str(name), int(generation)
    except (ValueError, TypeError):
        raise Refusal("invalid", "Invalid value for pageToken: use the nextPageToken of the page before.") from None

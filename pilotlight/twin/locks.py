"""What the provider servers of one twin share, so that their threads do not meet."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator

from pilotlight.twin.rows import Refusal, Row
from pilotlight.twin.world import World


class Locks:
    """One operation a URN at a time, one creation a name at a time."""

    def __init__(self) -> None:
        self._urns: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._guard = threading.Lock()
        self._claimed: set[tuple[str, str]] = set()

    def urn(self, urn: str) -> threading.RLock:
        with self._guard:
            return self._urns[urn]

    @contextlib.contextmanager
    def claim(self, row: Row, id_: str, urn: str, world: World) -> Iterator[None]:
        """Two stacks that create the same name at once: one of them is refused, as it would be a moment later.

        What a killed engine left under this URN and could not be removed (a bucket that must not lose its objects) is taken over.
        """
        key = (row.token, id_)
        with self._guard:
            there = world.get(*key)
            taken = there is not None and there not in world.unconfirmed(urn)
            if not row.upsert and (key in self._claimed or taken):
                raise Refusal("AlreadyExists", f"{row.token} {id_!r} exists already: choose another name, or import it.", 409)
            self._claimed.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._claimed.discard(key)

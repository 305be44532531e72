"""What becomes of uploaded objects: a row, a refusal, a place among the dead letters."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pilotlight.cli.app import say
from pilotlight.cli.clouds import Cloud, Row, VersionId, dead_letters_of
from pilotlight.cli.failures import REASONS, reasons

# Between two looks at the table: from the first to the last of them.
FIRST_S, LAST_S = 0.3, 3.0
# Looking at a dead letter takes it from the others for a moment, so not at every look at the table.
DEAD_EVERY_S = 5.0
DEAD_LOOKED_AT = 1000
State = Literal["uploaded", "done", "dead", "refused", "pending"]


@dataclass(frozen=True, kw_only=True)
class Object:
    """One uploaded file and what became of it."""

    file: str
    id: VersionId
    state: State = "uploaded"
    row: Row | None = field(default=None, repr=False)
    reason: str | None = None

    @property
    def key(self) -> str:
        return self.id[0].partition("/")[2]

    def document(self) -> dict[str, Any]:
        found = {"file": self.file, "key": self.key, "object": self.id[0], "version": self.id[1], "state": self.state}
        if self.row is not None:
            found |= {"result": self.row.result, "at": self.row.at, "requestId": self.row.request_id}
        return found | ({"reason": self.reason} if self.reason else {})


class Watch:
    """Where the uploaded objects may be found again: in the table, or among the dead letters."""

    def __init__(self, cloud: Cloud, stack: str, outputs: Mapping[str, Any], max_wait: float) -> None:
        self._stack, self._max_wait = stack, max_wait
        self.interrupted = False
        # The versions are new, so that nothing older is about them; a minute for clocks that differ.
        self._since = int((time.time() - 60) * 1000)
        self._rows, self._dead, self._logs = cloud.results(), dead_letters_of(cloud, stack, outputs), cloud.logs()

    def follow(self, objects: list[Object]) -> list[Object]:
        """The objects with what became of them; Ctrl-C and the end of the time leave the others pending."""
        ended: dict[VersionId, Object] = {}
        started, pause, looked = time.monotonic(), FIRST_S, 0.0
        try:
            while len(ended) < len(objects):
                wanted = {one.id: one for one in objects if one.id not in ended}
                ended |= {id_: replace(wanted.pop(id_), state="done", row=row) for id_, row in self._rows.those(wanted).items()}
                open_ = list(wanted.values())
                now = time.monotonic()
                if open_ and now - looked >= DEAD_EVERY_S:
                    looked = now
                    ended |= {one.id: one for one in [*self._refused(open_), *self._died(open_)]}
                if now - started > self._max_wait:
                    break
                if len(ended) < len(objects):
                    time.sleep(pause)
                    pause = min(LAST_S, pause * 1.5)
        except KeyboardInterrupt:
            self.interrupted = True
            say(f"Interrupted: what is pending goes on; `pilotlight results {self._stack}` shows it later.")
        return [ended.get(one.id, replace(one, state="pending")) for one in objects]

    def _refused(self, open_: list[Object]) -> list[Object]:
        """Those of the first few that no further attempt will help: they are tried as often as any, and that takes long."""
        found = [(one, self._logs.failure(one.id[1], self._since)) for one in open_[:REASONS]]
        return [replace(one, state="refused", reason=failure.reason) for one, failure in found if failure and failure.permanent]

    def _died(self, open_: list[Object]) -> list[Object]:
        wanted = {one.id: one for one in open_}
        letters = [letter for letter in self._dead.look(DEAD_LOOKED_AT).letters if wanted.keys() & set(letter.about)]
        why = reasons(self._logs, letters)
        return [
            replace(wanted[id_], state="dead", reason=why.get(letter.message_id, f"see `pilotlight logs {self._stack}`"))
            for letter in letters
            for id_ in letter.about
            if id_ in wanted
        ]

"""Results as rows of a table that knows conditions, whatever the cloud: each written once, sent at least once where there is a queue.

There is no lock: a cloud's folder writes a row and the pointer of its object together, on conditions that one of several writers meets.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from handlers.functions import outcomes
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.pipeline import PARALLEL
from handlers.functions.rest import ApiError
from handlers.functions.rows import INLINE_BYTES, Row, large_name
from handlers.functions.versions import ObjectVersion, Result, VersionId


class RowResults(ABC):
    """Results of the pipeline for `task`; those of more than `inline_bytes` lie beside the rows. With `sends` every row is sent as well,
    and is its own outbox until it is marked so."""

    def __init__(self, *, task: str, sends: bool, inline_bytes: int = INLINE_BYTES) -> None:
        self._task = task
        self._sends = sends
        self._inline_bytes = inline_bytes
        self._writers = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="results")

    def settled(self, versions: Sequence[ObjectVersion]) -> dict[VersionId, Outcome]:
        """Those that have a row, sent by now where there is a queue. Raises Unavailable when it can't be read."""
        return self._settled([version.id for version in versions])

    def record(self, results: Sequence[Result]) -> dict[VersionId, Outcome]:
        """A row for each result that has none, then the messages."""
        made = list(self._writers.map(self._recorded, results) if len(results) > 1 else map(self._recorded, results))
        found = {result.version.id: outcome for result, (_, outcome) in zip(results, made, strict=True)}
        if not self._sends:
            return found
        found |= self._send([row for row, outcome in made if row is not None and outcome.kind == "recorded"])
        # Another worker was first with these: what it may have left undone is done here.
        others = [id_ for id_, outcome in found.items() if outcome.kind == "known"]
        try:
            return found | self._settled(others)
        except Unavailable as error:
            return found | dict.fromkeys(others, outcomes.of(error))

    @abstractmethod
    def _rows(self, ids: Sequence[VersionId]) -> list[Row]:
        """The rows of those that have one. Raises Unavailable."""

    @abstractmethod
    def _keep(self, name: str, body: bytes) -> str:
        """Where a result lies that is stored under this name now, or was before. Raises ApiError, Unavailable."""

    @abstractmethod
    def _write(self, row: Row, event: str | None) -> Outcome:
        """Write the row unless there is one, with the pointer where it is its object's newest. Raises Unavailable."""

    @abstractmethod
    def _publish(self, rows: Sequence[Row]) -> list[Unavailable | None]:
        """Send a message for each row: for each None, or why it may not have been sent."""

    @abstractmethod
    def _mark(self, row: Row) -> None:
        """Say in the row that it was sent; what is gone needs no mark. Raises Unavailable."""

    def _settled(self, ids: Sequence[VersionId]) -> dict[VersionId, Outcome]:
        rows = self._rows(ids)
        found = {row.id: Outcome("known") for row in rows}
        return found | self._send([row for row in rows if row.published is False])

    def _recorded(self, result: Result) -> tuple[Row | None, Outcome]:
        """The result's row and how writing it ended; no row where it was not even tried."""
        body, uri = result.body.encode(), None
        if len(body) > self._inline_bytes:
            try:
                uri = self._keep(large_name(result.version, body), body)
            except ApiError as error:
                return None, Outcome("failed", f"The result can't be stored: {error}")
            except Unavailable as error:
                return None, outcomes.of(error)
        row = Row.of(result, task=self._task, result_uri=uri, published=False if self._sends else None)
        try:
            return row, self._write(row, result.version.event)
        except Unavailable as error:
            return row, outcomes.of(error)

    def _send(self, rows: Sequence[Row]) -> dict[VersionId, Outcome]:
        """Send a message for each row and mark it: the failures, to be sent again."""
        if not self._sends or not rows:
            return {}
        troubles = dict(zip((row.id for row in rows), self._publish(rows), strict=True))
        failed = {id_: _failed("The result can't be sent", trouble) for id_, trouble in troubles.items() if trouble}
        for row in rows:
            if row.id not in failed:
                try:
                    self._mark(row)
                except Unavailable as error:
                    failed[row.id] = _failed("The result was sent and can't be marked so", error)
        return failed


def _failed(what: str, error: Unavailable) -> Outcome:
    return replace(outcomes.of(error), reason=f"{what}: {error}")

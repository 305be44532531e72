"""The role `forgetter`, a job: what a table of answers keeps beyond its time is removed, since a table has no time to live.

Nobody is told of such a row any more when it goes, and one that somebody took over meanwhile stays.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from handlers.functions import logs
from handlers.functions.azure.answers import EXPIRES
from handlers.functions.azure.entities import Entity
from handlers.functions.azure.places import place
from handlers.functions.azure.tables import Table
from handlers.functions.environment import Environment
from handlers.functions.rest import ApiError

_THREADS = 8
# So far may the clocks of those who read be behind.
_MARGIN_S = 3600.0


class ForgetterRole:
    """One run over the table."""

    def __init__(self, table: Table, now: Callable[[], float] = time.time) -> None:
        self._table, self._now = table, now

    def run(self) -> int:
        """The exit status: 1 where the table could not be read or written to its end."""
        removed = 0
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="forgetting") as pool:
                for part in self._table.older(EXPIRES, self._now() - _MARGIN_S):
                    removed += sum(pool.map(self._remove, part))
        except ApiError as error:
            logs.write("forgetting_failed", level="ERROR", removed=removed, message=str(error))
            return 1
        logs.write("forgotten", removed=removed)
        return 0

    def _remove(self, entity: Entity) -> bool:
        return self._table.delete(entity.partition, entity.row, etag=entity.etag)


def make(variables: Mapping[str, str]) -> ForgetterRole:
    """The role. Raises SettingsError."""
    environment = Environment(variables)
    table = place(environment, "ANSWERS_TABLE_URL", "the table of answers")
    environment.check()
    return ForgetterRole(Table(table.account, table.name))

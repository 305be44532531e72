"""The parts of Azure that answers which come later are made of, put together."""

from handlers.functions.answers import Answers
from handlers.functions.azure.answers import TableAnswerStore
from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.idempotency import TableOnce
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.settings import AnswerSettings
from handlers.functions.azure.tables import Table
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.deferral import Deferral

# A caller waits behind each call.
TIMEOUT_S = 4.0


def make_deferral(kept: AnswerSettings, endpoint_timeout_s: float, service: str | None, *, calls: int) -> Deferral:
    """Store and keys of one process that answers `calls` at a time."""
    answers = Answers(store=make_store(kept), keep_s=kept.keep_s, attempts=kept.attempts, service=service)
    once = TableOnce(table=Table(kept.table.account, kept.table.name, timeout_s=TIMEOUT_S), keep_s=kept.keep_s)
    return Deferral(answers, once, endpoint_timeout_s - HAND_OVER_S, calls=calls)


def make_store(kept: AnswerSettings) -> TableAnswerStore:
    """The store of one process."""
    return TableAnswerStore(
        table=Table(kept.table.account, kept.table.name, timeout_s=TIMEOUT_S),
        blobs=Blobs(kept.container.account, timeout_s=TIMEOUT_S),
        container=kept.container,
        queue=Queue(kept.queue.account, kept.queue.name, timeout_s=TIMEOUT_S),
        keep_s=kept.keep_s,
    )

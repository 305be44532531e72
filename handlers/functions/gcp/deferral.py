"""The parts of Google Cloud that answers which come later are made of, put together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from handlers.functions.answers import Answers
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.deferral import Deferral
from handlers.functions.gcp.settings import AnswerSettings

if TYPE_CHECKING:
    from handlers.functions.gcp.answers import FirestoreAnswerStore
    from handlers.functions.gcp.idempotency import FirestoreOnce


class _Coming:
    """What is made in a thread, and waited for when it is used."""

    def __init__(self, making: ThreadPoolExecutor, make: Callable[[], Any]) -> None:
        self._made = making.submit(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made.result(), name)


def make_deferral(kept: AnswerSettings, endpoint_timeout_s: float, service: str | None, *, calls: int) -> Deferral:
    """Clients, store and keys of one process that answers `calls` at a time.

    The clients' imports take half a second of a core. Most answers need none of them, and the first one waits for a model that
    sleeps: so they are made beside it.
    """
    making = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
    store: Any = _Coming(making, lambda: make_store(kept))
    once: Any = _Coming(making, lambda: _make_once(kept))
    making.shutdown(wait=False)
    answers = Answers(store=store, keep_s=kept.keep_s, attempts=kept.attempts, service=service)
    return Deferral(answers, once, endpoint_timeout_s - HAND_OVER_S, calls=calls)


def make_store(kept: AnswerSettings) -> "FirestoreAnswerStore":
    """The store of one process; a worker's has no topic."""
    from handlers.functions.gcp import firestore
    from handlers.functions.gcp.answers import FirestoreAnswerStore
    from handlers.functions.gcp.storage import Storage
    from handlers.functions.gcp.topics import Topic

    database = firestore.make_client(kept.project, kept.database)
    topic = Topic(kept.topic) if kept.topic else None
    if topic is not None:
        topic.prepare()
    return FirestoreAnswerStore(database=database, collection=kept.collection, storage=Storage(), bucket=kept.bucket, topic=topic)


def _make_once(kept: AnswerSettings) -> "FirestoreOnce":
    from handlers.functions.gcp import firestore
    from handlers.functions.gcp.idempotency import FirestoreOnce

    return FirestoreOnce(database=firestore.make_client(kept.project, kept.database), collection=kept.collection, keep_s=kept.keep_s)

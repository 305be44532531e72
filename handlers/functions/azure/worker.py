"""The role `worker`: messages of the queue of answers -> endpoint -> answers."""

import threading
from collections.abc import Callable, Mapping

from handlers.functions.answer_worker import AnswerWorker
from handlers.functions.api import Endpoint
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.consuming import Consumer, Ended, Task
from handlers.functions.azure.deferral import make_store
from handlers.functions.azure.endpoint import ContainerAppEndpoint
from handlers.functions.azure.places import Place, place
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.settings import MOST_BYTES, AnswerSettings, collect_spans, max_answer_bytes
from handlers.functions.call_settings import CallSettings
from handlers.functions.environment import Environment

# What stays beside the model's time to read a request and to keep its answer.
AROUND_S = 5.0


class WorkerRole:
    """One process of the worker."""

    def __init__(
        self, calls: CallSettings, endpoint: Endpoint, kept: AnswerSettings, taking: ConsumerSettings, *, dead: Place, most: int
    ) -> None:
        store = make_store(kept)
        self._work = AnswerWorker(store, endpoint, calls, keep_s=kept.keep_s, attempts=kept.attempts, max_answer_bytes=most)
        self.consumer = Consumer(Queue(kept.queue.account, kept.queue.name), Queue(dead.account, dead.name), self.work, taking)

    def run(self, leaving: threading.Event) -> None:
        self.consumer.run(leaving)

    def work(self, task: Task, seconds_left: Callable[[], float]) -> Ended:
        """Raises Unavailable where nobody can say whether the answer of a message without attempts is wanted."""
        message = task.body.decode(errors="replace")
        if task.over:
            # Not once more: the last attempt ended without a word, and its row said beforehand when that would be.
            return Ended(done=False, reason=task.last) if self._work.is_wanted(message) else Ended(done=True)
        trouble = self._work.trouble(message, message_id=task.id, seconds_left=seconds_left, attempt=task.attempt, spares=task.spares)
        return Ended(done=True) if trouble is None else Ended(done=False, reason=trouble.reason, spent=trouble.spent)


def make(variables: Mapping[str, str]) -> WorkerRole:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    calls = CallSettings.read(environment, max_body_bytes=MOST_BYTES)
    kept, most = AnswerSettings.read(environment), max_answer_bytes(environment)
    taking = ConsumerSettings.read(environment, calls.endpoint_timeout_s + AROUND_S)
    dead = place(environment, "DEAD_LETTER_QUEUE_URL", "the queue for messages without an answer")
    collect_spans(environment)
    environment.check()
    return WorkerRole(calls, ContainerAppEndpoint(calls.endpoint_url), kept, taking, dead=dead, most=most)

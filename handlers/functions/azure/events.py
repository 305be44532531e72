"""The role `events`: the function of pattern 2, which takes Event Grid's events of blobs from a queue."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from handlers.functions import logs, metrics, outcomes
from handlers.functions.azure import object_events
from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.consuming import Consumer, Ended, Task
from handlers.functions.azure.endpoint import ContainerAppEndpoint
from handlers.functions.azure.event_settings import EventSettings
from handlers.functions.azure.objects import BlobVersions
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.results import TableResults
from handlers.functions.azure.settings import collect_spans
from handlers.functions.azure.tables import Table
from handlers.functions.environment import Environment
from handlers.functions.outcomes import Outcome, Refused, Unavailable
from handlers.functions.pipeline import Pipeline
from handlers.functions.versions import Delivery, Model, ObjectVersion

# That an object has which was replaced before its turn: what replaced it may have attempts of its own to come, and wait for a model that
# starts. Five, the default, take 7 to 14 minutes with their pauses.
LEAST_ATTEMPTS = 5


class EventsRole:
    """One process of the function: an event in, a result or a dead letter out."""

    def __init__(self, settings: EventSettings, model: Model) -> None:
        self._settings = settings
        queue = None if settings.queue is None else Queue(settings.queue.account, settings.queue.name)
        self._results = TableResults(
            Table(settings.table.account, settings.table.name, cosmos=settings.cosmos),
            Blobs(settings.large.account),
            large=settings.large,
            task=settings.pipeline.task,
            queue=queue,
        )
        self._objects = BlobVersions(Blobs(settings.objects.account), max_bytes=settings.pipeline.max_object_bytes)
        self._pipeline = Pipeline(self._objects, model, self._results, settings.pipeline, self._judged)
        self.consumer = Consumer(
            Queue(settings.events.account, settings.events.name),
            Queue(settings.dead.account, settings.dead.name),
            self.work,
            settings.consumer,
        )

    def run(self, leaving: threading.Event) -> None:
        self.consumer.run(leaving)

    def work(self, task: Task, seconds_left: Callable[[], float]) -> Ended:
        """Raises Unavailable where nobody can say whether an event without attempts has its result."""
        try:
            version = object_events.created(task.body, self._settings.objects)
        except Refused as error:
            return self._refused(task, error)
        if version is None or not self._settings.takes(version.key):
            return Ended(done=True)
        delivery = Delivery(version, task.attempt)
        if task.over:
            # Not once more: the last attempt ended without a word.
            outcome = self._results.settled([version]).get(version.id) or self._if_replaced(version, Outcome("failed", task.last))
            self._pipeline.tell(delivery, outcome, batch_id=task.id)
        else:
            outcome = self._pipeline.run([delivery], batch_id=task.id, remaining_s=seconds_left)[version.id]
        permanent, least = outcome.kind == "refused", outcome.least_attempts
        return Ended(done=outcome.done, reason=outcome.reason, permanent=permanent, spent=outcome.spent, least_attempts=least)

    def _judged(self, version: ObjectVersion, outcome: Outcome) -> Outcome:
        """What is refused, since it can't be had any more, may have been replaced."""
        if outcome.kind != "refused":
            return outcome
        try:
            return self._if_replaced(version, outcome)
        except Unavailable as error:
            return outcomes.of(error)

    def _if_replaced(self, version: ObjectVersion, outcome: Outcome) -> Outcome:
        """What was replaced before its turn needs no result once what replaced it has one. Until then it is tried again: where only
        metadata moved its ETag nothing ever replaces it, and its letter tells. The `outcome` for what was not. Raises Unavailable."""
        state = self._objects.state(version)
        newest = None if state == "there" else self._results.newest(version.object)
        if newest is not None and newest > version.sequencer:
            return Outcome("passed-over", "It was replaced before its turn, and what replaced it has its result.")
        return replace(outcome, kind="failed", least_attempts=LEAST_ATTEMPTS) if state == "replaced" else outcome

    def _refused(self, task: Task, error: Refused) -> Ended:
        """What no pipeline tells, since there is no object to it."""
        told = {"outcome": outcomes.of(error).kind, "reason": str(error), "permanent": True, "attempt": task.attempt}
        logs.write("message", level="ERROR", request_id=task.id, **told)
        metrics.count(self._settings.pipeline.service, {metrics.OBJECTS_FAILED: 1}, request_id=task.id)
        return Ended(done=False, reason=str(error), permanent=True)


def make(variables: Mapping[str, str]) -> EventsRole:
    """The role. Raises SettingsError with every bad variable."""
    settings, environment = EventSettings.from_environment(variables), Environment(variables)
    collect_spans(environment)
    environment.check()
    return EventsRole(settings, ContainerAppEndpoint(settings.endpoint_url))

"""The role `events`: the function of pattern 2, which Eventarc pushes the events of Cloud Storage to.

What ends without a result is pushed again by Eventarc, a day long. After the last attempt, or at once where no attempt can help, the
event goes to the topic of dead letters; only then it counts as delivered.
"""

import json
from collections.abc import Mapping

from handlers.functions import logs, metrics, outcomes
from handlers.functions.answers import Answer
from handlers.functions.api import refusal
from handlers.functions.deadline import Deadline, seconds_left
from handlers.functions.gcp import firestore, object_events
from handlers.functions.gcp.attempts import SUFFIX, Attempt, Attempts
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.event_settings import EventSettings
from handlers.functions.gcp.object_events import Event
from handlers.functions.gcp.objects import CloudStorageObjects
from handlers.functions.gcp.pushes import require_push
from handlers.functions.gcp.results import FirestoreResults
from handlers.functions.gcp.storage import Storage
from handlers.functions.gcp.topics import Topic
from handlers.functions.http_request import HttpRequest
from handlers.functions.outcomes import Outcome, Refused, Unavailable
from handlers.functions.pipeline import Pipeline, log
from handlers.functions.problems import InternalFault, NotReady, RequestProblem
from handlers.functions.versions import Delivery, Model, ObjectVersion
from handlers.web.app import Read
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings

# An event holds what is known of an object, never the object.
_MAX_EVENT_BYTES = 1024**2
_RETRY_AFTER_S = 10
# For so long an endpoint that lets nobody in costs no attempt: grants are known in minutes (IAM, "Access change propagation"). What is
# never mended has to become a dead letter before Eventarc drops it.
_GRANTS_S = 3600
# Characters of a reason in an attribute: its value has 1,024 bytes at most.
_REASON = 250


class EventsRole:
    """One process of the function: an event in, delivered or not."""

    max_body_bytes = _MAX_EVENT_BYTES

    def __init__(self, settings: EventSettings, model: Model) -> None:
        self.request_timeout_s = settings.request_timeout_s
        database, storage = firestore.make_client(settings.project, settings.database), Storage()
        self._attempts = Attempts(database=database, collection=settings.collection + SUFFIX)
        results = FirestoreResults(
            database,
            storage,
            collection=settings.collection,
            bucket=settings.bucket,
            task=settings.pipeline.task,
            attempts=self._attempts,
            topic=None if settings.topic is None else Topic(settings.topic),
        )
        self._results = results
        self._pipeline = Pipeline(
            CloudStorageObjects(storage, max_bytes=settings.pipeline.max_object_bytes), model, results, settings.pipeline
        )
        self._dead_letters = Topic(settings.dead_letter_topic)
        self._max_attempts = settings.max_attempts
        self._takes = settings.takes
        self._service = settings.pipeline.service

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """200 for an event that is not to come again. Never raises: what goes wrong is a problem document."""
        try:
            self._deliver(_event(read()), call_id, deadline)
        except RequestProblem as problem:
            logs.write("delivery_refused", level="WARNING", request_id=call_id, reason=problem.detail)
            return refusal(problem, call_id)
        except Unavailable as error:
            logs.write("delivery_failed", level="WARNING", request_id=call_id, reason=str(error))
            return refusal(NotReady("The event can't be delivered now.", retry_after_s=_RETRY_AFTER_S), call_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            return refusal(InternalFault("The event could not be handled."), call_id)
        return Answer(200, {}, "")

    def _deliver(self, event: Event, call_id: str, deadline: Deadline) -> None:
        """Returns when the event needs no further delivery: it has a result, or is a dead letter. Raises NotReady, Unavailable."""
        version = _version(event)
        if isinstance(version, ObjectVersion) and not self._takes(version.key):
            return
        attempt = self._attempts.begin(event.key, seconds=max(0.0, seconds_left(deadline)))
        if attempt is None:
            raise NotReady("The event is being worked on.", retry_after_s=_RETRY_AFTER_S)
        if attempt.over:
            _tell_again(version, attempt, call_id)
            return
        outcome, over = Outcome("failed", "The attempt was broken off by a fault of the function."), False
        try:
            outcome = self._worked_on(event, version, attempt, call_id, deadline)
            if not outcome.done and (outcome.kind == "refused" or self._last(attempt, outcome)):
                self._bury(event, outcome, attempt=attempt.number)
                over = True
            over = over or outcome.done
        finally:
            self._ended(event, attempt, outcome, over=over)
        if not over:
            raise NotReady("The object has no result yet.", retry_after_s=_RETRY_AFTER_S)

    def _worked_on(self, event: Event, version: ObjectVersion | Refused, attempt: Attempt, call_id: str, deadline: Deadline) -> Outcome:
        if isinstance(version, Refused):
            self._tell_refused(event, version)
            return outcomes.of(version)
        delivery = Delivery(version, attempt.number)
        if attempt.spent > self._max_attempts:
            # Not once more: the last attempt ended without a word, or its dead letter could not be sent.
            known = self._results.settled([version]).get(version.id)
            outcome = known or attempt.last or Outcome("failed", "Every attempt was cut off.")
            self._pipeline.tell(delivery, outcome, batch_id=call_id)
            return outcome
        return self._pipeline.run([delivery], batch_id=call_id, remaining_s=lambda: seconds_left(deadline))[version.id]

    def _last(self, attempt: Attempt, outcome: Outcome) -> bool:
        return attempt.spent >= self._max_attempts and not self._spares(attempt, outcome)

    def _spares(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether the attempt is none of the event's."""
        return not outcome.spent and self._attempts.now() < attempt.since + _GRANTS_S

    def _bury(self, event: Event, outcome: Outcome, *, attempt: int) -> None:
        """Raises Unavailable when the dead letter may not have been sent."""
        permanent = outcome.kind == "refused"
        told = {"reason": outcome.reason[:_REASON], "attempts": str(attempt), "permanent": json.dumps(permanent), "requestId": event.id}
        # By which whoever replays letters knows what came back of that.
        told["replay"] = event.replay or "none"
        (trouble,) = self._dead_letters.publish([(event.data, {**event.attributes, **told})])
        if trouble:
            raise Unavailable(f"The dead letter can't be sent: {trouble}")
        logs.write("dead_letter", level="ERROR", request_id=event.id, attempt=attempt, reason=outcome.reason, permanent=permanent)

    def _tell_refused(self, event: Event, error: Refused) -> None:
        """What no pipeline tells, since there is no object to it."""
        logs.write("message", level="ERROR", request_id=event.id, outcome="refused", reason=str(error), permanent=True, attempt=1)
        metrics.count(self._service, {metrics.OBJECTS_FAILED: 1}, request_id=event.id)

    def _ended(self, event: Event, attempt: Attempt, outcome: Outcome, *, over: bool) -> None:
        if outcome.kind == "recorded" and self._results.end_attempts:
            return
        try:
            if over:
                self._attempts.over(event.key, attempt, outcome)
            else:
                self._attempts.failed(event.key, attempt, outcome, spared=self._spares(attempt, outcome))
        except Unavailable as error:
            # Then it is over when its time is; the work that was done stays.
            logs.write("attempt_kept", level="WARNING", request_id=event.id, message=str(error))


def _tell_again(version: ObjectVersion | Refused, attempt: Attempt, call_id: str) -> None:
    """The line of a delivery with which there is nothing to do."""
    if isinstance(version, ObjectVersion) and attempt.last is not None:
        known = Outcome("known") if attempt.last.done else Outcome("passed-over", f"It is a dead letter: {attempt.last.reason}")
        log(Delivery(version, attempt.number), known, call_id)


def _version(event: Event) -> ObjectVersion | Refused:
    """What the event tells of, or why it tells of nothing."""
    try:
        return object_events.created(event)
    except Refused as error:
        return error


def _event(request: HttpRequest) -> Event:
    require_push(request)
    return object_events.read(request)


def make(variables: Mapping[str, str], boot: Boot) -> tuple[EventsRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    settings = EventSettings.from_environment(variables)
    return EventsRole(settings, CloudRunEndpoint(settings.endpoint_url)), settings.server

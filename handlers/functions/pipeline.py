"""The function of pattern 2, whatever the cloud: read the objects, ask the model, record one result per object version.

    Pipeline(objects, model, results, settings).run(deliveries, batch_id=…, remaining_s=…)

Every delivery ends in an outcome; what a cloud's queue does with one that is not done is that cloud's business. Nothing is
locked: two workers may predict the same, and the results' own conditions let one of them be recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from handlers.functions import logs, metrics, objects, outcomes, requests
from handlers.functions.merging import Asked
from handlers.functions.objects import ObjectInputs
from handlers.functions.outcomes import Outcome, Refused, Unavailable
from handlers.functions.predicting import RECORD_S, Predictor
from handlers.functions.problems import RequestProblem
from handlers.functions.versions import Delivery, Model, Objects, ObjectVersion, Result, Results, VersionId
from handlers.functions.waves import parted, waves

# Objects read at a time, and so a client's connections: what SQS gives at once without a window.
PARALLEL = 10
# Results that are held in memory until they are recorded, in characters.
RECORD_BYTES = 8 * 1024**2
Judge = Callable[[ObjectVersion, Outcome], Outcome]
_LEVELS = {"refused": "ERROR", "failed": "WARNING"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineSettings:
    """Sizes in bytes, the time of one request in seconds, the task that the model serves, the service in the metrics."""

    min_object_bytes: int
    max_object_bytes: int
    max_result_bytes: int
    max_inputs: int
    max_body_bytes: int
    timeout_s: float
    task: str
    service: str | None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of the function: its id, and the seconds that it may still take."""

    batch_id: str
    remaining_s: Callable[[], float]


class Pipeline:
    """One process of the function."""

    def __init__(self, store: Objects, model: Model, results: Results, settings: PipelineSettings, judge: Judge | None = None) -> None:
        """`judge` has the last word on each outcome, where a store keeps no versions, say. It never raises."""
        self._store = store
        self._results = results
        self._settings = settings
        self._judge = judge
        self._predictor = Predictor(
            model,
            max_inputs=settings.max_inputs,
            max_body_bytes=settings.max_body_bytes,
            max_result_bytes=settings.max_result_bytes,
            timeout_s=settings.timeout_s,
            task=settings.task,
            service=settings.service,
        )
        self._readers = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="objects")

    def run(self, deliveries: Sequence[Delivery], *, batch_id: str, remaining_s: Callable[[], float]) -> dict[VersionId, Outcome]:
        """The outcome of every version, with a log line each and the counters of the batch. Never raises."""
        asked = {delivery.version.id: delivery for delivery in deliveries}
        found = {id_: outcome for id_, delivery in asked.items() if (outcome := self._filtered(delivery.version))}
        call = _Call(batch_id, remaining_s)
        first, again = parted([delivery for id_, delivery in asked.items() if id_ not in found])
        # Read a second time only where the batch is too large to be held at once.
        aside: list[tuple[int, Delivery]] = []
        parts = list(waves(first))
        for wave in parts:
            found |= self._wave(wave, call, aside if len(parts) > 1 else None)
        aside.sort(key=lambda late: late[0])
        for wave in [*waves([delivery for _, delivery in aside]), *waves(again)]:
            found |= self._wave(wave, call)
        for id_, delivery in asked.items():
            if self._judge is not None:
                found[id_] = self._judge(delivery.version, found[id_])
            log(delivery, found[id_], batch_id)
        self._count(list(found.values()), batch_id)
        return found

    def tell(self, delivery: Delivery, outcome: Outcome, *, batch_id: str) -> None:
        """The line and the counters of a delivery that ended without any work on it."""
        log(delivery, outcome, batch_id)
        self._count([outcome], batch_id)

    def _filtered(self, version: ObjectVersion) -> Outcome | None:
        least, most = self._settings.min_object_bytes, self._settings.max_object_bytes
        if version.size < least:
            return Outcome("passed-over", f"The object has {version.size} bytes: smaller than {least} are passed over.")
        if version.size > most:
            return Outcome("refused", f"The object has {version.size} bytes: {most} are allowed.")
        return None

    def _wave(self, wave: Sequence[Delivery], call: "_Call", aside: list[tuple[int, Delivery]] | None = None) -> dict[VersionId, Outcome]:
        """The outcomes of a wave; with `aside`, what needs several requests goes there, with their number, and has none yet."""
        try:
            return self._worked(wave, call, aside)
        except Exception as error:  # noqa: BLE001  (a wave that breaks must not take the results of the others along)
            logs.write_fault("pipeline_fault", error, request_id=call.batch_id)
            return {delivery.version.id: outcomes.of(error) for delivery in wave}

    def _worked(self, wave: Sequence[Delivery], call: "_Call", aside: list[tuple[int, Delivery]] | None) -> dict[VersionId, Outcome]:
        try:
            found = self._results.settled([delivery.version for delivery in wave])
        except Unavailable as error:
            # Before the model is asked for what could not be recorded.
            return {delivery.version.id: outcomes.of(error) for delivery in wave}
        left = [delivery for delivery in wave if delivery.version.id not in found]
        if call.remaining_s() <= RECORD_S:
            # Reading what can't be worked on could last until the function is ended, with everything that it has done.
            return found | dict.fromkeys((delivery.version.id for delivery in left), Outcome("failed", "No time was left to read it."))
        asked: list[Asked] = []
        # One alone needs no other thread, and a function that gets its objects one by one no readers.
        reading = self._readers.map(self._read, left) if len(left) > 1 else map(self._read, left)
        for owner, (delivery, inputs) in enumerate(zip(left, reading, strict=True)):
            if isinstance(inputs, Outcome):
                found[delivery.version.id] = inputs
            else:
                version = delivery.version
                # By itself from its second time on: it may be what made a request with others fail.
                asked.append(Asked(owner, inputs, alone=delivery.attempt > 1, uri=version.uri, request_id=version.request_id))
        return found | self._predicted(left, asked, call, aside)

    def _predicted(
        self, left: Sequence[Delivery], asked: Sequence[Asked], call: "_Call", aside: list[tuple[int, Delivery]] | None
    ) -> dict[VersionId, Outcome]:
        found: dict[VersionId, Outcome] = {}
        for count, part in self._in_turn(asked):
            if aside is not None and count > 1:
                aside += [(count, left[item.owner]) for item in part]
                continue
            results: list[Result] = []
            # What comes again is recorded at once, so that the next one can't take it along if it ends the process.
            most = 0 if part[0].alone else RECORD_BYTES
            for ended in self._predictor.predict(part, batch_id=call.batch_id, remaining_s=call.remaining_s):
                found |= {left[owner].version.id: outcome for owner, outcome in ended.items() if isinstance(outcome, Outcome)}
                results += [Result(left[owner].version, body) for owner, body in ended.items() if isinstance(body, str)]
                if sum(len(result.body) for result in results) > most:
                    found |= self._results.record(results)
                    results = []
            # Before the next objects, which need more, can end the process.
            found |= self._results.record(results) if results else {}
        return found

    def _in_turn(self, asked: Sequence[Asked]) -> Iterator[tuple[int, list[Asked]]]:
        """By the number of requests that each object needs, the fewest first.

        The function has time for so many requests of each object: one that needs more takes what the others have left. What comes
        again keeps its turn, on which it depends whom an object at fault takes along.
        """
        if asked and asked[0].alone:
            yield 1, list(asked)
            return
        needed = {item.owner: self._predictor.requests_of(item) for item in asked}
        for count, part in groupby(sorted(asked, key=lambda item: needed[item.owner]), key=lambda item: needed[item.owner]):
            yield count, list(part)

    def _read(self, delivery: Delivery) -> ObjectInputs | Outcome:
        version = delivery.version
        try:
            inputs = objects.read(self._store.read(version), version.key, requests.takes(self._settings.task))
            requests.check_parameters(self._settings.task, inputs.parameters)
        except (Refused, Unavailable) as error:
            return outcomes.of(error)
        except RequestProblem as problem:
            return Outcome("refused", problem.detail)
        except Exception as error:  # noqa: BLE001  (one object must not take its wave down)
            logs.write_fault("object_fault", error, request_id=version.request_id)
            return outcomes.of(error)
        return inputs

    def _count(self, found: Sequence[Outcome], batch_id: str) -> None:
        kinds = [outcome.kind for outcome in found]
        counts = {
            metrics.OBJECTS_PROCESSED: kinds.count("recorded") + kinds.count("known"),
            metrics.OBJECTS_FAILED: kinds.count("failed") + kinds.count("refused"),
            metrics.OBJECTS_PASSED_OVER: kinds.count("passed-over"),
        }
        metrics.count(self._settings.service, counts, request_id=batch_id)


def log(delivery: Delivery, outcome: Outcome, batch_id: str) -> None:
    """The line of a delivery."""
    version, attempt = delivery.version, delivery.attempt
    fields: dict[str, object] = {"object": version.object, "version": version.id[1], "outcome": outcome.kind, "attempt": attempt}
    if outcome.reason:
        fields |= {"reason": outcome.reason, "permanent": outcome.kind == "refused"}
    logs.write("object", level=_LEVELS.get(outcome.kind, "INFO"), request_id=version.request_id, batch=batch_id, **fields)

"""What the server does whatever the contract: one path from a checked request to the bytes of an answer."""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import Loaded, Mark, Model, load
from handlers.engines.manifest import Manifest
from handlers.functions import logs, problems, spans
from handlers.functions.parameters import DEFAULT_NEW_TOKENS, passes
from handlers.functions.pings import Ping
from handlers.functions.problems import AnswerTooLarge, DeadlineExceeded, InternalFault, RequestProblem
from handlers.functions.requests import PredictionRequest, check, parse, takes
from handlers.functions.traces import Trace
from handlers.server import inner_spans
from handlers.server.deliveries import Deliveries
from handlers.server.forms import PLAIN, Encoded, Form, Predicted
from handlers.server.metrics import Metrics
from handlers.server.outcome import Outcome
from handlers.server.running import Continuous, Running
from handlers.server.stages import Stages, custom_attributes, server_timing
from handlers.server.waiting import Job
from handlers.server.worker import Worker
from handlers.settings import HandlerSettings
from handlers.tasks import GENERATION, IMAGE_TASKS, ZERO_SHOT

if TYPE_CHECKING:
    from handlers.server.board import Slot
    from handlers.server.references import References
    from handlers.server.streaming import Stream


class _Asked(NamedTuple):
    """What is asked, how it is answered, and who hears the pieces of an answer as they are computed, if anybody."""

    request: PredictionRequest
    form: Form
    told: Callable[[bytes], None] | None = None


_Job = Job[_Asked, Encoded]
# A run of its own takes about as long as a dozen tokens; most models cut a text at 512 of them.
_EACH, _READ = 60, 2500
_MOST_TOKENS = 1_000_000
# Stands for what a ping asks, until the model is there and says what that is.
_PING = PredictionRequest((), many=False, parameters={})


class Answer(NamedTuple):
    """Status, headers (lower-case names) and body, ready for any transport; or the `stream` in place of a body."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    stream: "Stream | None" = None


class Service:
    """The model behind its queue, with deadlines, cold-start stages and counters."""

    def __init__(self, settings: HandlerSettings, stages: Stages, load: Callable[[HandlerSettings, Mark], Loaded] = load) -> None:
        self.settings = settings
        self.metrics = Metrics()
        # Where the figures of all processes are, of several on one port.
        self.board: Slot | None = None
        self.stages = stages
        # By the clock on the wall, in seconds: when the model began to load, and when it was there.
        self.began_at = self.loaded_at = time.time()
        self.manifest: Manifest | None = None
        self._providers: tuple[str, ...] = ()
        self._tier = ""
        # Whether the model had computed something before it came to be here.
        self._warm = False
        self._model: Model | None = None
        self._loader = load
        self.worker: Worker[_Asked, Encoded] = Worker(
            self._load,
            self._compute,
            continuous=self._continuous,
            max_queue=settings.max_queue,
            batch_size=settings.batch_size,
            batch_wait_s=settings.batch_wait_s,
            metrics=self.metrics,
            warm_up=self._warm_up,
        )
        self._instance = str(uuid.uuid4())
        self._deliveries: Deliveries | None = None
        # What the model's inputs are, None while that is not known; and what requests to it count for, beside their texts.
        self.kind: str | None = None
        self._weighed: Callable[[PredictionRequest, int, int], tuple[int, int]] | None = None

    def parse(self, body: bytes, content_type: str | None) -> PredictionRequest:
        """A request's body within the settings. Raises RequestProblem."""
        return parse(
            body, content_type, max_inputs=self.settings.max_inputs, references=self.settings.inputs_uri is not None, kind=self.kind
        )

    @property
    def schemas(self) -> Mapping[str, Any] | None:
        """What a model of one's own takes and gives; None of others, and while it loads."""
        return getattr(self._model, "schemas", None)

    @cached_property
    def _start_span(self) -> "Trace | None":
        """The trace of this process's start, told when it is first asked for: once the model is warm, or by whoever came before that."""
        return inner_spans.started(self.stages.known(), self._providers[0], self.loaded_at)

    @cached_property
    def _references(self) -> "References":
        """Imported where somebody sends one."""
        from handlers.server.references import References

        return References(self.settings.inputs_uri, max_bytes=self.settings.max_object_bytes, max_inputs=self.settings.max_inputs)

    def start(self) -> None:
        """Begin to load the model; `worker.loaded` tells when it is there, or why it is not."""
        self.worker.start()

    async def answer(self, request: PredictionRequest, request_id: str, form: Form = PLAIN, seconds: float = math.inf) -> Answer:
        """The answer of one prediction, awaited for `seconds` and the setting's deadline at most.

        Raises RequestProblem; cancelling gives the prediction up.
        """
        return self.answered(*await self._computed(request, form, seconds), request_id)

    def begin(
        self,
        request: PredictionRequest,
        form: Form,
        seconds: float,
        told: Callable[[Outcome], None],
        late: Callable[[RequestProblem], None],
        *,
        sooner: Callable[[Outcome], bool] | None = None,
    ) -> _Job:
        """Begin one prediction: in the loop `told` gets what it gives, which `answered` makes an answer of, or `late` the problem when its
        time is over; neither may raise. `forget` it then. Where nobody else can come in this turn of the loop the model's thread
        may do `sooner` what there is to do, and says whether it has. Raises RequestProblem."""
        if seconds <= 0:
            # As where its body is read: first whether there is a place.
            self.worker.require_place()
        patience, until = self._patience(seconds, counted=True)
        deliveries = self._deliveries_now()
        alone = sooner is not None
        job = self._job(request, form, until, alone=alone, future=deliveries.outcome(told, sooner))
        self.worker.submit(job, wake=alone)
        if not alone:
            deliveries.soon(self.worker.wake)
        deliveries.watch(job, until, lambda: late(self._too_late(patience)))
        return job

    def forget(self, job: _Job) -> None:
        """A prediction that was begun is told, or given up."""
        if self._deliveries is not None:
            self._deliveries.forget(job)

    async def streamed(self, request: PredictionRequest, request_id: str, form: Form, seconds: float = math.inf) -> Answer:
        """The same, with the answer's pieces as they are computed: it comes with the first of them. Raises RequestProblem."""
        from handlers.server.streaming import EVENTS, Stream

        _, until = self._patience(seconds, counted=True)
        came = time.perf_counter()
        stream = Stream(until, form.broken, lambda error: self.unexpected(error, request_id), self.metrics.predicted)
        stream.of(self.worker.submit(self._job(request, form, until, stream.tell)))
        await stream.first()
        headers = {"content-type": EVENTS, "cache-control": "no-store", **self._started(time.perf_counter() - came, request_id)}
        return Answer(200, headers, stream=stream)

    def answer_within(self, request: PredictionRequest, request_id: str, seconds: float) -> Answer:
        """The same for a caller without an event loop."""
        return self.answered(*self._computed_within(request, seconds), request_id)

    async def ping(self, ping: Ping) -> Answer:
        """The path of a request up to the model; the answer tells which instance was touched, and whether it was cold."""
        started = time.perf_counter()
        _, taken = await self._computed(_PING)
        answer = self._pinged(taken)
        await asyncio.sleep(_left(ping, started))
        return answer

    def ping_within(self, ping: Ping, seconds: float) -> Answer:
        """The same for a caller without an event loop."""
        started = time.perf_counter()
        _, taken = self._computed_within(_PING, seconds)
        answer = self._pinged(taken)
        time.sleep(_left(ping, started))
        return answer

    def record_ping(self, answer: Answer, request_id: str, seconds: float) -> None:
        """Count and log a ping, apart from everything that counts requests and their latency."""
        self.metrics.pinged(answer.status)
        told = orjson.loads(answer.body).get("ping", {})
        logs.write("ping", request_id=request_id, status=answer.status, ms=round(seconds * 1000, 1), **told)

    async def _computed(self, request: PredictionRequest, form: Form = PLAIN, seconds: float = math.inf) -> tuple[Encoded, float]:
        patience, until = self._patience(seconds, counted=request is not _PING)
        if request.uri is not None:
            request = await self._fetched(request, patience)
        job = self.worker.submit(self._job(request, form, until), wake=False)
        deliveries = self._deliveries_now()
        deliveries.soon(self.worker.wake)
        try:
            return await deliveries.within(deliveries.awaited(job.future), until, partial(self._too_late, patience))
        except BaseException:
            job.give_up()
            raise

    async def _fetched(self, request: PredictionRequest, patience: float) -> PredictionRequest:
        try:
            async with asyncio.timeout(patience) as limit:
                return await asyncio.to_thread(self._references.fetched, request, self.kind)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._too_late(patience) from error

    def _deliveries_now(self) -> Deliveries:
        loop = asyncio.get_running_loop()
        if self._deliveries is None or self._deliveries.loop is not loop:
            self._deliveries = Deliveries(loop)
        return self._deliveries

    def _computed_within(self, request: PredictionRequest, seconds: float) -> tuple[Encoded, float]:
        patience, until = self._patience(seconds, counted=request is not _PING)
        request = request if request.uri is None else self._references.fetched(request, self.kind)
        job = self.worker.submit(self._job(request, PLAIN, until))
        try:
            return job.future.result(timeout=max(until - time.monotonic(), 0))
        except FutureTimeout as error:
            raise self._too_late(patience) from error
        finally:
            job.cancellation.cancel()

    def _patience(self, seconds: float, *, counted: bool) -> tuple[float, float]:
        """How long an answer may take, and until when. Raises DeadlineExceeded where that is over."""
        patience = min(seconds, self.settings.request_timeout_s)
        if patience <= 0:
            if counted:
                self.metrics.shed("deadline")
            raise DeadlineExceeded("Its time was over before it could wait for the model.")
        return patience, time.monotonic() + patience

    def refusal(self, problem: RequestProblem, request_id: str, members: Mapping[str, Any] = MappingProxyType({})) -> Answer:
        """The problem document for the client, with the `members` in which its contract tells errors (RFC 9457, extension members)."""
        body = orjson.dumps(problems.document(problem, request_id) | dict(members))
        return Answer(problems.status_of(problem), problems.headers_of(problem), body)

    def fault(self, error: Exception, request_id: str) -> Answer:
        """The answer to an error that nobody expected: everything to the log, nothing to the client."""
        return self.refusal(self.unexpected(error, request_id), request_id)

    def unexpected(self, error: Exception, request_id: str) -> InternalFault:
        """Log an error that nobody expected; what the client is told of it."""
        logs.write_fault("server_fault", error, request_id=request_id)
        # As in Job.fail, once it is told.
        error.__traceback__ = None
        return InternalFault("The request could not be handled.")

    def tokens(self) -> Mapping[str, int]:
        """How many tokens the model has computed, of texts and of padding; nothing of a model that has none."""
        counted = getattr(self._model, "counted", None)
        return counted() if counted else {}

    def about(self) -> Mapping[str, str]:
        """What is served, what computes it, and the tier that it was brought from; nothing while that is not known."""
        if self.manifest is None or self._model is None:
            return {}
        return {"task": self.manifest.task, "engine": self.manifest.engine, "provider": self._providers[0], "tier": self._tier}

    def unready(self) -> str:
        """What a server that is not ready waits for."""
        if self._model is None or self.worker.loaded.done():
            return "The model is being loaded."
        return f"The model was loaded {time.time() - self.loaded_at:.1f} s ago and computes its first answer, the warm-up."

    def _load(self) -> Model:
        loaded = self._loader(self.settings, self.stages.mark)
        self._tier, self._warm, self._weighed = loaded.tier, loaded.warm, _WEIGHED.get(loaded.manifest.task)
        self.manifest, self._providers, self._model = loaded.manifest, loaded.providers, loaded.model
        self.kind = takes(loaded.manifest.task)
        self.loaded_at = time.time()
        return loaded.model

    def _warm_up(self) -> _Job | None:
        """What a ping asks: libraries that come up with their first work, a GPU's above all, are no caller's wait then."""
        if self._warm:
            _ = self._start_span
            return None
        job = self._job(_PING, PLAIN, math.inf)
        job.future.add_done_callback(self._warmed)
        return job

    def _warmed(self, done: Future[tuple[Encoded, float]]) -> None:
        self.stages.again()
        self.loaded_at = time.time()
        _ = self._start_span
        error = None if done.cancelled() else done.exception()
        if error is not None:
            logs.write("warm_up_failed", level="WARNING", error=type(error).__name__, message=str(error))

    def _compute(self, model: Model, jobs: Sequence[_Job]) -> Iterator[tuple[_Job, Encoded | Exception]]:
        """In the worker's thread: contract and parameters by the model's task, prediction, and its bytes."""
        settled: list[tuple[_Job, PredictionRequest]] = []
        for job in jobs:
            try:
                settled.append((job, self._settled(model, job.request)))
            except Exception as error:  # noqa: BLE001  (its answer)
                yield job, error
        for place, outputs in _outcomes(model, [(request, job.cancellation) for job, request in settled]):
            job, request = settled[place]
            yield job, self._encoded(model, request, job.request.form, outputs)

    def _continuous(self, model: Model) -> Running[_Asked, Encoded] | None:
        """What goes on with the requests to a model that takes them side by side; None for another model."""
        if not isinstance(model, Continuous):
            return None
        continuous = model

        def begin(job: _Job) -> tuple[Any, PredictionRequest]:
            request = self._settled(model, job.request)
            return continuous.begin(request, job.cancellation, self._told(job.request)), request

        return Running(continuous, begin, lambda job, request, outputs: self._encoded(model, request, job.request.form, outputs))

    def _told(self, asked: _Asked) -> Callable[[Any], None] | None:
        """Who hears the pieces of an answer, in the bytes of its contract."""
        piece, told, manifest = asked.form.piece, asked.told, self.manifest
        if piece is None or told is None:
            return None
        assert manifest is not None  # the worker computes only after _load
        return lambda each: told(piece(each, manifest))

    def _settled(self, model: Model, asked: _Asked) -> PredictionRequest:
        assert self.manifest is not None  # the worker computes only after _load
        request = asked.form.settled(model.warm_up if asked.request is _PING else asked.request, self.manifest)
        check(self.manifest.task, request)
        return request

    def _encoded(self, model: Model, request: PredictionRequest, form: Form, outputs: Any) -> Encoded | Exception:
        """The bytes of an answer, or the exception that is one."""
        assert self.manifest is not None
        if isinstance(outputs, Exception):
            return outputs
        try:
            encoded = form.encode(Predicted(request, outputs, self.manifest, model))
        except Exception as error:  # noqa: BLE001  (its answer)
            return error
        limit = self.settings.max_answer_bytes
        if len(encoded.body) > limit:
            return AnswerTooLarge(f"The answer has {len(encoded.body)} bytes, {limit} can be sent: send fewer or shorter texts.")
        return encoded

    def _job(
        self,
        request: PredictionRequest,
        form: Form,
        until: float,
        told: Callable[[bytes], None] | None = None,
        *,
        alone: bool = False,
        future: Outcome | None = None,
    ) -> _Job:
        inputs, cost = len(request.texts) or 1, sum(map(_cost, request.texts)) or _EACH
        if self._weighed is not None:
            inputs, cost = self._weighed(request, inputs, cost)
        asked, counted, weighed = _Asked(request, form, told), request is not _PING, self.manifest is not None
        return Job(asked, inputs, until, cost=cost, counted=counted, weighed=weighed, alone=alone, future=future)

    def _too_late(self, seconds: float) -> DeadlineExceeded:
        what = "The prediction took" if self.worker.ready else "The model took"
        return DeadlineExceeded(f"{what} longer than the {seconds:g} s that it may take.")

    def answered(self, encoded: Encoded, seconds: float, request_id: str) -> Answer:
        """The answer to a prediction that took so long, which is counted."""
        self.metrics.predicted(seconds)
        answer = self.answer_of(encoded)
        if self.stages.taken:
            return answer
        return answer._replace(headers={**answer.headers, **self._started(seconds, request_id)})

    def answer_of(self, encoded: Encoded) -> Answer:
        """The same for a caller who is told of no cold start."""
        headers = {"content-type": encoded.content_type}
        if encoded.headers:
            headers.update(encoded.headers)
        return Answer(200, headers, encoded.body)

    def _started(self, seconds: float, request_id: str) -> dict[str, str]:
        """The headers that tell the first caller of the cold start; nothing for a later one."""
        start_span = self._start_span
        start = self.stages.take(seconds)
        if start is not None:
            stages, total_ms = start.stages, round(sum(start.stages.values()), 1)
            told: dict[str, Any] = {"total_ms": total_ms, "stages": stages, "tier": self._tier, "ahead": start.ahead}
            told["providers"] = self._providers
            logs.write("cold_start", request_id=request_id, **told)
            spans.note({"faas.coldstart": not start.ahead}, [start_span] if start_span else [])
            if not start.ahead:
                return {"server-timing": server_timing(stages), "x-amzn-sagemaker-custom-attributes": custom_attributes(stages)}
        return {}

    def _pinged(self, seconds: float) -> Answer:
        """What a ping is told: it takes the cold start's stages, so that they don't stand in a caller's first answer."""
        _ = self._start_span
        start = self.stages.take(seconds)
        told = {"cold": start is not None and not start.ahead, "instance": self._instance, "stages": start.stages if start else {}}
        return Answer(200, {"content-type": "application/json"}, orjson.dumps({"ping": told}))


def _cost(item: object) -> int:
    """What an input takes beside others, in characters: of a text's those that a model reads of it."""
    return _EACH + (min(len(item), _READ) if isinstance(item, str) else 0)


def _written(request: PredictionRequest, inputs: int, cost: int) -> tuple[int, int]:
    """A prompt is read to its end, and every token is a pass."""
    characters = sum(len(text) for text in request.texts if isinstance(text, str))
    tokens = request.parameters.get("max_new_tokens")
    # Looked at by the model's thread only; a number without end would cost without end.
    most = min(max(tokens, 1), _MOST_TOKENS) if isinstance(tokens, int) else DEFAULT_NEW_TOKENS
    return inputs, characters + inputs * _EACH * (1 + most)


def _labelled(request: PredictionRequest, inputs: int, cost: int) -> tuple[int, int]:
    """Every label of a text is a pass."""
    labels = passes(request.parameters)
    return inputs * labels, cost * labels


def _seen(request: PredictionRequest, inputs: int, cost: int) -> tuple[int, int]:
    """An image costs what its pixels do, however it was sent."""
    return inputs, inputs * _EACH


# Task -> how many inputs a request counts for, and what it costs, by its parameters, where that is not what its texts say.
_WEIGHED = {GENERATION: _written, ZERO_SHOT: _labelled, **dict.fromkeys(IMAGE_TASKS, _seen)}


def _outcomes(model: Model, asked: Sequence[tuple[PredictionRequest, Cancellation]]) -> Iterator[tuple[int, Any]]:
    """The place of each request and its outputs, or the exception that is its answer."""
    if together := getattr(model, "predict_together", None):
        yield from together(asked)
        return
    for place, (request, cancellation) in enumerate(asked):
        try:
            cancellation.check()
            outputs: Any = model.predict(request, cancellation)
        except Exception as error:  # noqa: BLE001  (its answer)
            outputs = error
        yield place, outputs


def _left(ping: Ping, started: float) -> float:
    return max(0.0, ping.hold_s - (time.perf_counter() - started))

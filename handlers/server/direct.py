"""Short requests past ASGI: the same contract, queue, model, figures and log, without a task and a dozen coroutines for each."""

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from handlers.functions import deadline, logs, pings, spans, traces
from handlers.functions.problems import Overloaded, RequestProblem
from handlers.server import contracts
from handlers.server.calls import Call
from handlers.server.outcome import Outcome
from handlers.server.service import Answer
from handlers.server.waiting import Job
from handlers.web.exchange import Exchange, Sooner
from handlers.web.heads import Head

if TYPE_CHECKING:
    from handlers.server.app import App


def begin(app: "App", exchange: Exchange) -> bool:
    """Begin to answer a prediction. False where its contract answers by itself, where it needs what only ASGI's way has (a stream, an input
    that is fetched first, a span, a ping), or where it will be refused: nothing has been done then."""
    service, head, body = app.service, exchange.head, exchange.body
    try:
        found = head.found
        if found is None:
            found = head.found = _found(head)
        here, route, reader, speaks = found
        if not here or spans.collected() or len(body) > service.settings.max_body_bytes:
            return False
        headers, request_id, trace, seconds = head.headers, app.new_id(), None, math.inf
        if speaks:
            request_id, trace = logs.request_id(headers, request_id), traces.of(headers)
        call = Call(service, app.lasting, headers, _receive, request_id, came=exchange.began)
        call.route = route
        request, form = reader(call, body)
        if form.piece is not None or request.uri is not None:
            return False
        form = call.form(form)
        if speaks:
            seconds = call.seconds_left()
    except Exception:  # noqa: BLE001  (it comes again on ASGI's way, which tells it)
        return False
    asked = _Direct(app, exchange, call, trace)
    exchange.leaving, exchange.ending = asked.gone, asked.given_up
    try:
        sooner = asked.sooner if exchange.alone and exchange.keep_alive and trace is None and service.stages.taken else None
        asked.job = service.begin(request, form, seconds, asked.told, asked.failed, sooner=sooner)
    except RequestProblem as problem:
        asked.failed(problem)
    except Exception as error:  # noqa: BLE001  (its answer)
        asked.failed(service.unexpected(error, call.request_id))
    return True


class _Found(NamedTuple):
    """What the head of a request tells: whether it can be answered `here` at all, and whether it `speaks` of more than what is asked."""

    here: bool
    route: contracts.Route | None = None
    reader: contracts.Reader | None = None
    speaks: bool = True


# Correlation ids, traces, deadlines, pings.
_SPEAKING = logs.TELLING | traces.TELLING | {deadline.TIMEOUT_HEADER}


def _found(head: Head) -> _Found:
    headers = head.headers
    route = contracts.fixed("POST", head.path)
    if route is None or "content-encoding" in headers or (reader := contracts.reader(route)) is None:
        return _Found(here=False)
    if logs.CUSTOM_ATTRIBUTES_HEADER in headers and pings.of_headers(headers) is not None:
        return _Found(here=False)
    return _Found(True, route, reader, speaks=not _SPEAKING.isdisjoint(headers))


async def _receive() -> Any:
    raise AssertionError("A request that came whole has nothing to come.")


class _Direct:
    """One such request, until it is answered, too late, or its client is gone."""

    __slots__ = ("_app", "_call", "_exchange", "_over", "_trace", "job")

    def __init__(self, app: "App", exchange: Exchange, call: Call, trace: traces.Trace | None) -> None:
        self._app = app
        self._exchange = exchange
        self._call = call
        self._trace = trace
        self._over = False
        self.job: Job[Any, Any] | None = None

    def sooner(self, outcome: Outcome) -> bool:
        """In the model's thread, which is done with it: answer a lone client from there, where nothing is special about its answer, and log
        that. To wake the loop for it would take a tenth of the client's time; it hears of it when it has to do with the connection."""
        result, error = outcome.end()
        if error is not None:
            return False
        service, call, exchange = self._app.service, self._call, self._exchange
        try:
            encoded, took = result
            answer = service.answer_of(encoded)
            lines, closing = self._app.lines(answer, call)
        except Exception:  # noqa: BLE001  (the loop comes to the same, and tells it)
            return False
        seconds = time.monotonic() - exchange.began

        def count() -> None:
            # Before it leaves: its client may ask for the figures next.
            service.metrics.predicted(took)
            service.metrics.answered([(answer.status, seconds)])

        if closing or not exchange.answer_sooner(Sooner(answer.status, lines, answer.body, count, self._forget)):
            return False
        self._app.log.write_now(call.request_id, exchange.head.path, answer.status, len(answer.body), seconds)
        return True

    def _forget(self) -> None:
        """In the loop, after that."""
        self._over = True
        job, self.job = self.job, None
        if job is not None:
            self._app.service.forget(job)

    def told(self, outcome: Outcome) -> None:
        """The model is done with it."""
        if self._over or self._exchange.settling is not None:
            return
        # They lead to each other.
        self._forget()
        try:
            if self._trace is None:
                self._told(outcome)
                return
            with traces.within(self._trace):
                self._told(outcome)
        except Exception:
            self._break_off()
            raise

    def _told(self, outcome: Outcome) -> None:
        result, error = outcome.end()
        if isinstance(error, RequestProblem):
            answer = self._app.refusal(error, self._call)
        elif isinstance(error, Exception):
            answer = self._unexpected(error)
        else:
            try:
                encoded, seconds = result
                answer = self._app.service.answered(encoded, seconds, self._call.request_id)
            except Exception as fault:  # noqa: BLE001  (the last place where an error can still become an answer)
                answer = self._unexpected(fault)
        self._send(answer)

    def failed(self, problem: RequestProblem) -> None:
        """It is refused, or its time is over."""
        if not self._is_over():
            self._refuse(problem)

    def _refuse(self, problem: RequestProblem) -> None:
        try:
            with traces.within(self._trace):
                self._send(self._app.refusal(problem, self._call))
        except Exception:
            self._break_off()
            raise

    def gone(self) -> None:
        """The client left."""
        if not self._is_over():
            with traces.within(self._trace):
                logs.write("client_gone", request_id=self._call.request_id, route=self._exchange.head.path[:80])

    def given_up(self) -> None:
        """The server leaves and has no time left."""
        if not self._is_over():
            self._app.service.metrics.shed("leaving")
            self._refuse(Overloaded("The server is shutting down.", retry_after_s=1))

    def _is_over(self) -> bool:
        """Whether it was before, or the model's thread answers it."""
        if self._over or self._exchange.settling is not None:
            return True
        job = self.job
        self._forget()
        if job is not None:
            job.give_up()
        return False

    def _break_off(self) -> None:
        """Where nothing else can be told, as uvicorn does then; nothing where an answer is sent."""
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": "21", "connection": "close"}
        self._exchange.answer(500, headers, b"Internal Server Error")

    def _unexpected(self, error: Exception) -> Answer:
        return self._app.refusal(self._app.service.unexpected(error, self._call.request_id), self._call)

    def _send(self, answer: Answer) -> None:
        try:
            lines, closing = self._app.lines(answer, self._call)
        except ValueError as error:
            # A header that is none.
            answer = self._unexpected(error)
            lines, closing = self._app.lines(answer, self._call)
        if self._exchange.answer_with(answer.status, lines, answer.body, closing=closing):
            self._app.record(self._exchange.head.path, answer, self._call, time.monotonic() - self._exchange.began, len(answer.body))

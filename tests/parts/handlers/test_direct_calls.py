"""Predictions past ASGI: what their callers are told, at the end of their time too, and what is left of them."""

import asyncio
import gc
import json
import sys
import threading
import time
from collections import Counter

import pytest

from handlers.engines.loading import Loaded
from handlers.engines.manifest import read_manifest
from handlers.functions import spans
from handlers.functions.problems import InputRefused
from handlers.functions.requests import PredictionRequest
from handlers.server import direct
from handlers.server.app import App
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from handlers.web.heads import Head

PLENTY_S = 10


class Held:
    """A model that computes once it may, or fails as it is told to."""

    warm_up = PredictionRequest(("ping",), many=False, parameters={})

    def __init__(self):
        self.go_on, self.error = threading.Event(), None

    def predict(self, request, cancellation):
        if request is self.warm_up:
            return []
        assert self.go_on.wait(PLENTY_S)
        if self.error is not None:
            raise self.error
        return [0.5]


class Exchange:
    """What came, and what is answered: stands for the connection."""

    def __init__(self, body=b'{"inputs": "cold"}', path="/predict", *, alone=False, keep_alive=True, **headers):
        self.body, self.head = body, Head(path, {"x-request-id": "mine"} | headers)
        self.began = asyncio.get_running_loop().time()
        self.leaving = self.ending = None
        self.alone, self.keep_alive, self.settling = alone, keep_alive, None
        # What the thread that may answer sooner finds, and what is done before it does.
        self.only_the_loop, self.first = False, lambda: None
        # Somebody else answers, or has.
        self.claimed = False
        self.loop = asyncio.get_running_loop()
        self.answered = asyncio.Event()
        self.answers = []

    def answer(self, status, headers, body):
        if not self.answered.is_set():
            self.answers.append((status, headers, body))
            self.answered.set()
            self.over()

    def over(self):
        """As the connection does."""
        self.leaving = self.ending = None

    def answer_with(self, status, lines, body, *, closing):
        headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
        assert closing == (headers.get("connection") == "close")
        if self.claimed:
            return False
        self.answer(status, headers, body)
        return True

    def answer_sooner(self, sooner):
        assert threading.current_thread().name == "model"
        self.first()
        if self.only_the_loop:
            return False
        sooner.first()
        headers = dict(line.split(": ", 1) for line in sooner.lines.decode().splitlines())
        self.settling = lambda: (sooner.settling(), self.over())
        self.answers.append((sooner.status, headers, sooner.body))
        self.loop.call_soon_threadsafe(self.answered.set)
        return True

    async def status(self):
        await asyncio.wait_for(self.answered.wait(), PLENTY_S)
        return self.answers[0][0]


@pytest.fixture
def model():
    made = Held()
    yield made
    made.go_on.set()


@pytest.fixture
def app(model, tiny):
    manifest = read_manifest(tiny)
    settings = HandlerSettings(model_dir=tiny, request_timeout_s=PLENTY_S, max_queue=8, inputs_uri="s3://inputs/")
    service = Service(settings, Stages(0), lambda settings, mark: (mark("load"), Loaded(manifest, model, ("CPU",)))[1])
    service.start()
    service.worker.loaded.result(PLENTY_S)
    # No caller of these is the first.
    service.stages.take(0)
    return App(service)


def shed(app):
    text = app.service.metrics.text(ready=True, waiting=0, stages={}, tokens={}, spans={})
    lines = (line.split("{reason=")[1] for line in text.splitlines() if line.startswith("pilotlight_shed_total{"))
    return Counter({line.split('"')[1]: int(line.rsplit(" ", 1)[1]) for line in lines})


def lines(capsys, event):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if f'"{event}"' in line]


def left(app):
    return len(app.service._deliveries._ends), app.service.worker.waiting


def test_an_answer_leaves_nothing_behind(app, model, capsys):
    model.go_on.set()

    async def work():
        exchange = Exchange()
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        assert exchange.answers[0][2] == b'{"outputs":[0.5]}'
        assert left(app) == (0, 0)

    asyncio.run(work())
    (line,) = lines(capsys, "request")
    assert (line["route"], line["status"], line["request_id"]) == ("/predict", 200, "mine")


async def started(app):
    first = Exchange()
    assert direct.begin(app, first)
    assert await first.status() == 200
    await asyncio.sleep(0.02)


def test_a_lone_client_is_answered_by_the_models_thread(app, model, capsys):
    model.go_on.set()

    async def work():
        await started(app)
        exchange = Exchange(alone=True)
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        ((_, headers, body),) = exchange.answers
        assert (headers, body) == (
            {"content-type": "application/json", "content-length": "17", "x-request-id": "mine"},
            b'{"outputs":[0.5]}',
        )
        await asyncio.sleep(0.02)
        # The loop has done nothing for it yet.
        assert left(app) == (1, 0)
        exchange.settling()
        assert left(app) == (0, 0)

    asyncio.run(work())
    assert [line["status"] for line in lines(capsys, "request")] == [200, 200]
    assert 'pilotlight_answers_total{status="200"} 2' in app._figures()


@pytest.mark.parametrize(("error", "status"), [(InputRefused("not this"), 422), (ValueError("bug"), 500)])
def test_what_is_no_answer_is_told_by_the_loop(app, model, error, status):
    model.go_on.set()

    async def work():
        await started(app)
        model.error = error
        exchange = Exchange(alone=True)
        assert direct.begin(app, exchange)
        assert await exchange.status() == status
        assert exchange.settling is None
        assert left(app) == (0, 0)

    asyncio.run(work())


def test_who_is_told_of_the_cold_start_is_told_by_the_loop(app, model):
    model.go_on.set()

    async def work():
        await started(app)
        app.service.stages.taken = False
        exchange = Exchange(alone=True)
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        assert exchange.settling is None

    asyncio.run(work())


def test_a_lone_client_whose_trace_is_followed_is_answered_by_the_loop(app, model, capsys):
    model.go_on.set()
    trace = "11111111111111111111111111111111"

    async def work():
        await started(app)
        exchange = Exchange(alone=True, traceparent=f"00-{trace}-2222222222222222-01")
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        assert exchange.settling is None
        await asyncio.sleep(0.02)

    asyncio.run(work())
    assert [line.get("trace_id") for line in lines(capsys, "request")] == [None, trace]


@pytest.mark.parametrize("only_the_loop", [True, False], ids=["its thread can't", "it ends its connection"])
def test_what_the_models_thread_does_not_answer_is_counted_once(app, model, only_the_loop, capsys):
    model.go_on.set()

    async def work():
        await started(app)
        exchange = Exchange(alone=True, keep_alive=only_the_loop)
        exchange.only_the_loop = only_the_loop
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        assert exchange.settling is None
        await asyncio.sleep(0.02)
        assert left(app) == (0, 0)

    asyncio.run(work())
    assert len(lines(capsys, "request")) == 2
    assert "pilotlight_prediction_seconds_count 2\n" in app._figures()
    assert 'pilotlight_answers_total{status="200"} 2\n' in app._figures()


def test_who_is_refused_by_the_connection_leaves_nothing_behind(app, model, capsys):
    """Bytes behind it that are no HTTP: the connection answers in its place, and ends."""

    async def work():
        exchange, other = Exchange(alone=True), Exchange()
        assert direct.begin(app, exchange)
        assert direct.begin(app, other)
        exchange.claimed = True
        exchange.leaving()
        exchange.over()
        model.go_on.set()
        assert await other.status() == 200
        await asyncio.sleep(0.05)
        assert left(app) == (0, 0)
        assert exchange.answers == []

    asyncio.run(work())
    assert len(lines(capsys, "client_gone")) == 1


def test_who_loses_to_the_models_thread_tells_of_nothing(app, model, capsys):
    """The time is over in the moment in which it answers: one answer, one line, one count."""
    model.go_on.set()

    async def work():
        await started(app)
        exchange = Exchange(alone=True)
        late = threading.Event()

        def meanwhile():
            # Claimed, and not yet noted where the loop looks first.
            exchange.claimed = True
            while not app.service._deliveries._ends:
                time.sleep(0.001)
            ((_, told),) = app.service._deliveries._ends.values()
            exchange.loop.call_soon_threadsafe(lambda: (told(), late.set()))
            assert late.wait(PLENTY_S)

        exchange.first = meanwhile
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        await asyncio.sleep(0.05)
        assert len(exchange.answers) == 1
        exchange.settling()
        assert left(app) == (0, 0)

    asyncio.run(work())
    assert [line["status"] for line in lines(capsys, "request")] == [200, 200]
    assert 'pilotlight_answers_total{status="200"} 2\n' in app._figures()


def test_whose_time_is_over_while_the_models_thread_answers_is_told_once(app, model):
    model.go_on.set()

    async def work():
        await started(app)
        exchange = Exchange(alone=True)
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        # The moment is over before the loop has heard of the answer.
        app.service._deliveries._look(app.service._deliveries._looks_at)
        for _, late in list(app.service._deliveries._ends.values()):
            late()
        exchange.ending()
        assert len(exchange.answers) == 1
        exchange.settling()

    asyncio.run(work())


def test_a_log_that_the_models_thread_can_not_write_is_told_by_the_loop(app, model, monkeypatch):
    model.go_on.set()
    told = []

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))
        await started(app)
        monkeypatch.setattr(sys, "stdout", Closed())
        exchange = Exchange(alone=True)
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        await asyncio.sleep(0.05)
        assert len(exchange.answers) == 1
        monkeypatch.undo()
        exchange.settling()
        # And the model goes on.
        await started(app)

    asyncio.run(work())
    assert told == ["I/O operation on closed file."]


def test_an_answer_is_counted_when_it_is_given_and_its_line_is_written_at_the_end_of_the_turn(app, model, capsys):
    model.go_on.set()

    async def work():
        exchange = Exchange()
        answer_with, seen = exchange.answer_with, []

        def answered(*arguments, **options):
            # Where a request is piped behind it, its task begins next.
            exchange.loop.call_soon(lambda: seen.append('pilotlight_answers_total{status="200"} 1\n' in app._figures()))
            return answer_with(*arguments, **options)

        exchange.answer_with = answered
        assert direct.begin(app, exchange)
        assert await exchange.status() == 200
        await asyncio.sleep(0.02)
        assert seen == [True]

    asyncio.run(work())
    assert len(lines(capsys, "request")) == 1


def test_whose_time_is_over_is_told_and_its_work_given_up(app, model):
    async def work():
        first, late = Exchange(), Exchange(**{"x-request-timeout-ms": "50"})
        assert direct.begin(app, first)
        assert direct.begin(app, late)
        assert await late.status() == 504
        model.go_on.set()
        assert await first.status() == 200
        await asyncio.sleep(0.1)
        assert left(app) == (0, 0)

    asyncio.run(work())
    # It was never computed.
    assert +shed(app) == Counter(deadline=1)


def test_at_the_end_of_the_drain_each_is_told_once(app, model):
    async def work():
        exchange = Exchange()
        assert direct.begin(app, exchange)
        exchange.ending()
        assert await exchange.status() == 503
        assert exchange.answers[0][1]["retry-after"] == "1"
        model.go_on.set()
        await asyncio.sleep(0.1)
        assert len(exchange.answers) == 1

    asyncio.run(work())
    assert shed(app)["leaving"] == 1


def test_who_leaves_is_noted_and_its_work_given_up(app, model, capsys):
    async def work():
        first, gone = Exchange(), Exchange()
        assert direct.begin(app, first)
        assert direct.begin(app, gone)
        gone.leaving()
        model.go_on.set()
        assert await first.status() == 200
        await asyncio.sleep(0.1)
        assert gone.answers == []
        assert left(app) == (0, 0)

    asyncio.run(work())
    assert len(lines(capsys, "client_gone")) == 1
    assert +shed(app) == Counter(gone=1)


@pytest.mark.parametrize(("error", "status"), [(InputRefused("not this"), 422), (ValueError("bug"), 500)])
def test_what_a_model_raises_is_told_and_leaves_nothing_to_the_collector(app, model, error, status):
    model.error = error
    model.go_on.set()

    async def work():
        for count in range(4):
            exchange = Exchange()
            assert direct.begin(app, exchange)
            assert await exchange.status() == status
            del exchange
            await asyncio.sleep(0.01)
            if count == 0:
                gc.collect()
                gc.disable()
        return [each for each in gc.get_objects() if type(each) is direct._Direct and each._app is app]

    try:
        assert asyncio.run(work()) == []
    finally:
        gc.enable()


@pytest.mark.parametrize("body", [b'{"inputs": {"uri": "s3://inputs/a"}}', b"{", b'{"inputs": 1}', b'{"inputs": "a", "stream": true}'])
def test_what_asgi_has_to_answer_is_left_to_it_untouched(app, body):
    async def work():
        exchange = Exchange(body, path="/" if b"stream" in body else "/predict")
        assert not direct.begin(app, exchange)
        assert (exchange.leaving, exchange.ending, exchange.answers) == (None, None, [])

    asyncio.run(work())
    assert app.service.worker.waiting == 0


def test_a_request_of_which_a_span_is_told_is_asgis(app, model):
    class Nobody:
        def samples(self, came, trace):
            return False

    async def work():
        assert not direct.begin(app, Exchange())

    spans.collect(Nobody())
    try:
        asyncio.run(work())
    finally:
        spans.collect(None)


def test_without_a_place_and_without_time_it_is_the_place_that_is_told(app, model):
    async def work():
        for _ in range(9):
            assert direct.begin(app, Exchange())
            await asyncio.sleep(0.02)
        for headers in ({}, {"x-request-timeout-ms": "0"}):
            refused = Exchange(**headers)
            assert direct.begin(app, refused)
            assert await refused.status() == 503
        model.go_on.set()

    asyncio.run(work())
    assert shed(app)["full"] == 2


def test_what_goes_wrong_in_the_queue_is_a_fault_and_no_bad_request(app, monkeypatch, capsys):
    def broken(*_, **__):
        raise OverflowError("too large")

    monkeypatch.setattr(app.service.worker, "submit", broken)

    async def work():
        exchange = Exchange()
        assert direct.begin(app, exchange)
        assert await exchange.status() == 500

    asyncio.run(work())
    assert len(lines(capsys, "server_fault")) == 1


class Closed:
    """A log that somebody has closed (test_logs.py has one on a full disk)."""

    def write(self, text):
        raise ValueError("I/O operation on closed file.")

    flush = write


def test_a_log_that_can_not_be_written_keeps_nobody_from_an_answer(app, model, monkeypatch):
    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        exchanges = [Exchange() for _ in range(4)]
        late = Exchange(**{"x-request-timeout-ms": "60"})
        assert all(direct.begin(app, each) for each in (*exchanges, late))
        monkeypatch.setattr(sys, "stdout", Closed())
        assert await late.status() == 504
        model.go_on.set()
        assert [await each.status() for each in exchanges] == [200] * 4
        monkeypatch.undo()
        # Nor from what is due later.
        model.go_on.clear()
        later = Exchange(**{"x-request-timeout-ms": "60"})
        assert direct.begin(app, later)
        assert await later.status() == 504

    asyncio.run(work())


def test_where_not_even_the_fault_can_be_logged_the_connection_ends(app, model, monkeypatch):
    model.error = ValueError("bug")
    model.go_on.set()

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        exchange = Exchange()
        assert direct.begin(app, exchange)
        monkeypatch.setattr(sys, "stdout", Closed())
        assert await exchange.status() == 500
        assert exchange.answers[0][1]["connection"] == "close"

    asyncio.run(work())

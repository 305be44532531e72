"""Bodies of megabytes: to read one takes a second, in which others are answered."""

import asyncio
import threading

import httpx
import pytest

from handlers.engines.loading import Loaded
from handlers.engines.manifest import read_manifest
from handlers.functions.requests import PredictionRequest
from handlers.server import app as server
from handlers.server import calls
from handlers.server.app import App
from handlers.server.contracts import azure_ml, cog, webhooks
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings

LONG = b'{"inputs": "' + b"a" * 200_000 + b'"}'


class Model:
    warm_up = PredictionRequest(("ping",), many=False, parameters={})

    def __init__(self):
        self.free = threading.Event()
        self.free.set()

    def predict(self, request, cancellation):
        assert self.free.wait(10)
        return [[0.0]]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def app(tiny, model):
    manifest, settings = read_manifest(tiny), HandlerSettings(model_dir=tiny, webhooks_uri="http://127.0.0.1/told")
    service = Service(settings, Stages(0), lambda settings, mark: Loaded(manifest, model, ("CPU",)))
    service.start()
    service.worker.loaded.result(30)
    return App(service)


def held_until_a_probe_is_answered(app, path, content):
    """The statuses of a probe and of a body that is read for as long as the probe has no answer, and the threads that read."""
    probed, begun, threads = threading.Event(), threading.Event(), []

    def slowly(read):
        def reading(*given, **named):
            threads.append(threading.current_thread().name)
            begun.set()
            assert probed.wait(10)
            return read(*given, **named)

        return reading

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            posted = asyncio.ensure_future(client.post(path, content=content, headers={"content-type": "application/json"}))
            assert await asyncio.to_thread(begun.wait, 10)
            probe = await client.get("/ping")
            probed.set()
            return probe.status_code, (await posted).status_code

    return slowly, ask, threads


def test_others_are_answered_while_one_is_read(app, monkeypatch):
    slowly, ask, threads = held_until_a_probe_is_answered(app, "/predict", LONG)
    reader = server.contracts.reader
    monkeypatch.setattr(server.contracts, "reader", lambda route: slowly(reader(route)))
    assert asyncio.run(ask()) == (200, 200)
    assert threads == ["long-bodies_0"]


def test_so_they_are_while_a_contract_that_answers_by_itself_has_its_body_decoded(app, monkeypatch):
    slowly, ask, threads = held_until_a_probe_is_answered(app, "/predictions", b'{"input": %b}' % LONG)
    monkeypatch.setattr(calls, "decoded", slowly(calls.decoded))
    assert asyncio.run(ask()) == (200, 200)
    assert threads == ["long-bodies_0"]


@pytest.mark.parametrize(
    ("module", "path", "content"), [(cog, "/predictions", b'{"input": %b}' % LONG), (azure_ml, "/score", LONG)], ids=["cog", "azure"]
)
def test_and_while_it_looks_at_every_value_of_it(app, monkeypatch, module, path, content):
    slowly, ask, threads = held_until_a_probe_is_answered(app, path, content)
    monkeypatch.setattr(module, "translated", slowly(module.translated))
    assert asyncio.run(ask()) == (200, 200)
    assert threads == ["long-bodies_0"]


def test_what_is_wrong_with_one_is_told(app):
    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post("/predict", content=LONG[:-1], headers={"content-type": "application/json"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]) == (400, "malformed-body")


def test_values_that_are_here_at_once_have_room_for_the_most_that_one_body_can_have(app, monkeypatch):
    """Two bytes of JSON become eighty in memory: 48 MB took more than a gigabyte."""
    most = app.service.settings.max_body_bytes
    many = b'{"inputs": [%s[]]}' % (b"[]," * (most // 3 - 100))
    begins = b'{"input": %b}' % many
    few = b'{"inputs": "%s"}' % (b"cold " * (most // 6))
    slowly, probed, begun = calls.decoded, threading.Event(), threading.Event()

    def reading(*given):
        begun.set()
        assert probed.wait(10)
        return slowly(*given)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:

            async def post(path, content):
                return await client.post(path, content=content, headers={"content-type": "application/json"})

            first = asyncio.ensure_future(post("/predictions", begins))
            assert await asyncio.to_thread(begun.wait, 10)
            second = await post("/predict", many)
            third = asyncio.ensure_future(post("/predict", few))
            await asyncio.sleep(0.1)
            probed.set()
            await first
            return second, await third, await post("/predict", many)

    monkeypatch.setattr(calls, "decoded", reading)
    refused, other, later = asyncio.run(ask())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert f"{sum(map(begins.count, b',:[{'))} values are here already" in refused.json()["detail"]
    assert other.status_code == 200
    # Read, and refused for what it asks.
    assert later.status_code == 422


def test_what_goes_on_behind_an_answer_holds_its_room(app, model, monkeypatch):
    """A prediction that no client waits for, and what its webhook has not yet taken."""
    bodies, taken, sent = calls.Bodies.of(app.lasting, app.service), threading.Event(), []

    def send(address, document, **_):
        assert taken.wait(10)
        sent.append(len(document))

    async def until(is_so):
        for _ in range(1000):
            if is_so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{bodies.held} bytes are held by {len(app.lasting.tasks)} tasks")

    async def ask():
        content = b'{"webhook": "http://127.0.0.1/told", "input": %b}' % LONG
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            model.free.clear()
            headers = {"content-type": "application/json", "prefer": "respond-async"}
            answer = await client.post("/predictions", content=content, headers=headers)
            assert answer.status_code == 202
            assert bodies.held > 2 * len(LONG)
            assert bodies.values > 0
            model.free.set()
            # The prediction, and what is told of its start, its output and its end.
            await until(lambda: len(app.lasting.tasks) == 4)
            assert bodies.held > 4 * len(LONG)
            taken.set()
            await until(lambda: bodies.held == 0)
            assert bodies.values == 0

    monkeypatch.setattr(webhooks, "send", send)
    asyncio.run(ask())
    assert len(sent) == 3

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
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings

LONG = b'{"inputs": "' + b"a" * 200_000 + b'"}'


class Model:
    warm_up = PredictionRequest(("ping",), many=False, parameters={})

    def predict(self, request, cancellation):
        return [[0.0]]


@pytest.fixture
def app(tiny):
    manifest = read_manifest(tiny)
    service = Service(HandlerSettings(model_dir=tiny), Stages(0), lambda settings, mark: Loaded(manifest, Model(), ("CPU",)))
    service.start()
    service.worker.loaded.result(30)
    return App(service)


def held_until_a_probe_is_answered(app, path, content):
    """The statuses of a probe and of a body that is read for as long as the probe has no answer, and the threads that read."""
    probed, begun, threads = threading.Event(), threading.Event(), []

    def slowly(read):
        def reading(*given):
            threads.append(threading.current_thread().name)
            begun.set()
            assert probed.wait(10)
            return read(*given)

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


def test_what_is_wrong_with_one_is_told(app):
    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post("/predict", content=LONG[:-1], headers={"content-type": "application/json"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]) == (400, "malformed-body")

"""Cog's predictions where requests meet: the same id, every slot in use, an end before the beginning, webhooks that are not heard."""

import asyncio
import json
import time

import pytest

from handlers.server.app import App
from handlers.server.contracts.cog_predictions import Predictions
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.contracts.conftest import problem
from tests.parts.handlers.processes import running

INPUT = {"input": {"inputs": "cold start"}}
REFUSED = {"input": {"inputs": "cold", "top_k": 1}}
# Seconds of computing, if nobody ends it.
LONG = {"input": {"inputs": ["cold " * 60] * 30_000}}
LATER = {"prefer": "respond-async"}
WIDE = {"MAX_INPUTS": "100000", "MAX_BODY_BYTES": "100000000", "MAX_ANSWER_BYTES": "1000000000"}


def statuses(states):
    return [state["status"] for state in states]


async def ask(app, method, path, body=None, headers=()):
    """Status and JSON of an answer, all within one turn of the loop where nothing is waited for."""
    coming = [{"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}]
    sent = []

    async def receive():
        # The client stays.
        return coming.pop() if coming else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    named = [(name.encode(), value.encode()) for name, value in dict(headers).items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": named}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_prediction_that_is_ended_before_its_first_step_is_over_and_told(sentences, heard):
    service = Service(HandlerSettings(model_dir=sentences, webhooks_uri=heard.root), Stages(0.0))
    service.start()
    service.worker.loaded.result(timeout=30)

    async def at_once():
        app = App(service)
        begun = await ask(app, "PUT", "/predictions/mine", INPUT | {"webhook": f"{heard.root}a"}, LATER)
        ended = await ask(app, "POST", "/predictions/mine/cancel")
        assert (begun[0], ended[0]) == (202, 200)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert app.lasting.kept(Predictions, dict).running == {}
        await asyncio.wait(set(app.lasting.tasks))
        return await ask(app, "PUT", "/predictions/mine", INPUT | {"webhook": f"{heard.root}b", "webhook_events_filter": []})

    status, told = asyncio.run(at_once())
    assert (status, told["status"]) == (200, "succeeded")
    assert statuses(heard.until(2)) == ["starting", "canceled"]


def test_an_id_in_use_is_refused_to_post_and_told_to_put(sentences, workshop):
    with running(workshop, MODEL_DIR=str(sentences), **WIDE) as started:
        assert started.client.put("/predictions/mine", json=LONG, headers=LATER).status_code == 202
        for headers in ({}, LATER):
            answer = started.client.post("/predictions", json=INPUT | {"id": "mine"}, headers=headers)
            assert problem(answer) == (409, "prediction-runs")
            assert "cold" not in answer.text
        assert started.client.put("/predictions/mine", json=INPUT).status_code == 202
        assert started.client.post("/predictions", json=INPUT | {"id": "other"}, headers=LATER).status_code == 202
        started.client.post("/predictions/mine/cancel")


def test_a_refusal_after_the_beginning_is_told_to_the_webhook_too(sentences, workshop, heard):
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=heard.root) as started:
        answer = started.client.post("/predictions", json=REFUSED | {"webhook": f"{heard.root}a"})
        assert problem(answer) == (422, "input-refused")
        states = heard.until(2, started)
        assert statuses(states) == ["starting", "failed"]
        assert "takes none" in states[1]["error"]


@pytest.mark.parametrize("status", [404, 302])
def test_a_webhook_that_refuses_for_good_is_asked_once_and_logged(sentences, workshop, heard, status):
    heard.statuses = [status]
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=heard.root) as started:
        hooked = INPUT | {"webhook": f"{heard.root}a?token=secret", "webhook_events_filter": ["completed"]}
        started.client.post("/predictions", json=hooked)
        heard.until(1, started)
        until = time.monotonic() + 10
        while "webhook_failed" not in started.log and time.monotonic() < until:
            time.sleep(0.02)
        assert f'"webhook":"{heard.root}a","reason":"status {status}"' in started.log
        assert "secret" not in started.log
    assert len(heard.states) == 1


def test_webhooks_that_nobody_answers_are_bounded_and_keep_nobody_else_waiting(sentences, workshop, heard):
    heard.answering.clear()
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=heard.root, MAX_QUEUE="3") as started:
        hooked = INPUT | {"webhook": f"{heard.root}a"}
        # Its start, its output and its end wait to be told.
        assert started.client.post("/predictions", json=hooked).status_code == 200
        refused = started.client.post("/predictions", json=hooked)
        assert problem(refused) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert started.client.post("/predictions", json=INPUT).status_code == 200
        heard.answering.set()
        assert statuses(heard.until(3, started)) == ["starting", "processing", "succeeded"]
        until = time.monotonic() + 10
        while started.client.post("/predictions", json=hooked).status_code != 200:
            assert time.monotonic() < until
        assert statuses(heard.until(6, started)[3:]) == ["starting", "processing", "succeeded"]

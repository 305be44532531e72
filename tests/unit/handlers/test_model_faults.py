"""Whatever a model of one's own raises is the fault of one request: the thread that owns the model goes on, and so does the server."""

import asyncio
import concurrent.futures
import json
import sys
import threading
import time
import types

import pytest
from starlette.testclient import TestClient

from handlers.functions.requests import PredictionRequest
from handlers.server.app import App
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.server.waiting import Job
from handlers.server.worker import Worker
from handlers.settings import HandlerSettings


class Panic(BaseException):
    """As code below Python raises it."""


RAISES = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "panic": Panic("index out of bounds"),
    "cancelled": asyncio.CancelledError(),
    "cancelled future": concurrent.futures.CancelledError(),
    "late": TimeoutError("its own"),
    "stop": StopIteration(),
}


class Leaver:
    """Does what its input names."""

    example = "fine"

    def load(self, folder, threads):
        pass

    def predict(self, inputs: list[str]) -> list[str]:
        if inputs[0] in RAISES:
            raise RAISES[inputs[0]]
        return inputs


@pytest.fixture
def service(tmp_path, monkeypatch):
    module = types.ModuleType("handlers.models.leaver.model")
    module.Model = Leaver
    monkeypatch.setitem(sys.modules, module.__name__, module)
    manifest = {"format": 1, "source": "leaver", "task": "custom", "engine": "onnx", "architecture": "leaver", "max_tokens": 0, "files": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    made = Service(HandlerSettings(model_dir=tmp_path, request_timeout_s=5), Stages(0.0))
    made.start()
    made.worker.loaded.result(timeout=30)
    return made


@pytest.mark.parametrize("what", RAISES)
def test_what_a_model_raises_is_a_fault_with_its_traceback_and_the_next_request_is_answered(service, capsys, what):
    client = TestClient(App(service))
    started = time.monotonic()
    answer = client.post("/predict", json={"inputs": what})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:pilotlight:problem:internal-fault")
    assert time.monotonic() - started < 2, "told, not waited for"
    faults = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "server_fault" in line]
    assert type(RAISES[what]).__name__ in faults[0]["traceback"]
    assert "in predict" in faults[0]["traceback"]
    assert client.post("/predict", json={"inputs": "fine"}).json() == {"outputs": "fine"}
    assert service.worker.ready


def test_a_models_own_timeout_is_no_deadline_where_a_thread_waits(service):
    with pytest.raises(RuntimeError, match="TimeoutError"):
        service.answer_within(PredictionRequest(("late",), False, {}), "a", 5)


def test_what_ends_a_whole_batch_fails_for_the_request_alone_that_is_at_fault():
    """A text at which the tokenizer panics, which no `except Exception` sees."""
    batches, go = [], threading.Event()

    def compute(model, jobs):
        go.wait(10)
        batches.append([job.request for job in jobs])
        for job in jobs:
            if job.request == "bad":
                raise Panic("index out of bounds")
            yield job, job.request

    worker = Worker(lambda: types.SimpleNamespace(predict_together=None), compute, max_queue=8, batch_size=8)
    jobs = [worker.submit(Job(request)) for request in ("first", "bad", "second", "third")]
    worker.start()
    go.set()
    with pytest.raises(RuntimeError, match="Panic"):
        jobs.pop(1).future.result(timeout=10)
    assert [job.future.result(timeout=10)[0] for job in jobs] == ["first", "second", "third"]
    assert batches == [["first", "bad", "second", "third"], ["bad"], ["second"], ["third"]]
    assert worker.ready


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_thread_has_ended_is_not_ready(monkeypatch):
    worker = Worker(object, lambda model, jobs: ((job, b"") for job in jobs), max_queue=2)
    worker.start()
    worker.loaded.result(timeout=10)
    assert worker.ready

    def leave(*_):
        raise SystemExit

    monkeypatch.setattr(worker, "_answer", leave)
    until = time.monotonic() + 10
    while worker.ready and time.monotonic() < until:
        worker.submit(Job(PredictionRequest(("text",), False, {})))
        time.sleep(0.02)
    assert not worker.ready

"""Whatever a model of one's own raises is the fault of one request: the thread that owns the model goes on, and so does the server."""

import asyncio
import concurrent.futures
import json
import os
import subprocess
import sys
import threading
import time
import types
from contextlib import suppress

import httpx
import pytest
from starlette.testclient import TestClient

from handlers.engines import EngineLost
from handlers.functions.problems import NotReady
from handlers.functions.requests import PredictionRequest
from handlers.server import __main__
from handlers.server.app import App
from handlers.server.running import Running
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.server.waiting import Job
from handlers.server.worker import Worker
from handlers.settings import HandlerSettings

MANIFEST = {"format": 1, "source": "leaver", "task": "custom", "engine": "onnx", "architecture": "leaver", "max_tokens": 0, "files": {}}


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
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
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


def test_who_waits_for_a_model_that_is_lost_is_told_to_ask_again_and_so_is_who_comes_then():
    """In a batch, in the queue and afterwards: nobody waits for what computes nothing any more."""
    go = threading.Event()

    def compute(model, jobs):
        go.wait(10)
        for job in jobs:
            if job.request == "last":
                raise EngineLost("the GPU is gone")
            yield job, job.request

    worker = Worker(lambda: types.SimpleNamespace(predict_together=None), compute, max_queue=8, batch_size=3)
    jobs = [worker.submit(Job(request)) for request in ("answered", "last", "beside", "queued")]
    worker.start()
    go.set()
    assert jobs.pop(0).future.result(timeout=10)[0] == "answered"
    assert str(worker.lost.result(timeout=10)) == "the GPU is gone"
    jobs.append(worker.submit(Job("comes")))
    for job in jobs:
        with pytest.raises(NotReady) as refused:
            job.future.result(timeout=10)
        assert refused.value.retry_after_s == 1
    assert not worker.ready


def test_a_model_that_is_lost_where_a_batch_is_tried_one_by_one_leaves_nobody_waiting():
    def compute(model, jobs):
        raise Panic("one of them") if len(jobs) > 1 else EngineLost("the GPU is gone")

    worker = Worker(lambda: types.SimpleNamespace(predict_together=None), compute, max_queue=8, batch_size=3)
    jobs = [worker.submit(Job(request)) for request in ("one", "two", "three")]
    worker.start()
    for job in jobs:
        with pytest.raises(NotReady):
            job.future.result(timeout=10)
    assert worker.lost.result(timeout=10)


def test_texts_that_are_written_when_the_model_is_lost_are_told_to_ask_again():
    """The model is not even asked to forget them."""
    asked = []

    class Writer:
        free = 4

        def begin(self, request, cancellation, told=None):
            asked.append(request)
            return len(asked)

        def step(self):
            raise EngineLost("the GPU is gone")

        def reset(self):
            raise AssertionError("nothing is left that could forget")

    def running(model):
        return Running(model, lambda job: (model.begin(job.request, job.cancellation), job.request), lambda job, request, outputs: outputs)

    worker = Worker(Writer, lambda model, jobs: iter(()), continuous=running, max_queue=8, batch_size=4)
    jobs = [worker.submit(Job(request)) for request in ("one", "two")]
    worker.start()
    for job in jobs:
        with pytest.raises(NotReady):
            job.future.result(timeout=10)
    assert worker.lost.result(timeout=10)


class Text:
    """Of a request, whose answer it is."""

    def __init__(self, request):
        self.request = request

    def outputs(self):
        return self.request


class Writing:
    """A continuous model whose requests are over with their first step, but for what they name."""

    def __init__(self):
        self.going, self.forgets = [], True

    @property
    def free(self):
        return 4 - len(self.going)

    def begin(self, request):
        if request == "begin":
            raise Panic("in its prompt")
        if request == "lose":
            raise EngineLost("the GPU is gone")
        self.going.append(Text(request))
        return self.going[-1]

    def step(self):
        done, self.going = self.going, []
        named = [text.request for text in done]
        self.forgets = not {"forget", "break"} & {*named}
        self.error = IndexError("pop from empty list") if "break" in named else EngineLost("the GPU is gone")
        if "step" in named:
            raise Panic("in a step")
        return done

    def reset(self):
        if not self.forgets:
            raise self.error


def written(job, request, outputs):
    if outputs == "answer":
        raise Panic("in its answer")
    return outputs


def side_by_side(model):
    return Running(model, lambda job: (model.begin(job.request), job.request), written)


def continuing(*requests):
    """A worker of a continuous model, and what is asked of it, all at once."""
    worker = Worker(Writing, lambda model, jobs: iter(()), continuous=side_by_side, max_queue=8, batch_size=4)
    jobs = {request: worker.submit(Job(request)) for request in requests}
    worker.start()
    return worker, jobs


@pytest.mark.parametrize("where", ["begin", "answer"])
def test_a_panic_where_a_text_begins_or_is_told_is_its_own_and_the_others_go_on(where):
    worker, jobs = continuing("one", where, "two")
    assert [jobs[name].future.result(timeout=10)[0] for name in ("one", "two")] == ["one", "two"]
    with pytest.raises(RuntimeError, match="raised Panic"):
        jobs[where].future.result(timeout=10)
    assert worker.submit(Job("three")).future.result(timeout=10)[0] == "three"
    assert worker.ready


def test_a_broken_step_fails_those_that_it_was_for_and_the_next_go_on():
    worker, jobs = continuing("one", "step")
    for job in jobs.values():
        with pytest.raises(RuntimeError, match="raised Panic"):
            job.future.result(timeout=10)
    assert worker.submit(Job("two")).future.result(timeout=10)[0] == "two"


def test_a_model_that_is_lost_where_a_text_begins_leaves_nobody_waiting():
    worker, jobs = continuing("one", "lose", "two")
    for job in jobs.values():
        with pytest.raises(NotReady):
            job.future.result(timeout=10)
    assert worker.lost.result(timeout=10)


@pytest.mark.parametrize("how", ["forget", "break"])
def test_a_broken_step_that_can_not_be_forgotten_leaves_nobody_waiting(how):
    worker, jobs = continuing("one", "step", how)
    for job in jobs.values():
        with pytest.raises(NotReady):
            job.future.result(timeout=10)
    assert worker.lost.result(timeout=10)


def test_a_thread_that_ends_for_whatever_reason_says_so_and_leaves_nobody_waiting(monkeypatch):
    def broken(*_):
        raise Panic("in the queue")

    worker = Worker(lambda: types.SimpleNamespace(), lambda model, jobs: iter(()), max_queue=8, batch_size=1)
    monkeypatch.setattr(worker, "_compute_next", broken)
    job = worker.submit(Job("one"))
    worker.start()
    with pytest.raises(NotReady):
        job.future.result(timeout=10)
    assert str(worker.lost.result(timeout=10)) == "Panic: in the queue"


LOSING = """
import sys
from handlers.engines import EngineLost
from tests.parts.handlers.test_model_faults import Leaver, serving
class Losing(Leaver):
    def predict(self, inputs: list[str]) -> list[str]:
        if inputs[0] == "lose":
            raise EngineLost("the GPU is gone")
        return inputs
sys.exit(serving(Losing, *sys.argv[1:]))
"""


def serving(model, folder, port):
    """The model server's own way of serving and ending, with a model of one's own from this module; its exit status."""
    module = types.ModuleType("handlers.models.leaver.model")
    module.Model = model
    sys.modules[module.__name__] = module
    os.environ |= {"MODEL_DIR": folder, "PORT": port, "BIND_HOST": "127.0.0.1"}
    return __main__.main()


def test_a_process_whose_model_is_lost_ends_by_itself_and_says_why(tmp_path, free_tcp_port):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    command = [sys.executable, "-c", LOSING, str(tmp_path), str(free_tcp_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{free_tcp_port}", timeout=20) as client:
            wait_until_ready(client, process)
            assert client.post("/predict", json={"inputs": "fine"}).json() == {"outputs": "fine"}
            lost = client.post("/predict", json={"inputs": "lose"})
            assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
            assert lost.json()["type"] == "urn:pilotlight:problem:not-ready"
        told, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    (reason,) = [json.loads(line) for line in told.splitlines() if '"model_failed"' in line]
    assert "the GPU is gone" in reason["traceback"]


def test_of_several_processes_the_one_that_lost_its_model_is_begun_again(tmp_path, free_tcp_port):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    command = [sys.executable, "-c", LOSING, str(tmp_path), str(free_tcp_port)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | {"WORKERS": "2"}, stdout=out)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{free_tcp_port}", timeout=20) as client:
            wait_until_ready(client, process)
            assert client.post("/predict", json={"inputs": "lose"}).status_code == 503
        # A connection each: the kernel deals them out, to the one that leaves as long as it listens.
        answered, until = 0, time.monotonic() + 30
        while answered < 20 or '"worker_ended"' not in log.read_text():
            assert time.monotonic() < until
            with suppress(httpx.TransportError):
                answer = httpx.post(f"http://127.0.0.1:{free_tcp_port}/predict", json={"inputs": "fine"}, timeout=20)
                assert answer.status_code in (200, 503)
                answered += answer.status_code == 200
        process.terminate()
        process.wait(15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    ended = [json.loads(line) for line in log.read_text().splitlines() if '"worker_ended"' in line]
    assert [each["status"] for each in ended] == [1]


def wait_until_ready(client, process):
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        try:
            if client.get("/ping").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"it does not serve; exit status {process.poll()}")

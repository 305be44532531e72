"""The server's parts by themselves: settings, stages, cancellation, worker, tasks."""

import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import Digits

from components.limits import SERVER_BATCH, SERVER_BATCH_WAIT_MS, SERVER_QUEUE, SERVER_WORKERS
from handlers import settings as settings_module
from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.manifest import FILES, PICKLES
from handlers.functions.environment import SettingsError
from handlers.functions.parameters import PARAMETERS
from handlers.functions.problems import PROBLEMS, InputRefused, InternalFault, NotReady, Overloaded, RequestProblem, document
from handlers.functions.requests import PredictionRequest
from handlers.server import stages as stages_module
from handlers.server.stages import AHEAD_S, Stages, custom_attributes, server_timing
from handlers.server.waiting import Job
from handlers.server.worker import Worker
from handlers.settings import HandlerSettings, usable_cpus
from handlers.tasks import TASKS, TORCH_TASKS
from handlers.tasks.feature_extraction import FeatureExtraction
from handlers.tasks.text import TextModel, encode, load_tokenizer
from pilotlight.packaging import model as packaging
from pilotlight.packaging import tensors
from stacks.settings_service import Model
from tests.parts.handlers.processes import ROOT
from tests.support.size import ALL, examples

REQUEST = PredictionRequest(("text",), many=False, parameters={})


def test_defaults_are_those_of_the_contract():
    settings = HandlerSettings.from_environment({"PORT": "", "MODEL_URI": ""})
    assert (settings.port, settings.bind_host, settings.model_uri) == (8080, "0.0.0.0", None)
    assert (settings.model_dir, settings.model_cache) == (Path("/opt/ml/model"), Path("/tmp/model"))
    assert (settings.max_body_bytes, settings.request_timeout_s) == (4_194_304, 55)
    assert (settings.batch_size, settings.batch_wait_s, settings.workers) == (32, 0, 1)


@pytest.mark.parametrize(
    ("name", "bounds"), [("BATCH_SIZE", SERVER_BATCH), ("BATCH_WAIT_MS", SERVER_BATCH_WAIT_MS), ("WORKERS", SERVER_WORKERS)]
)
def test_the_bounds_of_a_stacks_settings_are_the_servers(name, bounds):
    for value in (bounds.low - 1, bounds.high + 1):
        with pytest.raises(SettingsError, match=f"{name} is .* from {bounds.low} to {bounds.high}"):
            HandlerSettings.from_environment({name: str(value)})
    HandlerSettings.from_environment({name: str(bounds.high)})
    assert HandlerSettings().max_queue == SERVER_QUEUE


def test_processes_share_the_cpus_that_there_are(monkeypatch):
    monkeypatch.setattr(settings_module, "usable_cpus", lambda: 4)
    threads = [HandlerSettings.from_environment({"WORKERS": count}).model_threads for count in ("1", "2", "3", "9")]
    assert threads == [4, 2, 1, 1]
    assert HandlerSettings.from_environment({"WORKERS": "4", "MODEL_THREADS": "2"}).model_threads == 2


@pytest.mark.parametrize(
    ("variables", "port"), [({"SAGEMAKER_BIND_TO_PORT": "9000"}, 9000), ({"SAGEMAKER_BIND_TO_PORT": "9000", "PORT": "80"}, 80)]
)
def test_port_goes_before_sagemakers(variables, port):
    assert HandlerSettings.from_environment(variables).port == port


@pytest.mark.parametrize("value", ["0", "65536", "-1", "8080.0", "\uff18\uff10", " 80", "1e3", "9" * 5000])
def test_a_bad_number_is_refused_with_its_bounds(value):
    with pytest.raises(SettingsError, match=r"PORT is .* use a whole number from 1 to 65535"):
        HandlerSettings.from_environment({"PORT": value})


@pytest.mark.parametrize(
    ("files", "cpus"), [({"cpu.max": "50000 100000"}, 1), ({"cpu.max": "max 100000"}, 64), ({"cpu.max": "odd"}, 64), ({}, 64)]
)
def test_threads_follow_the_containers_quota(tmp_path, monkeypatch, files, cpus):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(settings_module, "_CGROUP", tmp_path)
    monkeypatch.setattr(settings_module.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert usable_cpus() == cpus


def test_threads_follow_the_quota_of_the_older_cgroups(tmp_path, monkeypatch):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(settings_module, "_CGROUP", tmp_path)
    monkeypatch.setattr(settings_module.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert usable_cpus() == 3


def test_stages_add_up_and_are_given_away_once():
    stages = Stages(boot_s=0.5)
    time.sleep(0.02)
    stages.mark("import")
    stages.mark("load")
    start = stages.take(0.25)
    taken = start.stages
    assert list(taken) == ["boot", "import", "load", "first"]
    assert (taken["boot"], taken["first"]) == (500, 250)
    assert taken["import"] >= 20 > taken["load"]
    assert not start.ahead, "ready when the first request came"
    assert stages.take(0.1) is None


def test_a_start_that_was_over_before_anybody_asked_was_ahead(monkeypatch):
    stages = Stages(boot_s=0.5)
    stages.mark("load")
    now = time.perf_counter()
    monkeypatch.setattr(stages_module.time, "perf_counter", lambda: now + AHEAD_S + 1)
    assert stages.take(0.25).ahead
    on_lambda = Stages(boot_s=0.5, ahead=True)
    on_lambda.mark("load")
    assert on_lambda.take(0.25).ahead, "initialised by provisioned concurrency"


def test_the_start_of_this_process_is_known():
    # A process of its own: the one that runs the tests may be older than any start that is believed.
    program = "from handlers.server.stages import Stages; print(Stages.since_process_start().known()['boot'])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 0 < float(told.stdout) < 60_000


def test_stages_are_written_as_both_headers_want_them():
    stages = {"boot": 1.5, "load": 20.0}
    assert server_timing(stages) == "boot;dur=1.5, load;dur=20"
    assert custom_attributes(stages) == "cold-start=boot:1.5,load:20"


def test_giving_up_stops_what_runs_and_refuses_what_has_not_begun():
    cancellation, stopped = Cancellation(), []
    with cancellation.stopping(lambda: stopped.append(True)):
        cancellation.cancel()
    assert stopped == [True]
    with pytest.raises(Cancelled):
        cancellation.check()
    with pytest.raises(Cancelled), cancellation.stopping(lambda: None):
        pass


def one_by_one(predict):
    """What a worker computes with: each request's answer by itself, or what it raises."""

    def compute(model, jobs):
        for job in jobs:
            try:
                job.cancellation.check()
                answer = predict(job.request)
            except Exception as error:  # noqa: BLE001  (it is the answer)
                answer = error
            yield job, answer

    return compute


def test_a_worker_answers_in_order_skips_what_was_given_up_and_refuses_when_full():
    gate, seen = threading.Event(), []

    def predict(request):
        gate.wait(10)
        seen.append(request)
        return request.encode()

    worker = Worker(object, one_by_one(predict), max_queue=2)
    worker.start()
    worker.loaded.result(timeout=10)
    first = worker.submit(Job("first"))
    while worker.waiting:
        time.sleep(0.001)
    given_up, last = worker.submit(Job("given up")), worker.submit(Job("last"))
    with pytest.raises(Overloaded) as refusal:
        worker.submit(Job("one too many"))
    assert refusal.value.retry_after_s == 1
    given_up.cancellation.cancel()
    gate.set()
    assert first.future.result(timeout=10)[0] == b"first"
    assert last.future.result(timeout=10)[0] == b"last"
    with pytest.raises(CancelledError):
        given_up.future.result(timeout=10)
    assert seen == ["first", "last"]


def test_a_worker_survives_a_prediction_that_fails_and_tells_a_load_that_fails():
    outcomes = iter([RuntimeError("broken"), b"fine"])

    def predict(_):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    worker = Worker(object, one_by_one(predict), max_queue=2)
    worker.start()
    with pytest.raises(RuntimeError, match="broken"):
        worker.submit(Job("one")).future.result(timeout=10)
    assert worker.submit(Job("two")).future.result(timeout=10)[0] == b"fine"

    def load():
        raise OSError("no disk")

    failing = Worker(load, one_by_one(predict), max_queue=2)
    failing.start()
    with pytest.raises(OSError, match="no disk"):
        failing.loaded.result(timeout=10)
    assert not failing.ready


def test_who_waits_for_a_model_that_can_not_be_loaded_is_told_at_once():
    goes = threading.Event()

    def load():
        goes.wait(10)
        raise OSError("no disk")

    worker = Worker(load, one_by_one(lambda _: b""), max_queue=2)
    worker.start()
    first = worker.submit(Job("one"))
    goes.set()
    for waiting in (first, worker.submit(Job("two"))):
        with pytest.raises(NotReady):
            waiting.future.result(timeout=10)


def test_what_ends_a_batch_as_a_whole_fails_for_the_request_that_it_belongs_to():
    def compute(model, jobs):
        for job in jobs:
            if job.request == "large":
                raise MemoryError("no room")
            yield job, b"told"

    worker = Worker(lambda: SimpleNamespace(predict_together=None), compute, max_queue=4, batch_size=4)
    jobs = [worker.submit(Job(request)) for request in ("first", "large", "last")]
    worker.start()
    with pytest.raises(MemoryError, match="no room"):
        jobs[1].future.result(timeout=10)
    assert [jobs[place].future.result(timeout=10)[0] for place in (0, 2)] == [b"told", b"told"]
    assert worker.submit(Job("next")).future.result(timeout=10)[0] == b"told"


def test_a_batch_is_as_large_as_the_setting_and_one_for_a_model_that_takes_no_batches():
    def compute(model, jobs):
        yield from ((job, len(jobs)) for job in jobs)

    for model, sizes in ((SimpleNamespace(predict_together=None), [2, 2, 1]), (object(), [1, 1, 1])):
        worker = Worker(lambda model=model: model, compute, max_queue=4, batch_size=2)
        jobs = [worker.submit(Job(place)) for place in range(3)]
        worker.start()
        assert [job.future.result(timeout=10)[0] for job in jobs] == sizes


PIECES = st.sampled_from(
    [
        *("cold", "start ", "sleeps", "x" * 99, "x" * 101, "!", " ", "\n", "\u670d", "e\u0301", "[SEP]", "\u200b", "a" * 3000),
        *("\u00e9\u0130" * 500, "\u00d7" * 300, "\u0436" * 300, "A9" * 200),
    ]
)


@settings(max_examples=examples(12, 60), deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=8), times=st.integers(1, 20_000))
def test_a_long_text_gets_the_tokens_that_tokenizing_all_of_it_gives(minilm_tokenizer, pieces, times):
    text = ("".join(pieces) * times)[:60_000]
    tokenizer = load_tokenizer(minilm_tokenizer, 256)
    whole = tokenizer.encode(text)
    assert encode(tokenizer, text).ids == whole.ids
    told = encode(tokenizer, text, offsets=True)
    assert (told.ids, told.offsets) == (whole.ids, whole.offsets)


def test_a_word_of_megabytes_is_not_read_to_its_end(minilm_tokenizer):
    """One that parts words otherwise, or has pieces for longer ones, is given all of it."""
    tokenizer, read = load_tokenizer(minilm_tokenizer, 256), []
    spy = SimpleNamespace(
        model=tokenizer.model,
        normalizer=tokenizer.normalizer,
        pre_tokenizer=tokenizer.pre_tokenizer,
        get_added_tokens_decoder=tokenizer.get_added_tokens_decoder,
        num_special_tokens_to_add=tokenizer.num_special_tokens_to_add,
        encode=lambda text, *rest, **given: read.append(len(text)) or tokenizer.encode(text, *rest, **given),
    )
    text = f"intro {'q' * 4_000_000} end"
    assert tokenizer.decode(encode(spy, text).ids, skip_special_tokens=False) == "[CLS] intro [UNK] end [SEP]"
    assert sum(read) < 1000
    read.clear()
    spy.pre_tokenizer = Digits(individual_digits=True)
    encode(spy, text[:70_000])
    assert read[-1] == 70_000
    read.clear()
    spy.pre_tokenizer, tokenizer.model.max_input_chars_per_word = tokenizer.pre_tokenizer, 300
    encode(spy, text[:70_000])
    assert read[-1] == 70_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one program is read from Linux's /proc")
@pytest.mark.parametrize("piece", ["a", *(["cloud ", "\u670d\u52a1", "\u00e9!"] if ALL else [])])
def test_megabytes_of_text_cost_neither_the_containers_memory_nor_seconds(minilm_tokenizer, piece):
    # The peak of this program alone: what getrusage says begins with the peak of the process that forked it.
    code = (
        "import sys; from pathlib import Path; from handlers.tasks.text import encode, load_tokenizer;"
        "tokenizer = load_tokenizer(Path(sys.argv[1]), 512); "
        "text = sys.argv[2] * (4_000_000 // len(sys.argv[2].encode())); ids = encode(tokenizer, text).ids;"
        "peak = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'));"
        "print(len(ids), int(peak.split()[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, minilm_tokenizer, piece], cwd=ROOT, capture_output=True, text=True, check=True)
    tokens, megabytes = map(int, done.stdout.split())
    assert tokens in (2, 3, 512)
    assert megabytes < 500


class Encoding:
    ids, type_ids = (2, 3), (0, 0)


class Fixed:
    """A tokenizer and an engine of fixed numbers."""

    batches = pads = on_gpu = False

    def __init__(self, output=None):
        self.output = output

    def num_special_tokens_to_add(self, pair):
        return 2

    def encode(self, text, pair=None, add_special_tokens=True):
        return Encoding

    def run(self, tokens, types, cancellation, mask=None):
        return np.array([self.output], dtype=np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_computes_no_number_is_a_fault_and_no_null_in_the_answer(value):
    with pytest.raises(InternalFault):
        FeatureExtraction(TextModel(Fixed(), Fixed([1, value])), None).predict(REQUEST, Cancellation())


@pytest.mark.parametrize("detail", ["half \ud800 of one", ValueError("half \ud800 of one")], ids=["text", "error"])
def test_a_problem_can_be_told_whatever_a_models_own_words_are(detail):
    told = orjson.loads(orjson.dumps(document(InputRefused(detail), "id")))
    assert told["detail"] == "half \\ud800 of one"


def test_every_kind_of_problem_has_a_row_and_a_name_of_its_own():
    assert set(RequestProblem.__subclasses__()) == set(PROBLEMS)
    names = [name for _, name, _ in PROBLEMS.values()]
    assert len(names) == len(set(names))


def test_what_is_never_opened_is_the_same_in_packager_and_server():
    assert set(tensors.PICKLES) == PICKLES


def test_tasks_are_the_same_in_settings_packager_function_and_server():
    offered = get_args(Model.model_fields["task"].annotation)
    assert set(TASKS) == set(PARAMETERS) == set(packaging.TASKS) == set(offered)
    assert set(packaging.ENGINES["torch"]) == set(TORCH_TASKS)
    assert all("tokenizer.json" in files for files in FILES.values())

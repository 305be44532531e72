"""The first answer comes soon: what a start leaves out, and what runs beside what."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.engines import EngineLost, loading
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import Loaded
from handlers.engines.manifest import ModelError, read_manifest
from handlers.functions.requests import PredictionRequest
from handlers.server.processes import _warmed
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.server.waiting import Job
from handlers.server.worker import Worker
from handlers.settings import HandlerSettings
from pilotlight.twin.ports import port_for_later
from tests.parts.handlers.processes import ROOT

LEFT_OUT = ("click", "watchfiles", "multiprocessing")


def loaded_by(code: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, json; {code}; print(json.dumps(list(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(told.stdout))


def test_the_server_leaves_out_the_command_line_of_what_it_serves_with() -> None:
    loaded = loaded_by("import handlers.server.http_server")
    assert "uvicorn.server" in loaded
    assert not loaded.intersection(LEFT_OUT)


@pytest.mark.parametrize("use", ["import uvicorn; uvicorn.run", "from uvicorn import Config, run", "import uvicorn.main; uvicorn.main.run"])
def test_who_asks_for_the_whole_of_it_gets_it(use: str) -> None:
    loaded = loaded_by(f"import handlers.web.running as ours; {use}; import uvicorn; assert uvicorn.Server is ours.Server")
    assert loaded.issuperset(LEFT_OUT)


def test_who_had_the_whole_of_it_keeps_it() -> None:
    loaded_by("import uvicorn; had = uvicorn.Server; import handlers.web.running as ours; assert ours.Server is had; uvicorn.run")


def test_how_logs_are_configured_is_left_out_until_somebody_asks() -> None:
    loaded = loaded_by("import handlers.server.http_server")
    assert not loaded.intersection({"logging.handlers", "socketserver"})
    whole = loaded_by("import handlers.server.http_server; import logging.config; logging.config.dictConfig({'version': 1})")
    assert "logging.handlers" in whole


def test_who_asks_at_once_from_several_threads_gets_the_whole_of_it() -> None:
    code = """
import sys, threading
import handlers.web.bare_uvicorn
import logging.config
sys.setswitchinterval(1e-6)
failed, start = [], threading.Barrier(4)

def use():
    start.wait()
    try:
        logging.config.dictConfig({"version": 1})
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed, hasattr(logging.config, "no_such_thing"))
"""
    assert run(code).stdout == "[] False\n"


LISTENS = """
import os, socket
from handlers.engines import loading
from handlers.server.__main__ import main

def begin(settings, mark):
    socket.create_connection((settings.bind_host, settings.port), timeout=5).close()
    print("listens", flush=True)
    os._exit(7)

loading.begin = begin
main()
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", **variables}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_who_comes_before_anything_is_imported_waits() -> None:
    told = run(LISTENS, PORT=str(port_for_later()))
    assert (told.stdout, told.returncode) == ("listens\n", 7), told.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_told(tiny: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = run(
            "import sys; from handlers.server.__main__ import main; sys.exit(main())", PORT=port, MODEL_DIR=str(tiny), WORKERS=workers
        )
    (line,) = [json.loads(line) for line in told.stdout.splitlines()]
    assert (line["event"], line["level"], told.returncode) == ("port_taken", "ERROR", 1)
    assert line["message"].startswith(f"PORT is {port}, which can't be used on 127.0.0.1: Address already in use")


ENGINE = "from handlers.engines.loading import import_engine; import_engine('onnx', 'sentence-embedding')"
OF_LIBRARIES = {"numpy._core._add_newdocs", "numpy._typing", "tokenizers.implementations"}


def test_documentation_and_training_are_left_out() -> None:
    loaded = loaded_by(ENGINE)
    assert {"numpy._core.numeric", "tokenizers.models", "handlers.engines.onnx"} <= loaded
    assert not loaded & (OF_LIBRARIES | {"numpy.lib", "numpy.linalg", "numpy.matrixlib", "onnxruntime"})


@pytest.mark.parametrize(
    "use",
    [
        "import numpy.typing; assert numpy.typing.NDArray[numpy.float32] and not isinstance(numpy.typing.NDArray, type)",
        "from tokenizers import BertWordPieceTokenizer; assert BertWordPieceTokenizer.from_file",
        "import tokenizers; assert tokenizers.ByteLevelBPETokenizer.__name__ == 'ByteLevelBPETokenizer'",
        "import tokenizers; assert tokenizers.implementations.BaseTokenizer",
        "import tokenizers; assert not hasattr(tokenizers, 'NoSuchTokenizer')",
        "from tokenizers.implementations import BaseTokenizer; import numpy._core._add_newdocs",
        "import numpy; assert numpy.pad([1, 2], 1).tolist() == [0, 1, 2, 0]",
        "from numpy import unique, matrix; assert unique([2, 1, 2]).tolist() == [1, 2] and matrix('1 2').shape == (1, 2)",
        "import numpy.lib.format, numpy; assert numpy.lib.format.magic and numpy.emath.sqrt(-1) == 1j",
        "import numpy; assert numpy.linalg.norm([3, 4]) == 5 and numpy.ma.array([1]).sum() == 1 and numpy.fft.fft([1])[0] == 1",
        "from numpy import *; assert median([3, 1, 2]) == 2",
        "import numpy; assert not hasattr(numpy, 'no_such_thing') and 'pad' in dir(numpy)",
        *[
            f"import {first}, sys; import numpy, numpy.linalg; assert numpy.linalg is sys.modules['numpy.linalg'] and numpy.pad([1], 1)[1]"
            f"; assert sys.modules['{first}'].__spec__.loader.__class__.__name__ == 'SourceFileLoader'"
            for first in (
                "numpy.linalg",
                "numpy.linalg._linalg",
                "numpy.matrixlib",
                "numpy.lib",
                "numpy.lib.format",
                "numpy.ma",
                "numpy.fft",
            )
        ],
        *[f"import numpy.{name}" for name in ("matlib", "polynomial", "random", "testing", "strings", "ctypeslib", "rec", "char")],
    ],
)
def test_who_asks_for_what_is_left_out_of_libraries_gets_it(use: str) -> None:
    loaded_by(f"{ENGINE}; {use}")


NAMES = "import numpy, tokenizers; numpy.linalg, numpy.typing; told = [sorted(each.__all__) if hasattr(each, '__all__') else [] \
for each in (numpy, tokenizers)] + [sorted(dir(numpy)), sorted(set(vars(numpy)) - {'__getattr__', '__dir__'})]"


def test_all_names_of_numpy_are_there_once_one_was_asked_for() -> None:
    bare, whole = (
        run(f"import json, warnings; warnings.simplefilter('ignore'); {first}; {NAMES}; print(json.dumps(told))").stdout
        for first in (ENGINE, "pass")
    )
    assert len(bare) > 1000
    assert bare == whole


def test_who_asks_for_them_at_once_from_several_threads_gets_them() -> None:
    code = f"""
import sys, threading
{ENGINE}
import numpy
sys.setswitchinterval(1e-6)
failed, start = [], threading.Barrier(6)

def use(name):
    start.wait()
    try:
        assert callable(getattr(numpy, name))
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=use, args=(name,)) for name in ("pad", "median", "unique", "pad", "nanmax", "tril")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed, numpy.pad([1], 1))
"""
    assert run(code).stdout == "[] [0 1 0]\n"


@pytest.mark.parametrize(("first", "second"), [("linalg", "pad"), ("random", "lib"), ("ma", "unique")])
def test_an_import_beside_who_asks_for_a_name_ends(first: str, second: str) -> None:
    code = f"""
import sys, threading
{ENGINE}
import numpy
start = threading.Barrier(2)

def imports():
    start.wait()
    __import__("numpy.{first}")

def asks():
    start.wait()
    numpy.{second}

threads = [threading.Thread(target=use, daemon=True) for use in (imports, asks)]
[thread.start() for thread in threads]
[thread.join(20) for thread in threads]
print([thread.is_alive() for thread in threads], numpy.pad([1], 1), numpy.{first}.__name__)
"""
    for _ in range(8):
        assert run(code).stdout == f"[False, False] [0 1 0] numpy.{first}\n"


def test_no_module_of_numpy_keeps_what_stands_for_another() -> None:
    code = f"""
import sys
{ENGINE}
from handlers.engines.bare_libraries import _Absent, _Empty
ours = [(name, module) for name, module in sys.modules.items() if name.startswith(("numpy", "tokenizers"))]
print([(name, each) for name, module in ours for each, value in vars(module).items() if isinstance(value, (_Absent, _Empty))])
"""
    assert run(code).stdout == "[]\n"


@pytest.mark.parametrize("first", ["numpy.typing", "tokenizers", "numpy"])
def test_libraries_that_were_whole_stay_so(first: str) -> None:
    whole = OF_LIBRARIES & loaded_by(f"import {first}")
    assert loaded_by(f"import {first}; {ENGINE}") & OF_LIBRARIES >= whole


def test_what_may_be_a_model_of_ones_own_has_the_whole_of_the_libraries() -> None:
    assert loaded_by("from handlers.engines.loading import import_engine; import_engine('onnx', None)") >= OF_LIBRARIES


def test_answers_are_the_same_with_the_whole_of_the_libraries(tiny: Path) -> None:
    code = (
        "from pathlib import Path; from handlers.engines.loading import build; from handlers.engines.manifest import read_manifest; "
        "from handlers.engines.cancellation import Cancellation; from handlers.functions.requests import PredictionRequest; "
        f"folder = Path({str(tiny)!r}); model = build(folder, read_manifest(folder), 1); "
        "print(model.predict(PredictionRequest(('cold',), False, {}), Cancellation()).tobytes().hex())"
    )

    def told(first: str) -> str:
        run = subprocess.run([sys.executable, "-c", f"{first}; {code}"], cwd=ROOT, capture_output=True, text=True, check=True)
        return next(line for line in run.stdout.splitlines() if "event" not in line)

    assert told(ENGINE) == told("import numpy, tokenizers")


def settings_of(folder: Path) -> HandlerSettings:
    return HandlerSettings(model_dir=folder)


def test_a_model_is_begun_before_it_is_asked_for(tiny: Path) -> None:
    marks: list[str] = []
    loader = loading.begin(settings_of(tiny), marks.append)
    assert "import" in marks
    loaded = loader(settings_of(tiny), marks.append)
    assert marks == ["import", "fetch", "load"]
    assert loaded.manifest.task == "feature-extraction"


def test_why_a_model_can_t_be_loaded_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    loader = loading.begin(settings_of(tmp_path), lambda _: None)
    with pytest.raises(ModelError, match=r"manifest\.json does not exist"):
        loader(settings_of(tmp_path), lambda _: None)


def test_libraries_that_take_long_to_import_don_t_keep_the_port_closed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(loading, "import_engine", lambda *_: goes_on.wait(30))
    began = time.monotonic()
    loader = loading.begin(settings_of(tiny), lambda _: None)
    assert time.monotonic() - began < 10
    goes_on.set()
    assert loader(settings_of(tiny), lambda _: None).manifest.engine == "onnx"


SERVED = """
import asyncio, sys, json
from handlers.web.running import make_server
async def work():
    server = make_server(None, host="127.0.0.1", port=int(sys.argv[1]), drain_s=1, arrival_s=1)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    told = json.dumps(list(sys.modules))
    server.should_exit = True
    await serving
    print(told)
asyncio.run(work())
"""


def test_a_server_that_serves_has_left_it_out_too(free_tcp_port: int) -> None:
    told = subprocess.run([sys.executable, "-c", SERVED, str(free_tcp_port)], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(told.stdout))
    assert "uvicorn.lifespan.off" in loaded
    assert not loaded.intersection(LEFT_OUT)


def test_what_few_starts_need_is_left_out(tiny: Path) -> None:
    code = f"from handlers.settings import HandlerSettings as S; from handlers.engines.loading import load; import pathlib\
; load(S(model_dir=pathlib.Path({str(tiny)!r})), lambda stage: None); import handlers.server.service, handlers.server.http_server"
    assert not loaded_by(code).intersection({"tarfile", "tempfile", "bz2", "handlers.functions.objects", "boto3"})


@pytest.mark.parametrize(("task", "threads"), [("sentence-embedding", "1"), ("custom", None)])
def test_numpy_s_threads_take_no_time_of_a_start_but_a_model_of_one_s_own_has_them(
    task: str, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    loading.import_engine("onnx", task)
    assert os.environ.pop("OPENBLAS_NUM_THREADS", None) == threads
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    loading.import_engine("onnx", task)
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


class Warm:
    """A model whose first work can be held; `asked` are the texts that it has computed."""

    warm_up = PredictionRequest(("ping",), many=False, parameters={})

    reset: Callable[[], None]

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked: list[str] = []
        self.go_on, self._error = threading.Event(), error

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> list[float]:
        self.asked += request.texts
        assert self.go_on.wait(10)
        if self._error is not None and request is self.warm_up:
            raise self._error
        return [0.5]


def serving(model: Warm, tiny: Path, *, warm: bool = False) -> Service:
    loaded = Loaded(read_manifest(tiny), model, ("CPU",), warm=warm)
    return Service(HandlerSettings(model_dir=tiny), Stages(0), lambda settings, mark: (mark("load"), loaded)[1])


def test_a_model_is_ready_once_it_has_computed_something(tiny: Path) -> None:
    model = Warm()
    service = serving(model, tiny)
    service.start()
    while not model.asked:
        time.sleep(0.001)
    time.sleep(0.05)
    assert not service.worker.ready
    model.go_on.set()
    service.worker.loaded.result(timeout=10)
    assert service.worker.ready
    assert model.asked == ["ping"]
    # Its time is the start's, and it stands in no figure.
    assert service.stages.known()["load"] >= 50
    assert "pilotlight_batch_requests_count 0" in service.metrics.text(ready=True, waiting=0, stages={}, tokens={}, spans={})
    # Nor is what a request takes guessed by it.
    assert service.worker._jobs._cost_s == 0


def test_a_model_that_has_computed_something_before_is_ready_at_once(tiny: Path) -> None:
    model = Warm()
    service = serving(model, tiny, warm=True)
    service.start()
    service.worker.loaded.result(timeout=10)
    assert service.worker.ready
    assert model.asked == []


class Panic(BaseException):
    """What a library below Python raises (pyo3's PanicException)."""


@pytest.mark.parametrize("error", [None, ValueError("no ping"), Panic("no ping")], ids=repr)
def test_a_model_that_processes_share_computes_something_before_they_are_begun(tiny: Path, error: BaseException | None) -> None:
    resets: list[bool] = []
    model = Warm(error)
    model.reset = lambda: resets.append(True)
    model.go_on.set()
    # Where it fails each of them tries, and tells of it; what it had begun is none of theirs.
    assert _warmed(Loaded(read_manifest(tiny), model, ("CPU",))).warm is (error is None)
    assert model.asked == ["ping"]
    assert len(resets) == (error is not None)


def test_whoever_waits_already_is_computed_in_place_of_it(tiny: Path) -> None:
    model, went = Warm(), threading.Event()
    model.go_on.set()
    manifest = read_manifest(tiny)

    def load(settings: HandlerSettings, mark: loading.Mark) -> Loaded:
        assert went.wait(10)
        return Loaded(manifest, model, ("CPU",))

    service = Service(HandlerSettings(model_dir=tiny), Stages(0), load)
    service.start()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(service.answer_within, PredictionRequest(("mine",), many=False, parameters={}), "id", 10)
        while not service.worker.waiting:
            time.sleep(0.001)
        went.set()
        assert answer.result(timeout=10).status == 200
    assert model.asked == ["mine"]


def test_a_model_that_fails_at_it_is_served_and_told_of(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Warm(ValueError("no ping"))
    model.go_on.set()
    service = serving(model, tiny)
    service.start()
    service.worker.loaded.result(timeout=10)
    assert service.answer_within(PredictionRequest(("mine",), many=False, parameters={}), "id", 10).status == 200
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "warm_up_failed" in line]
    assert (line["level"], line["error"], line["message"]) == ("WARNING", "ValueError", "no ping")


def test_a_model_that_is_another_than_its_manifest_says_is_not_served(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Warm(ModelError("3 scores, 1 label"))
    model.go_on.set()
    service = serving(model, tiny)
    service.start()
    with pytest.raises(ModelError, match="3 scores, 1 label"):
        service.worker.loaded.result(timeout=10)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_ends_where_they_are_not_of_each_other(tiny: Path, tmp_path: Path, workers: str) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    value = json.loads((folder / "manifest.json").read_text()) | {"task": "text-classification", "labels": {"0": "a"}}
    (folder / "manifest.json").write_text(json.dumps(value))
    environment = {**os.environ, "MODEL_DIR": str(folder), "PORT": str(port_for_later()), "BIND_HOST": "127.0.0.1", "WORKERS": workers}
    command = [sys.executable, "-m", "handlers.server"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    (line,) = [json.loads(line) for line in done.stdout.splitlines() if "model_refused" in line]
    assert re.search(r"The model gives \d+ scores and manifest\.json names 1 labels", line["message"])
    assert done.returncode != 0


def test_what_is_waited_for_is_told(tiny: Path) -> None:
    model = Warm()
    service = serving(model, tiny)
    assert service.unready() == "The model is being loaded."
    service.start()
    while not model.asked:
        time.sleep(0.001)
    assert re.fullmatch(r"The model was loaded \d\.\d s ago and computes its first answer, the warm-up\.", service.unready())
    model.go_on.set()


def test_a_model_that_can_not_go_on_with_several_is_told_as_one_that_can_not_be_loaded() -> None:
    def refused(model: object) -> None:
        raise ModelError("no place for its texts")

    worker: Worker[str, bytes] = Worker(lambda: object(), lambda model, jobs: iter(()), continuous=refused, max_queue=1)
    worker.start()
    with pytest.raises(ModelError, match="no place"):
        worker.loaded.result(timeout=10)
    assert not worker.ready


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
@pytest.mark.parametrize("how", ["written", "replaced", "removed"])
def test_what_is_another_file_by_the_time_it_was_loaded_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    built = loading._built

    def harmed(*arguments: object, **options: object) -> object:
        # The proofs may be under way still: of what lies there after them.
        time.sleep(0.2)
        content = (folder / name).read_bytes()
        if how == "removed":
            (folder / name).unlink()
        elif how == "written":
            (folder / name).write_bytes(content)
        else:
            (tmp_path / "other").write_bytes(content)
            (tmp_path / "other").rename(folder / name)
        return built(*arguments, **options) if how != "removed" else Loaded(read_manifest(folder), Warm(), ("CPU",))

    monkeypatch.setattr(loading, "_built", harmed)
    with pytest.raises(ModelError, match=rf"{re.escape(name)} was (replaced|there)"):
        loading.load(settings_of(folder), lambda stage: None)


def test_a_gpu_that_is_lost_at_it_ends_the_process(tiny: Path) -> None:
    model = Warm(EngineLost("gone"))
    model.go_on.set()
    service = serving(model, tiny)
    service.start()
    assert isinstance(service.worker.lost.result(timeout=10), EngineLost)
    assert not service.worker.ready


def test_who_takes_the_last_place_in_that_moment_is_answered() -> None:
    came: list[Job[str, bytes]] = []

    def warm_up() -> Job[str, bytes]:
        came.append(worker.submit(Job("mine")))
        return Job("ping", counted=False)

    worker: Worker[str, bytes] = Worker(
        lambda: object(), lambda model, jobs: ((job, job.request.encode()) for job in jobs), max_queue=1, warm_up=warm_up
    )
    worker.start()
    worker.loaded.result(timeout=10)
    assert came[0].future.result(timeout=10)[0] == b"mine"
    assert worker.ready

"""Engine `onnx`: what takes processor time while it computes and while it does not; when its weights are packed."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from handlers.engines import weights
from handlers.engines.cancellation import Cancellation
from handlers.engines.onnx import OnnxEngine, Session
from handlers.engines.onnx_module import wanted_of
from tests.parts.handlers import graphs
from tests.parts.handlers.processes import ROOT

# Milliseconds of processor time that the process takes in 20 pauses of 20 ms, each after a prediction.
CODE = """
import sys, time
from pathlib import Path
import numpy as np
from handlers.engines.cancellation import Cancellation
from handlers.engines.onnx import OnnxEngine
engine, taken = OnnxEngine(Path(sys.argv[1]), threads=2), 0.0
tokens = np.ones((1, 60), dtype=np.int64)
for _ in range(20):
    engine.run(tokens, np.zeros_like(tokens), Cancellation())
    began = time.process_time()
    time.sleep(0.02)
    taken += time.process_time() - began
print(taken * 1000)
"""


def test_the_gpu_is_asked_for_where_the_build_has_it_and_the_cpu_stands_behind_it() -> None:
    assert wanted_of(["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert wanted_of(["AzureExecutionProvider", "CPUExecutionProvider"]) == ["CPUExecutionProvider"]


def test_threads_that_wait_for_work_leave_the_processor_to_others(tiny: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(tiny)], cwd=ROOT, capture_output=True, text=True, check=True)
    # Behind what the engine logs.
    assert float(done.stdout.splitlines()[-1]) < 40


def told(engine: OnnxEngine, tokens: np.ndarray) -> np.ndarray:
    return engine.run(tokens, np.zeros_like(tokens), Cancellation())


def packing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "model-packing"]


def ended() -> None:
    for thread in packing():
        thread.join(10)


def test_weights_are_packed_behind_the_first_answer(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine, tokens = OnnxEngine(tiny, threads=2), np.arange(12, dtype=np.int64).reshape(2, 6)
    assert packing() == []
    began = engine._session
    first = told(engine, tokens)
    assert len(packing()) == 1
    assert told(engine, tokens) == pytest.approx(first, abs=0)
    ended()
    assert engine._session is not began
    # By other instructions, so that the last digits may be other ones.
    assert told(engine, tokens) == pytest.approx(first, abs=1e-5)
    assert json.loads(capsys.readouterr().out)["event"] == "weights_packed"
    assert packing() == []


def test_the_graph_is_as_it_is_written_until_then_unless_the_first_answer_needs_more(tmp_path: Path) -> None:
    folder = graphs.fused(tmp_path)
    picture = np.random.default_rng(3).random((2, 3, 8, 8), dtype=np.float32)

    def seen(engine: OnnxEngine) -> list[float]:
        return engine.infer({"x": picture}, Cancellation()).ravel().tolist()

    written, optimized, packed = OnnxEngine(folder, 1), OnnxEngine(folder, 1, optimized=True), OnnxEngine(folder, 1, packed=True)
    first, whole = seen(written), seen(packed)
    # Convolution and normalization are one operator, or two.
    assert first != whole
    assert seen(optimized) != first
    ended()
    assert seen(written) == seen(optimized) == whole


def test_a_graph_that_opens_only_once_it_is_optimized_does(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, levels = OnnxEngine._opened, []

    def picky(engine: OnnxEngine, wanted: list[str], *, packed: bool, optimized: bool) -> Session:
        levels.append(optimized)
        if not optimized:
            raise RuntimeError("no way to compute this")
        return opened(engine, wanted, packed=packed, optimized=optimized)

    monkeypatch.setattr(OnnxEngine, "_opened", picky)
    assert told(OnnxEngine(tiny, threads=1), np.ones((1, 6), dtype=np.int64)).shape[0] == 1
    assert levels[:2] == [False, True]
    ended()


def test_processes_that_share_weights_have_them_packed_from_the_start(tiny: Path) -> None:
    engine, tokens = OnnxEngine(tiny, threads=1, packed=True), np.ones((1, 6), dtype=np.int64)
    began = engine._session
    assert told(engine, tokens) == pytest.approx(told(OnnxEngine(tiny, threads=1), tokens), abs=1e-5)
    assert engine._session is began
    ended()


def test_weights_that_can_not_be_packed_answer_as_they_are(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, tokens = OnnxEngine(tiny, threads=1), np.ones((1, 6), dtype=np.int64)

    def full(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(engine, "_opened", full)
    first = told(engine, tokens)
    ended()
    assert told(engine, tokens) == pytest.approx(first, abs=0)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"]) == ("weights_not_packed", "WARNING")
    assert "no room" in line["message"]


def test_files_that_were_replaced_after_their_proof_are_not_served(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    engine, tokens = OnnxEngine(folder, threads=1), np.ones((1, 6), dtype=np.int64)
    began = engine._session
    content = bytearray((folder / "model.onnx.data").read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    (tmp_path / "other").write_bytes(content)
    (tmp_path / "other").rename(folder / "model.onnx.data")
    first = told(engine, tokens)
    ended()
    assert engine._session is began
    assert told(engine, tokens) == pytest.approx(first, abs=0)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"]) == ("weights_not_packed", "WARNING")
    assert "changed" in line["message"]


def test_a_volume_may_number_its_files_anew(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As gcsfuse does once it has forgotten one."""
    for tier, expected in ((weights.LOCAL, "weights_not_packed"), (weights.VOLUME, "weights_packed")):
        monkeypatch.setattr(weights, "tier", lambda folder, tier=tier: tier)
        folder = shutil.copytree(tiny, tmp_path / tier)
        engine = OnnxEngine(folder, threads=1)
        shutil.copy2(folder / "model.onnx.data", tmp_path / "other")
        (tmp_path / "other").rename(folder / "model.onnx.data")
        told(engine, np.ones((1, 6), dtype=np.int64))
        ended()
        assert json.loads(capsys.readouterr().out)["event"] == expected


def test_an_answer_is_not_lost_where_no_thread_can_be_started(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = OnnxEngine(tiny, threads=1)
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert told(engine, np.ones((1, 6), dtype=np.int64)).shape[0] == 1
    assert "can't start new thread" in json.loads(capsys.readouterr().out)["message"]

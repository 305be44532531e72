"""ONNX Runtime by its C interface: the same answers as by its Python module, what it refuses, what it holds."""

import gc
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from handlers.engines import CPU, loading, onnx_library
from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.manifest import ModelError
from handlers.engines.onnx import OnnxEngine
from handlers.engines.onnx_library import LibrarySession, OnnxError, Unsuited
from handlers.engines.onnx_module import ModuleSession
from tests.parts.handlers import graphs
from tests.parts.handlers.graphs import NUMBERS
from tests.parts.handlers.processes import ROOT


def session(folder: Path, *, packed: bool = False, optimized: bool = False, threads: int = 1) -> LibrarySession:
    return LibrarySession(folder / "model.onnx", threads, packed=packed, optimized=optimized)


def computed(opened: LibrarySession | ModuleSession, **feed: object) -> np.ndarray:
    return np.asarray(opened.run({name: np.asarray(value) for name, value in feed.items()}, Cancellation()))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.fused(tmp_path_factory.mktemp("fused"))


PICTURE = np.random.default_rng(3).random((2, 3, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_the_module_s_to_the_bit(tiny: Path, fused: Path, packed: bool, optimized: bool, threads: int) -> None:
    tokens = np.arange(12, dtype=np.int64).reshape(2, 6)
    known = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
    for folder, feed in ((tiny, known), (fused, {"x": PICTURE})):
        ours = session(folder, packed=packed, optimized=optimized, threads=threads)
        theirs = ModuleSession(folder / "model.onnx", threads, [CPU], packed=packed, optimized=optimized)
        assert (ours.inputs, ours.providers) == (theirs.inputs, theirs.providers)
        taken = {name: feed[name] for name in ours.inputs}
        answer = computed(ours, **taken)
        assert answer.dtype == np.float32
        assert answer.shape == computed(theirs, **taken).shape
        assert answer.tobytes() == computed(theirs, **taken).tobytes()


# Megabytes that a graph takes when it is opened: once so that the library is there, as its weights lie, and with them packed. In a process
# of its own: what others have given back in this one would be taken first.
TAKEN = """
import sys
from pathlib import Path
import psutil
from handlers.engines.onnx_library import LibrarySession
for packed in (False, False, True):
    before = psutil.Process().memory_info().rss
    opened = LibrarySession(Path(sys.argv[1]) / "model.onnx", 1, packed=packed, optimized=False)
    print((psutil.Process().memory_info().rss - before) / 1e6)
"""


def test_weights_are_as_they_lie_unless_they_are_to_be_packed(tmp_path: Path) -> None:
    product = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.random.default_rng(5).random((4096, 2048), dtype=np.float32)}
    folder = graphs.write(tmp_path, product, {"x": (NUMBERS, ("n", 4096))}, {"y": NUMBERS}, weights)
    told = subprocess.run([sys.executable, "-c", TAKEN, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True)
    _, lying, packed = map(float, told.stdout.split())
    # Of 34 MB: mapped and not touched, or read and laid out anew.
    assert lying < 10
    assert packed > 25


def test_the_graph_is_left_as_it_is_written_unless_it_is_asked_for(fused: Path) -> None:
    written, optimized = computed(session(fused), x=PICTURE), computed(session(fused, optimized=True), x=PICTURE)
    assert written.tobytes() != optimized.tobytes()
    assert written == pytest.approx(optimized, abs=1e-5)


KINDS = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
}


@pytest.mark.parametrize("name", KINDS)
def test_arrays_of_every_type_come_back_as_they_went(tmp_path: Path, name: str) -> None:
    opened = session(graphs.one(tmp_path, "Identity", KINDS[name], shape=("n", None, 2)))
    assert opened.inputs == {"x": (-1, -1, 2)}
    for shape in ((3, 4, 2), (0, 4, 2), (1, 1, 2)):
        given = (np.arange(np.prod(shape)) % 2).astype(name).reshape(shape)
        back = computed(opened, x=given)
        assert (back.dtype, back.shape, back.tobytes()) == (given.dtype, given.shape, given.tobytes())


def test_a_number_alone_stays_one(tmp_path: Path) -> None:
    opened = session(graphs.one(tmp_path, "Neg", shape=()))
    assert opened.inputs == {"x": ()}
    assert (computed(opened, x=np.float32(2)).shape, float(computed(opened, x=np.float32(2)))) == ((), -2.0)


def test_an_engine_takes_arrays_in_whatever_order(tmp_path: Path) -> None:
    engine = OnnxEngine(graphs.one(tmp_path, "Neg", shape=("n", "m")), 1)
    given = np.arange(12, dtype=np.float32).reshape(3, 4)
    for each in (given.T, given[:, ::2], np.asfortranarray(given), given[::-1]):
        assert engine.infer({"x": each}, Cancellation()).tolist() == (-each).tolist()


def test_an_answer_outlives_its_session_and_is_one_s_own(tmp_path: Path) -> None:
    opened = session(graphs.one(tmp_path, "Neg"))
    answers = [computed(opened, x=np.full(50_000, number, dtype=np.float32)) for number in range(8)]
    del opened
    gc.collect()
    for number, answer in enumerate(answers):
        assert set(answer.tolist()) == {-number}
        answer += 1
        assert set(answer[1:].tolist()) == {1 - number}


def test_an_output_that_is_an_input_is_one_s_own_too(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["z"])],
        "graph",
        [helper.make_tensor_value_info("x", NUMBERS, ("n",))],
        [helper.make_tensor_value_info(name, NUMBERS, None) for name in ("x", "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    engine = OnnxEngine(tmp_path, 1)
    answers = [engine.infer({"x": np.full(100_000, number, dtype=np.float32)}, Cancellation()) for number in range(6)]
    assert [set(answer.tolist()) for answer in answers] == [{number} for number in range(6)]
    given = np.zeros(4, dtype=np.float32)
    answer = engine.infer({"x": given}, Cancellation())
    answer += 1
    assert given.tolist() == [0] * 4


def test_lists_are_taken_as_the_graph_has_them(tmp_path: Path) -> None:
    engine = OnnxEngine(graphs.one(tmp_path, "Neg"), 1)
    assert engine.infer({"x": [1.0, 2.0]}, Cancellation()).tolist() == [-1, -2]  # type: ignore[dict-item]


def test_memory_is_given_back(tmp_path: Path) -> None:
    folder = graphs.one(tmp_path, "Neg")
    given = np.ones(1_000_000, dtype=np.float32)
    before = 0
    for turn in range(240):
        opened = session(folder)
        computed(opened, x=given)
        with pytest.raises(OnnxError):
            computed(opened, x=given.astype(np.float64))
        if turn == 40:
            before = psutil.Process().memory_info().rss
    # Each answer and each input has 4 MB.
    assert psutil.Process().memory_info().rss - before < 100e6


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({"y": np.ones(1, np.float32)}, "Invalid input name: y|Required inputs|Missing Input"),
        ({}, "x|input"),
        ({"x": np.ones(1, np.int64)}, "int64.*float"),
        ({"x": np.ones((1, 1), np.float32)}, "Invalid rank"),
        ({"x": np.array(["a"])}, "x is an array of <U1: numbers of 8 to 64 bits are allowed"),
        ({"x": np.array([None])}, "x is an array of object"),
        ({"x": np.ones(1, np.complex64)}, "x is an array of complex64"),
        ({"x": np.ones(1, ">f4")}, "x is an array of >f4"),
    ],
    ids=str,
)
def test_what_a_graph_does_not_take_is_refused(tmp_path: Path, feed: dict[str, np.ndarray], said: str) -> None:
    opened = session(graphs.one(tmp_path, "Neg"))
    with pytest.raises(OnnxError, match=said):
        computed(opened, **feed)
    assert computed(opened, x=np.ones(1, np.float32)).tolist() == [-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "doesn't exist|No such file"), (b"", "ModelProto|graph"), (b"\xff" * 64, "Protobuf parsing failed|protobuf")],
    ids=["missing", "empty", "broken"],
)
def test_a_file_that_is_no_graph_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(OnnxError, match=said):
        session(tmp_path)
    with pytest.raises(ModelError, match=rf"model\.onnx can't be loaded: .*({said})"):
        OnnxEngine(tmp_path, 1)


def test_weights_that_are_cut_off_are_told(tiny: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.onnx.data"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    with (tmp_path / "model.onnx.data").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=r"model\.onnx can't be loaded: "):
        OnnxEngine(tmp_path, 1)


@pytest.mark.parametrize("output", [False, True])
def test_graphs_of_texts_are_the_module_s(tmp_path: Path, output: bool) -> None:
    folder = (
        graphs.one(tmp_path, "Cast", NUMBERS, given=TensorProto.STRING, to=TensorProto.STRING)
        if output
        else graphs.one(tmp_path, "Cast", TensorProto.STRING, given=NUMBERS, to=NUMBERS)
    )
    with pytest.raises(Unsuited, match=f"{'y' if output else 'x'} has elements of type 8"):
        session(folder)
    engine = OnnxEngine(folder, 1)
    assert isinstance(engine._session, ModuleSession)
    if not output:
        assert engine.infer({"x": np.array(["2.5"], dtype=object)}, Cancellation()).tolist() == [2.5]


def test_graphs_that_give_no_tensor_are_the_module_s(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", NUMBERS, ("n",))],
        [helper.make_tensor_sequence_value_info("y", NUMBERS, None)],
    )
    (tmp_path / "model.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    with pytest.raises(Unsuited, match="y is no tensor"):
        session(tmp_path)
    assert isinstance(OnnxEngine(tmp_path, 1)._session, ModuleSession)


def test_graphs_of_sequences_are_asked_as_the_module_takes_them(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)],
        "graph",
        [helper.make_tensor_sequence_value_info("s", NUMBERS, None)],
        [helper.make_tensor_value_info("y", NUMBERS, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    parts: Any = [np.ones(2, np.float32), np.zeros(3, np.float32)]
    assert OnnxEngine(tmp_path, 1).infer({"s": parts}, Cancellation()).tolist() == [1, 1, 0, 0, 0]


def long(folder: Path) -> Path:
    """A graph that computes for minutes."""
    times = [helper.make_node("MatMul", ["x" if not at else f"y{at - 1}", "x"], [f"y{at}"]) for at in range(400)]
    return graphs.write(folder, times, {"x": (NUMBERS, ("n", "n"))}, {"y399": NUMBERS})


@pytest.mark.parametrize("opener", [onnx_library.LibrarySession, ModuleSession], ids=["library", "module"])
def test_a_run_that_is_given_up_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: type) -> None:
    if opener is ModuleSession:
        monkeypatch.setattr(onnx_library, "find", lambda: None)
        onnx_library._library.cache_clear()
    engine, cancellation = OnnxEngine(long(tmp_path), 1), Cancellation()
    assert isinstance(engine._session, opener)
    threading.Timer(0.3, cancellation.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        engine.infer({"x": np.zeros((2000, 2000), dtype=np.float32)}, cancellation)
    assert time.monotonic() - began < 20
    with pytest.raises(Cancelled):
        engine.infer({"x": np.zeros((2000, 2000), dtype=np.float32)}, cancellation)


def test_others_go_on_while_it_computes(tmp_path: Path) -> None:
    opened, steps = session(long(tmp_path)), 0
    cancellation = Cancellation()

    def compute() -> None:
        with pytest.raises(OnnxError):
            opened.run({"x": np.zeros((2000, 2000), dtype=np.float32)}, cancellation)

    thread = threading.Thread(target=compute)
    thread.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        steps += 1
    assert thread.is_alive()
    cancellation.cancel()
    thread.join(20)
    # With the interpreter's lock held there would be one.
    assert steps > 1000


def test_threads_share_a_session(tmp_path: Path) -> None:
    opened, wrong = session(graphs.one(tmp_path, "Neg")), []

    def compute(number: int) -> None:
        for turn in range(200):
            size = 1 + (turn * 37 + number) % 500
            if set(computed(opened, x=np.full(size, number, dtype=np.float32)).tolist()) != {-number}:
                wrong.append(number)

    threads = [threading.Thread(target=compute, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def placed(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    spec = None if folder is None else ModuleSpec("onnxruntime", None, is_package=True)
    if spec is not None:
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"], True),
        (["libonnxruntime.so.1.32.0", "libonnxruntime_providers_cuda.so"], False),
        (["libonnxruntime.so.1.32.0", "libonnxruntime.so.1"], False),
        (["onnxruntime_pybind11_state.so"], False),
        ([], False),
        (None, False),
    ],
    ids=str,
)
def test_the_library_is_taken_where_it_is_one_for_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str] | None, found: bool
) -> None:
    for name in names or []:
        (tmp_path / "capi").mkdir(exist_ok=True)
        (tmp_path / "capi" / name).touch()
    placed(monkeypatch, None if names is None else tmp_path)
    assert onnx_library.find() == (tmp_path / "capi/libonnxruntime.so.1.32.0" if found else None)


def test_a_package_without_it_is_served_by_the_module(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_library, "find", lambda: None)
    onnx_library._library.cache_clear()
    onnx_library.begin()
    with pytest.raises(Unsuited, match="no library for a CPU alone"):
        session(tiny)
    engine, tokens = OnnxEngine(tiny, 1), np.ones((1, 6), dtype=np.int64)
    assert isinstance(engine._session, ModuleSession)
    monkeypatch.undo()
    ours = OnnxEngine(tiny, 1)
    assert isinstance(ours._session, LibrarySession)
    assert (
        engine.run(tokens, np.zeros_like(tokens), Cancellation()).tobytes()
        == ours.run(tokens, np.zeros_like(tokens), Cancellation()).tobytes()
    )


def test_a_library_that_does_not_know_the_interface_is_left_alone(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_library, "_VERSION", 10_000)
    onnx_library._library.cache_clear()
    assert not onnx_library.begin()
    with pytest.raises(Unsuited, match="has no version 10000 of the C interface"):
        session(tiny)
    assert isinstance(OnnxEngine(tiny, 1)._session, ModuleSession)
    onnx_library._library.cache_clear()


def test_a_library_that_can_not_be_opened_is_left_alone(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libonnxruntime.so.1").write_bytes(b"nothing")
    monkeypatch.setattr(onnx_library, "find", lambda: tmp_path / "libonnxruntime.so.1")
    onnx_library._library.cache_clear()
    assert not onnx_library.begin()
    assert isinstance(OnnxEngine(tiny, 1)._session, ModuleSession)


def test_an_image_without_the_package_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_library, "find", lambda: None)
    onnx_library._library.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "handlers.engines.onnx_module", raising=False)
    with pytest.raises(ModelError, match="Engine onnx needs onnxruntime, which this image does not carry"):
        loading.import_engine("onnx", "sentence-embedding")


STARTED = """
import json, os, sys, threading
from pathlib import Path
from handlers.engines import onnx_library
from handlers.engines.loading import load
from handlers.settings import HandlerSettings
written = []
for name in ("putenv", "unsetenv"):
    setattr(os, name, lambda *given, name=name: written.append((name, *map(os.fsdecode, given))))
opened = onnx_library._library
onnx_library._library = lambda: (opened.cache_info().misses or written.clear(), opened())[1]
loaded = load(HandlerSettings(model_dir=Path(sys.argv[1])), lambda stage: None)
print(json.dumps([sorted(sys.modules), written, [thread.name for thread in threading.enumerate()]]))
"""


def test_a_start_imports_no_module_for_it_and_writes_to_no_environment_beside_it(tiny: Path) -> None:
    command = [sys.executable, "-c", STARTED, str(tiny)]
    told = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    modules, written, threads = json.loads(told.stdout.splitlines()[-1])
    assert "numpy" in modules
    assert "onnxruntime" not in modules
    assert written == []
    assert onnx_library.THREAD not in threads


def test_processes_that_share_a_model_are_forked_without_the_module(tiny: Path) -> None:
    code = """
import sys
from pathlib import Path
from handlers.engines.manifest import read_manifest
from handlers.server.processes import _shared
from handlers.settings import HandlerSettings
folder = Path(sys.argv[1])
print(_shared(HandlerSettings(model_dir=folder, model_threads=1, workers=2), read_manifest(folder)), "onnxruntime" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code, str(tiny)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "True False\n"

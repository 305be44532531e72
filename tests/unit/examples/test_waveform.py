"""The example of a model of one's own, as it lies in the repository: what is served of it, without torch."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from examples.waveform.waves import SHAPES, waves
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import build
from handlers.engines.manifest import read_manifest
from handlers.functions.problems import InputRefused
from handlers.functions.requests import check, from_value
from pilotlight.packaging import package_model
from tests.parts.handlers.conftest import unpacked

ROOT = Path(__file__).resolve().parents[3]
SERVED = ROOT / "examples/waveform/model"
SEED, COUNT = 2, 50


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Copied as its README says, packaged, and loaded as a server does it."""
    shutil.copytree(SERVED, tmp_path / "handlers/models/waveform", ignore=shutil.ignore_patterns("__pycache__"))
    archive = package_model(
        "handlers/models/waveform", "custom", "onnx", tmp_path / "cache", progress=lambda line: None, root=tmp_path
    ).archive
    unpacked(archive, tmp_path / "artifact")
    monkeypatch.setitem(sys.modules, "handlers.models.waveform.model", importlib.import_module("examples.waveform.model.model"))
    return build(tmp_path / "artifact", read_manifest(tmp_path / "artifact"), threads=1)


def ask(model, body):
    request = from_value(body, max_inputs=256, kind="values")
    check("custom", request)
    return model.predict(request, Cancellation())


@pytest.mark.parametrize("length", [64, 128, 1000])
def test_waves_that_it_has_not_seen_are_told_right_at_any_length(model, length):
    right = 0
    for shape in SHAPES:
        answers = ask(model, {"inputs": [{"samples": wave.tolist()} for wave in waves(shape, COUNT, SEED, length)]})
        right += sum(answer["shape"] == shape for answer in answers)
    assert right >= 0.97 * COUNT * len(SHAPES)


def test_an_answer_has_the_share_of_every_shape(model):
    answer = ask(model, json.loads(told("sawtooth")))
    assert answer["shape"] == "sawtooth"
    assert set(answer["scores"]) == set(SHAPES)
    assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)


def told(shape):
    """What the README's call sends."""
    command = [sys.executable, "-m", "examples.waveform.waves", shape]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_wave_that_is_too_short_is_refused(model):
    with pytest.raises(InputRefused, match="length >= 64"):
        ask(model, {"inputs": {"samples": [1.0] * 63}})


@pytest.mark.parametrize("samples", [[1e39] * 64, [1e38, -1e38] * 32, [1e30, -1e30] * 32, [-1.1e9] * 64], ids=lambda each: str(each[0]))
def test_samples_that_float32_can_not_compute_with_are_refused(model, samples):
    with pytest.raises(InputRefused, match=r"Expected `float` [<>]= -?1"):
        ask(model, {"inputs": {"samples": samples}})


@pytest.mark.parametrize("size", [1e-30, 1e9])
def test_the_size_of_a_wave_is_none_of_its_shape(model, size):
    assert ask(model, {"inputs": {"samples": [size] * 16 + [-size] * 16 + [size] * 16 + [-size] * 16}})["shape"] in SHAPES


def test_what_is_committed_is_small_and_tells_of_no_machine():
    files = [path for path in SERVED.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    graph = onnx.load(SERVED / "files/model.onnx")
    assert (graph.producer_name, len(graph.metadata_props)) == ("pilotlight", 0)
    assert [node.name for node in graph.graph.node if node.doc_string or node.metadata_props] == []


def test_waves_are_those_of_their_seed():
    assert np.array_equal(waves("sine", 2, 1), waves("sine", 2, 1))
    assert not np.array_equal(waves("sine", 2, 1), waves("sine", 2, 2))


def test_only_the_network_needs_torch():
    program = "import sys, examples.waveform.export, examples.waveform.model.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0

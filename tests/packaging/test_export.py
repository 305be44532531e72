"""Architectures that are exported with torch: random models of fixed seed, made and judged by transformers itself."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pilotlight.packaging import PackagingError, needs_torch, package_model
from pilotlight.packaging.export import make_environment
from tests.parts.packaging.tiny_models import WORDS, write_tokenizer

MAKE = """
import json, sys, torch, transformers
folder, name, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
torch.manual_seed(11)
kind = getattr(transformers, name)
kind(kind.config_class(**values)).eval().save_pretrained(folder)
"""
ASK = """
import json, sys, torch, transformers
kind = getattr(transformers, sys.argv[2]).from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    print(json.dumps([kind(torch.tensor([ids]))[0][0].tolist() for ids in json.loads(sys.argv[3])]))
"""
SERVE = """
import json, sys; sys.path.append(sys.argv[1])
import numpy as np
from pathlib import Path
from handlers.engines.cancellation import Cancellation
from handlers.engines.program import ProgramEngine
engine, cancellation = ProgramEngine(Path(sys.argv[2]), 1), Cancellation()
texts = [np.array([ids]) for ids in json.loads(sys.argv[3])]
print(json.dumps([engine.run(ids, ids * 0, cancellation)[0].tolist() for ids in texts]))
"""
ROOT = Path(__file__).resolve().parents[2]
COMMON = {"vocab_size": len(WORDS), "max_position_embeddings": 80}
DISTILBERT = {**COMMON, "dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4}
ROBERTA = {**COMMON, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 1}
TEXTS = [[2, 7, 3], [2, *range(5, 50), 3], [2, 3], [2, *([8] * 70), 3]]


@pytest.fixture
def torch_python(export_cache):
    python = make_environment(export_cache, print)

    def run(code, *arguments):
        done = subprocess.run(
            [python, "-W", "ignore", "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def make(tmp_path, torch_python):
    def model(name, values):
        torch_python(MAKE, tmp_path / "model", name, json.dumps(values))
        write_tokenizer(tmp_path / "model")
        return tmp_path / "model"

    return model


@pytest.mark.parametrize(
    ("name", "values", "task", "output"),
    [
        ("DistilBertModel", DISTILBERT, "feature-extraction", "last_hidden_state"),
        ("RobertaForSequenceClassification", {**ROBERTA, "num_labels": 3}, "text-classification", "logits"),
    ],
)
def test_an_exported_model_agrees_with_transformers_at_every_length(tmp_path, export_cache, torch_python, make, name, values, task, output):
    folder = make(name, values)
    assert needs_torch(str(folder), task, "onnx", export_cache, progress=print)
    packaged = package_model(str(folder), task, "onnx", export_cache, progress=print)
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["architecture"] == name
    assert 0 < manifest["parity"]["max_abs_difference"] <= 1e-4
    assert str(tmp_path).encode() not in (tmp_path / "out" / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].name == output
    for ids, expected in zip(TEXTS, json.loads(torch_python(ASK, folder, name, json.dumps(TEXTS))), strict=True):
        feed = {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, len(ids)), np.int64)}
        assert np.abs(session.run(None, feed)[0][0] - np.array(expected)).max() <= 1e-4


def test_a_program_agrees_with_transformers_at_every_length(tmp_path, export_cache, torch_python, make):
    name, task, said = "RobertaForSequenceClassification", "text-classification", []
    folder = make(name, {**ROBERTA, "num_labels": 3})
    packaged = package_model(str(folder), task, "torch", export_cache, progress=said.append)
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["architecture"], manifest["computed_by"], manifest["pads"]) == (name, "program", True), said
    assert manifest["parity"]["max_abs_difference"] <= 1e-4
    content = (tmp_path / "out" / "program.json").read_bytes()
    assert str(tmp_path).encode() not in content
    assert b"site-packages" not in content
    found = json.loads(torch_python(SERVE, ROOT, tmp_path / "out", json.dumps(TEXTS)))
    for ours, theirs in zip(found, json.loads(torch_python(ASK, folder, name, json.dumps(TEXTS))), strict=True):
        assert np.abs(np.array(ours) - np.array(theirs)).max() <= 1e-4


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_two_exports_are_one_byte_for_byte(export_cache, make, engine):
    folder = make("DistilBertModel", DISTILBERT)
    first = package_model(str(folder), "feature-extraction", engine, export_cache, progress=print)
    again = package_model(str(folder), "feature-extraction", engine, export_cache, progress=print, force=True)
    assert again.built
    assert again.index == first.index


def test_a_head_that_is_not_in_the_weights_is_refused_instead_of_made_up(export_cache, make):
    folder = make("DistilBertModel", DISTILBERT)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["DistilBertForSequenceClassification"]}))
    for engine, told in (("onnx", "can't be exported"), ("torch", "can't be computed by transformers")):
        with pytest.raises(PackagingError, match=rf"(?s){told}.*The weights lack or misfit: .*classifier"):
            package_model(str(folder), "text-classification", engine, export_cache, progress=print)

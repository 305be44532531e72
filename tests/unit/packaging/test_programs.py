"""Engine torch for architectures that it has no forward pass of: which way a model goes, and what becomes of what the export leaves.

The environment with torch is stood in for by a script that leaves files: the real one is 5 GB (`tests/torch`, `tests/packaging`).
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilotlight.packaging import PackagingError, export, needs_torch
from pilotlight.packaging.ways import choose
from tests.unit.packaging.tiny_models import CONFIG, bert_folder, classifier_folder

OTHER = {**CONFIG, "model_type": "distilbert"}
RESULTS = [np.ones((4, 3), np.float32), np.zeros((2, 3), np.float32)]


@pytest.mark.parametrize(
    ("config", "task", "way"),
    [
        (CONFIG, "feature-extraction", "copy"),
        (CONFIG, "sentence-embedding", "copy"),
        (CONFIG, "text-classification", "copy"),
        (CONFIG, "token-classification", "program"),
        (CONFIG, "zero-shot-classification", "program"),
        (OTHER, "feature-extraction", "program"),
        (OTHER, "text-classification", "program"),
        ({**CONFIG, "position_embedding_type": "relative_key"}, "feature-extraction", "program"),
        ({**CONFIG, "model_type": "llama"}, "text-generation", "copy"),
    ],
)
def test_engine_torch_copies_what_it_computes_itself_and_makes_programs_of_the_rest(tmp_path, config, task, way):
    assert choose(tmp_path, config, task, "torch") == way
    (tmp_path / "model.onnx").touch()
    assert choose(tmp_path, config, task, "torch") == way, "an ONNX file is nothing to engine torch"


def test_the_export_is_told_before_it_begins(tmp_path, packager):
    options = {"cache": packager.cache, "progress": packager.said.append}
    other, bert = bert_folder(tmp_path / "other", config=OTHER), bert_folder(tmp_path / "bert")
    assert needs_torch(str(other), "feature-extraction", "torch", **options)
    assert needs_torch(str(bert), "token-classification", "torch", **options)
    assert not needs_torch(str(bert), "feature-extraction", "torch", **options)
    assert not needs_torch(str(other), "text-generation", "torch", **options)


@pytest.fixture
def no_environment(monkeypatch):
    monkeypatch.setattr(export, "make_environment", lambda cache, progress: pytest.fail("5 GB would be installed"))


@pytest.mark.usefixtures("no_environment")
@pytest.mark.parametrize(
    ("change", "reason"),
    [({"quantization_config": {"bits": 4}}, "its weights are quantised"), ({"auto_map": {"AutoModel": "own.Model"}}, "never run")],
)
def test_what_no_program_is_made_of_is_refused_before_anything_is_installed(tmp_path, packager, change, reason):
    with pytest.raises(PackagingError, match=reason):
        packager(bert_folder(tmp_path / "model", config={**OTHER, **change}), engine="torch")


@pytest.mark.usefixtures("no_environment")
def test_pickles_and_damaged_weights_are_refused_before_anything_is_installed(tmp_path, packager):
    folder = bert_folder(tmp_path / "model", config=OTHER)
    (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(PackagingError, match="is damaged or no safetensors file"):
        packager(folder, engine="torch")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(PackagingError, match="can run code when they are opened"):
        packager(folder, engine="torch")


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """What stands in for Python with torch: it leaves these results and ends with this status, whatever it is asked."""

    def stand_in(expected: Any, computed: Any, *, status: int = 0, pads: bool = True, said: str = "") -> Path:
        left, python = tmp_path / "left", tmp_path / "python"
        left.mkdir(exist_ok=True)
        for name, results in (("expected", expected), ("computed", computed)):
            np.savez(left / f"{name}.npz", **{str(index): each for index, each in enumerate(results)})
        (left / "facts.json").write_text(json.dumps({"pads": pads}))
        for name in ("program.json", "model.safetensors"):
            (left / name).write_text(name)
        python.write_text(
            f"#!{sys.executable}\nimport json, pathlib, shutil, sys\norder = json.loads(pathlib.Path(sys.argv[-1]).read_text())\n"
            f"shutil.copytree({str(left)!r}, order['out'], dirs_exist_ok=True)\n"
            f"pathlib.Path({str(tmp_path / 'order.json')!r}).write_text(json.dumps(order))\n"
            f"print({said!r}, file=sys.stderr)\nraise SystemExit({status})\n"
        )
        python.chmod(0o755)
        monkeypatch.setattr(export, "make_environment", lambda cache, progress: python)
        return python

    return stand_in


@pytest.mark.parametrize("pads", [True, False])
def test_a_program_is_packaged_with_how_near_it_is_and_whether_it_pads(tmp_path, packager, environment, members, pads):
    environment(RESULTS, [each + np.float32(3e-6) for each in RESULTS], pads=pads)
    folder = bert_folder(tmp_path / "model", config=OTHER)
    found = members(packaged := packager(folder, engine="torch"))
    manifest = json.loads(found["manifest.json"])
    assert sorted(found) == ["manifest.json", "model.safetensors", "program.json", "tokenizer.json"]
    assert (manifest["computed_by"], manifest["pads"], manifest["engine"]) == ("program", pads, "torch")
    assert manifest["parity"]["max_abs_difference"] == 1e-5
    assert packaged.record["max_abs_difference"] == pytest.approx(3e-6, rel=0.1)
    order = json.loads((tmp_path / "order.json").read_text())
    assert (order["folder"], order["task"], order["limit"]) == (str(folder), "feature-extraction", 64)
    assert (Path(order["served"]) / "handlers" / "engines" / "program.py").is_file()
    assert [len(ids) for ids in order["batch"]].count(2) == 1, "an empty text is among those that are compared"


@pytest.mark.parametrize(
    ("computed", "status", "reason"),
    [
        ([RESULTS[0] + np.float32(2e-4), RESULTS[1]], 0, r"up to 0\.0002 from the model, 0\.0001 is allowed"),
        ([RESULTS[0], RESULTS[1] * np.float32("nan")], 0, "up to nan from the model"),
        ([RESULTS[0][:1], RESULTS[1]], 0, "other shapes than the model's"),
        (RESULTS, 3, "UserError: a size is fixed"),
    ],
    ids=["far", "no number", "shape", "failed"],
)
def test_what_can_not_be_a_program_is_left_to_transformers_and_said(tmp_path, packager, environment, members, computed, status, reason):
    environment(RESULTS, computed, status=status, pads=False, said="a trace\nUserError: a size is fixed")
    found = members(packager(folder := bert_folder(tmp_path / "model", config=OTHER), engine="torch"))
    manifest = json.loads(found["manifest.json"])
    assert sorted(found) == ["config.json", "manifest.json", "model.safetensors", "tokenizer.json"]
    assert found["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert (manifest["computed_by"], manifest["pads"]) == ("transformers", False)
    (told,) = [line for line in packager.said if "can't be exported" in line]
    assert "Every cold start imports it, which takes seconds, and the image has to carry it" in told
    assert re.search(reason, told)


def test_a_model_that_transformers_can_not_compute_is_refused(tmp_path, packager, environment):
    environment(RESULTS, RESULTS, status=1, said="Traceback\nThe weights lack or misfit: classifier.weight")
    with pytest.raises(PackagingError, match=r"(?s)can't be computed by transformers.*lack or misfit: classifier"):
        packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch")
    assert packager.left_over() == []


def test_a_head_of_other_labels_is_refused(tmp_path, packager, environment):
    environment([np.ones(2, np.float32)], [np.ones(2, np.float32)])
    with pytest.raises(PackagingError, match=r"the head gives 2 scores, config\.json has 3 labels"):
        packager(classifier_folder(tmp_path / "model", model_type="distilbert"), "text-classification", "torch")


def test_what_is_copied_says_nothing_new(tmp_path, packager, manifest):
    """So that its bytes, and its key in the cache, are those from before there were programs."""
    assert not {"computed_by", "pads"} & set(manifest(packager(bert_folder(tmp_path / "model"), engine="torch")))

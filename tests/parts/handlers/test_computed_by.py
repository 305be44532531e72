"""What a manifest says of how engine torch computes a model: which files it may then open, and which module is imported. Without torch."""

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from handlers.engines import bare_torch, loading
from handlers.engines.loading import import_engine
from handlers.engines.manifest import PROGRAM, TRANSFORMERS, WEIGHTS, ModelError, read_manifest
from handlers.tasks import CUSTOM

FILES = {
    WEIGHTS: ("config.json", "model.safetensors", "tokenizer.json"),
    PROGRAM: ("model.safetensors", "program.json", "tokenizer.json"),
    TRANSFORMERS: ("config.json", "model.safetensors", "tokenizer.json"),
}


@pytest.fixture
def read(tmp_path):
    def written(files: tuple[str, ...], **changes: Any) -> Any:
        value = {"format": 1, "source": "folder:x", "task": "feature-extraction", "engine": "torch", "architecture": "XModel"}
        value |= {"max_tokens": 8, "files": {name: {"sha256": "0" * 64, "bytes": 1} for name in files}, **changes}
        (tmp_path / "manifest.json").write_text(json.dumps(value))
        return read_manifest(tmp_path)

    return written


def test_a_manifest_from_before_there_were_programs_is_one_of_weights(read):
    manifest = read(FILES[WEIGHTS])
    assert (manifest.computed_by, manifest.pads) == (WEIGHTS, True)


@pytest.mark.parametrize("computed_by", FILES)
@pytest.mark.parametrize("pads", [True, False])
def test_each_way_has_its_files(read, computed_by, pads):
    manifest = read(FILES[computed_by], computed_by=computed_by, pads=pads)
    assert (manifest.computed_by, manifest.pads) == (computed_by, pads)


@pytest.mark.parametrize(
    ("computed_by", "files", "reason"),
    [
        (WEIGHTS, FILES[PROGRAM], "lists program.json: engine torch opens model.safetensors, config.json, tokenizer.json only"),
        (TRANSFORMERS, FILES[PROGRAM], "lists program.json"),
        (PROGRAM, FILES[WEIGHTS], "lists config.json: engine torch opens model.safetensors, program.json, tokenizer.json only"),
        (PROGRAM, ("model.safetensors", "tokenizer.json"), r"lists no program\.json"),
        (PROGRAM, (*FILES[PROGRAM], "program.pt2"), r"lists program\.pt2"),
        ("archive", FILES[WEIGHTS], "computed_by 'archive', which engine torch does not know for feature-extraction: weights, program"),
    ],
)
def test_other_files_and_other_ways_are_refused(read, computed_by, files, reason):
    with pytest.raises(ModelError, match=reason):
        read(files, computed_by=computed_by)


@pytest.mark.parametrize(
    ("files", "changes"),
    [
        (("model.onnx", "tokenizer.json"), {"engine": "onnx"}),
        (FILES[PROGRAM], {"task": "text-generation"}),
        (("a.txt",), {"task": "custom", "engine": "onnx"}),
    ],
)
def test_programs_are_texts_on_engine_torch_alone(read, files, changes):
    with pytest.raises(ModelError, match="computed_by 'program'"):
        read(files, computed_by=PROGRAM, **changes)


def test_a_task_without_a_forward_pass_of_ours_needs_a_program(read, tmp_path):
    manifest = read(FILES[WEIGHTS], task="token-classification")
    with pytest.raises(ModelError, match="computes token-classification by a program"):
        loading._engine(tmp_path, manifest, 1, shared=False)


@pytest.mark.parametrize(
    ("engine", "task", "computed_by", "module"),
    [
        ("onnx", None, WEIGHTS, "handlers.engines.onnx"),
        ("torch", None, WEIGHTS, "handlers.engines.torch"),
        ("torch", "text-generation", WEIGHTS, "handlers.engines.rows"),
        ("torch", "token-classification", PROGRAM, "handlers.engines.program"),
        ("torch", "feature-extraction", TRANSFORMERS, "handlers.engines.transformers"),
    ],
)
def test_each_way_imports_its_module(monkeypatch, engine, task, computed_by, module):
    asked: list[str] = []
    whole: list[bool] = []
    monkeypatch.setattr(bare_torch, "import_torch", lambda **how: whole.append(how["whole"]))
    monkeypatch.setattr(loading.importlib, "import_module", asked.append)
    monkeypatch.setattr(loading, "import_numpy", lambda: None)
    monkeypatch.setattr(loading, "import_tokenizers", lambda: None)
    import_engine(engine, task, computed_by)
    assert asked[-1] == module
    assert whole == ([computed_by == TRANSFORMERS] if engine == "torch" else [])


def test_a_model_of_ones_own_has_torch_whole_once_it_is_known_that_it_is_one(monkeypatch):
    whole: list[bool] = []
    monkeypatch.setattr(bare_torch, "import_torch", lambda **how: whole.append(how["whole"]))
    import_engine("torch", CUSTOM)
    assert whole == [], "whose own code imports it"
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    import_engine("torch", CUSTOM)
    assert whole == [True]

"""Encoders of every architecture on engine torch, packaged, served, and compared with transformers' pipelines."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from handlers.engines import loading
from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import PROGRAM, TRANSFORMERS, ModelError, read_manifest
from handlers.engines.program import ProgramEngine
from handlers.engines.transformers import TransformersEngine
from handlers.functions.requests import from_value
from pilotlight.packaging import torch_program
from tests.torch.encoder_models import BY_TRANSFORMERS, ENCODERS, OF_BERT, UNPADDED
from tests.torch.reference import classification_pipeline, feature_pipeline, sentence_embedding, token_pipeline, zero_shot_pipeline
from tests.torch.test_torch_parity import SEVERAL, TOLERANCE, ask, assert_same
from tests.torch.texts import TEXTS

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["politics", "public health"]
TASKS = {kind: encoder.task for kind, encoder in ENCODERS.items()} | OF_BERT
# One of each length and script, cut ones among them.
CHOSEN = [TEXTS[name] for name in ("english", "chinese", "emoji", "one token", "special tokens", "256 tokens", "more than 512 tokens")]


def folder_of(models: Path, kind: str) -> Path:
    return models / f"{kind}-{TASKS[kind]}-torch"


def parameters_of(task: str) -> dict[str, Any]:
    return {"candidate_labels": LABELS} if task == "zero-shot-classification" else {}


@cache
def expected(source: Path, task: str, text: str, *, listed: bool = False) -> Any:
    """What the pipeline answers for one text, alone; `listed` as the only one of a list."""
    if task == "sentence-embedding":
        return sentence_embedding(source, text)
    makers = {
        "feature-extraction": feature_pipeline,
        "text-classification": classification_pipeline,
        "token-classification": token_pipeline,
        "zero-shot-classification": zero_shot_pipeline,
    }
    answer = makers[task](source)([text] if listed else text, **parameters_of(task))
    return answer[0] if listed else answer


def assert_near(found: Any, wanted: Any, task: str) -> None:
    if task in ("feature-extraction", "sentence-embedding"):
        assert np.shape(found) == np.shape(wanted)
        assert np.abs(np.array(found) - np.array(wanted)).max() < TOLERANCE
    else:
        assert_same(found, wanted)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_a_text_alone_has_the_pipelines_answer(models, sources, kind):
    task = TASKS[kind]
    for text in CHOSEN:
        assert_near(ask(folder_of(models, kind), text, **parameters_of(task)), expected(sources / kind, task, text), task)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_texts_of_several_lengths_in_one_request_have_the_answer_of_each_alone(models, sources, kind):
    task = TASKS[kind]
    found = ask(folder_of(models, kind), [*SEVERAL, *CHOSEN[:4]], **parameters_of(task))
    for text, one in zip([*SEVERAL, *CHOSEN[:4]], found, strict=True):
        assert_near(one, expected(sources / kind, task, text, listed=True), task)


@pytest.mark.parametrize("kind", TASKS)
def test_texts_that_are_computed_together_are_padded_where_that_changes_nothing(models, kind):
    folder, task = folder_of(models, kind), TASKS[kind]
    value = {"parameters": parameters_of(task)}
    model: Any = build(folder, read_manifest(folder), threads=2, most_texts=8)
    alone = {text: ask(folder, text, **parameters_of(task)) for text in [*SEVERAL, *CHOSEN[:4]]}
    found = dict(model.predict_together([(from_value({**value, "inputs": text}, max_inputs=1), Cancellation()) for text in alone]))
    assert (model.counted()["padding"] > 0) is (kind not in UNPADDED)
    for place, wanted in enumerate(alone.values()):
        assert_near(orjson.loads(orjson.dumps(found[place], option=orjson.OPT_SERIALIZE_NUMPY)), wanted, task)


@pytest.mark.parametrize("kind", TASKS)
def test_packages_say_what_computes_them_and_how_near_it_is(models, kind):
    folder = folder_of(models, kind)
    manifest, parity = read_manifest(folder), json.loads((folder / "manifest.json").read_text())["parity"]
    assert manifest.computed_by == (TRANSFORMERS if kind in BY_TRANSFORMERS else PROGRAM)
    assert manifest.pads is (kind not in UNPADDED)
    assert parity["max_abs_difference"] <= TOLERANCE
    assert (parity["reference"], parity["samples"] > 1) == ("safetensors, computed by transformers", True)
    if manifest.computed_by == PROGRAM:
        assert sorted(manifest.files) == ["model.safetensors", "program.json", "tokenizer.json"]
    else:
        assert sorted(manifest.files) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_program_says_nothing_of_the_machine_that_made_it(models, sources):
    content = (folder_of(models, "roberta") / "program.json").read_text()
    for said in ("/", "site-packages", "modeling_", "cpu", str(sources)):
        assert said not in content


@pytest.mark.parametrize("kind", ["roberta", "modernbert"])
def test_to_serve_a_program_imports_no_transformers_nor_what_traces(models, kind):
    code = (
        "import sys, pathlib, torch; before = set(sys.modules)\n"
        "from handlers.engines.cancellation import Cancellation\n"
        "from handlers.engines.loading import build, import_engine\n"
        "from handlers.engines.manifest import read_manifest\n"
        "from handlers.functions.requests import from_value\n"
        "folder = pathlib.Path(sys.argv[1]); manifest = read_manifest(folder)\n"
        "import_engine(manifest.engine, manifest.task, manifest.computed_by)\n"
        "build(folder, manifest, threads=1).predict(from_value({'inputs': ['a', 'b c d']}, max_inputs=2), Cancellation())\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(n for n in new if n.split('.')[0] in ('transformers', 'sympy', 'onnx', 'onnxruntime')\n"
        "    or n.startswith(('torch.export', 'torch._export', 'torch._dynamo', 'torch._inductor', 'torch.fx.experimental'))))"
    )
    command = [sys.executable, "-c", code, str(folder_of(models, kind))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["roberta", "electra", "xlnet"])
def test_a_token_a_type_or_a_place_beyond_the_model_is_refused_before_it_computes(models, kind, monkeypatch):
    folder = folder_of(models, kind)
    engine = loading._engine(folder, read_manifest(folder), 1, shared=False)
    monkeypatch.setattr("handlers.engines.device.computing", lambda device: pytest.fail("computed"))
    none, words = np.zeros((1, 4), np.int64), ENCODERS[kind].settings["vocab_size"]
    with pytest.raises(ValueError, match=f"token {words} is beyond the {words}"):
        engine.run(np.full((1, 4), words), none, Cancellation())
    with pytest.raises(ValueError, match="position 599 is beyond the 512"):
        engine.run(np.zeros((1, 600), np.int64), np.zeros((1, 600), np.int64), Cancellation())
    if kind == "electra":
        with pytest.raises(ValueError, match="type 2 is beyond the 2"):
            engine.run(none, none + 2, Cancellation())
    if kind != "xlnet":
        with pytest.raises(ValueError, match="numbers from 0 on"):
            engine.run(none - 1, none, Cancellation())


@pytest.mark.parametrize("kind", ["roberta", "xlnet"])
def test_a_pass_that_nobody_waits_for_ends_between_its_calls(models, kind):
    folder = folder_of(models, kind)
    engine = loading._engine(folder, read_manifest(folder), 1, shared=False)

    class Later(Cancellation):
        asked = 0

        def check(self):
            self.asked += 1
            if self.asked == 2:
                raise Cancelled

    later, tokens = Later(), np.full((1, 4), 5)
    with pytest.raises(Cancelled):
        engine.run(tokens, tokens * 0, later)
    assert later.asked == 2
    assert np.isfinite(engine.run(tokens, tokens * 0, Cancellation())).all()


def test_where_a_text_ends_transformers_is_given_the_models_own_padding(models):
    folder = folder_of(models, "xlnet")
    engine = loading._engine(folder, read_manifest(folder), 1, shared=False)
    given, model = [], engine._model
    engine._model = lambda **named: given.append(named["input_ids"].tolist()) or model(**named)
    tokens = np.array([[7, 0], [7, 8]])
    engine.run(tokens, tokens * 0, Cancellation(), np.array([[1, 0], [1, 1]]))
    assert given == [[[7, ENCODERS["xlnet"].settings["pad_token_id"]], [7, 8]]]


def test_a_model_of_transformers_says_what_to_add_where_the_image_has_none(models):
    code = (
        "import sys, pathlib; sys.modules['transformers'] = None\n"
        "from handlers.engines.loading import import_engine\n"
        "from handlers.engines.manifest import ModelError\n"
        "try: import_engine('torch', 'text-classification', 'transformers')\n"
        "except ModelError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "containers/requirements/gpu-torch.in" in told


def test_a_model_of_transformers_lacks_no_weight_and_runs_no_code(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = folder_of(models, "xlnet")
    manifest = read_manifest(folder)
    weights = load_file(folder / "model.safetensors")
    dropped = next(name for name in weights if name.startswith("logits_proj"))
    save_file({name: weight for name, weight in weights.items() if name != dropped}, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    import_engine("torch", manifest.task, TRANSFORMERS)
    with pytest.raises(ModelError, match=f"lacks or misfits {dropped}"):
        build(tmp_path, manifest, threads=1)
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "own.Model"}}))
    with pytest.raises(ModelError, match="never run"):
        build(tmp_path, manifest, threads=1)


def test_packaging_finds_texts_of_one_length_that_are_mixed_up(models, sources, tmp_path, monkeypatch):
    folder = folder_of(models, "xlnet")
    monkeypatch.syspath_prepend(torch_program.__file__.rpartition("/")[0])
    order = {"folder": str(sources / "xlnet"), "task": TASKS["xlnet"], "batch": [[5, 9, 7], [8]], "limit": 512, "out": str(tmp_path)}
    (tmp_path / "order.json").write_text(json.dumps(order | {"served": str(ROOT), "prove": {"folder": str(folder), "pads": False}}))

    def furthest() -> float:
        torch_program.main(str(tmp_path / "order.json"))
        with np.load(tmp_path / "expected.npz") as expected, np.load(tmp_path / "computed.npz") as computed:
            assert not (tmp_path / "facts.json").exists()
            return max(float(np.abs(expected[name] - computed[name]).max()) for name in expected)

    assert furthest() <= TOLERANCE
    run = TransformersEngine.run
    monkeypatch.setattr(TransformersEngine, "run", lambda *given: run(*given)[::-1])
    assert furthest() > TOLERANCE


def test_a_model_without_a_table_of_words_is_refused_as_a_model(models, monkeypatch):
    folder = folder_of(models, "xlnet")
    monkeypatch.setattr("transformers.XLNetForSequenceClassification.get_input_embeddings", lambda self: None)
    with pytest.raises(ModelError, match=r"can't be loaded by transformers \(AttributeError: "):
        TransformersEngine(folder, 1, read_manifest(folder))


def test_weights_of_another_model_are_refused_by_name(models, tmp_path):
    (tmp_path / "program.json").symlink_to(folder_of(models, "roberta") / "program.json")
    (tmp_path / "model.safetensors").symlink_to(folder_of(models, "distilbert") / "model.safetensors")
    with pytest.raises(ModelError, match="has no weight classifier"):
        ProgramEngine(tmp_path, 1)


def test_limits_beyond_the_tables_are_refused(models, tmp_path):
    folder = folder_of(models, "electra")
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    program = json.loads((folder / "program.json").read_text())
    for key, rows in (("words", 30523), ("types", 3)):
        (tmp_path / "program.json").write_text(json.dumps(program | {"limits": program["limits"] | {key: rows}}))
        with pytest.raises(ModelError, match=f"says {rows} rows"):
            ProgramEngine(tmp_path, 1)

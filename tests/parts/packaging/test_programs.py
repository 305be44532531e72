"""Engine torch for architectures that it has no forward pass of: which way a model goes, and what becomes of what the export leaves.

The environment with torch is stood in for by a script that leaves files: the real one is 5 GB (`tests/torch`, `tests/packaging`).
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pilotlight.packaging import PackagingError, export, needs_torch, torch_program
from pilotlight.packaging.program import export_program
from pilotlight.packaging.ways import choose
from tests.parts.packaging.tiny_models import CONFIG, bert_folder, bert_tensors, classifier_folder

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
    """What stands in for Python with torch: it leaves these results and ends with this status, whatever it is asked; a negative one is the
    signal that it ends by. Asked to prove how transformers serves the model, it leaves what is `proven`, ends with the status `refused`,
    and the folder that it was given is kept as `proved`."""

    def stand_in(
        expected: Any,
        computed: Any,
        *,
        status: int = 0,
        pads: bool = True,
        facts: bool = True,
        said: str = "",
        proven: Any = RESULTS,
        refused: int = 0,
    ) -> Path:
        left, python = tmp_path / "left", tmp_path / "python"
        for name, results in (("program", computed), ("proof", proven)):
            (left / name).mkdir(parents=True, exist_ok=True)
            for file, each in (("expected", expected), ("computed", results)):
                np.savez(left / name / f"{file}.npz", **{str(index): result for index, result in enumerate(each)})
        if facts:
            (left / "program" / "facts.json").write_text(json.dumps({"pads": pads}))
        for name in ("program.json", "model.safetensors"):
            (left / "program" / name).write_text(name)
        python.write_text(
            f"#!{sys.executable}\nimport json, os, pathlib, shutil, sys\norder = json.loads(pathlib.Path(sys.argv[-1]).read_text())\n"
            f"proof, here = order.get('prove'), pathlib.Path({str(tmp_path)!r})\n"
            "before = [name for name in ('facts.json', 'expected.npz', 'computed.npz') if (pathlib.Path(order['out']) / name).exists()]\n"
            "shutil.copytree(here / 'left' / ('proof' if proof else 'program'), order['out'], dirs_exist_ok=True)\n"
            "if proof: shutil.copytree(proof['folder'], here / 'proved')\n"
            "(here / ('proof.json' if proof else 'order.json')).write_text(json.dumps({**order, 'before': before}))\n"
            f"print({said!r}, file=sys.stderr, flush=True)\nstatus = {refused} if proof else {status}\n"
            "if status < 0: os.kill(os.getpid(), -status)\nraise SystemExit(status)\n"
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
        (RESULTS, -9, "the process was ended by signal 9"),
        (RESULTS, -11, "the process was ended by signal 11"),
    ],
    ids=["far", "no number", "shape", "failed", "killed", "crashed"],
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


@pytest.fixture
def slow(monkeypatch):
    """Of what is run in the environment, the first, or the first two, take longer than they may when they have left what they leave."""

    def too_long(times: int) -> None:
        run, began = subprocess.run, []

        def slow_run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
            done = run(command, **options)
            began.append(command)
            if len(began) <= times:
                raise subprocess.TimeoutExpired(command, options["timeout"])
            return done

        monkeypatch.setattr(export.subprocess, "run", slow_run)

    return too_long


def test_an_export_that_takes_too_long_is_left_to_transformers_when_that_computed_the_model(
    tmp_path, packager, environment, manifest, slow
):
    environment(RESULTS, RESULTS, pads=False)
    slow(1)
    found = manifest(packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch"))
    assert (found["computed_by"], found["pads"]) == ("transformers", False)
    assert any("(Exporting with torch took longer than 30 minutes and was stopped)" in line for line in packager.said)


@pytest.mark.parametrize("status", [-9, 3])
def test_an_export_that_ends_before_transformers_computed_the_model_is_refused(tmp_path, packager, environment, status):
    environment(RESULTS, RESULTS, status=status, facts=False)
    with pytest.raises(PackagingError, match=r"(?s)can't be computed by transformers" + (".*signal 9" if status == -9 else "")):
        packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch")
    assert not (tmp_path / "proof.json").exists()


def test_an_export_that_takes_too_long_to_compute_the_model_is_refused(tmp_path, packager, environment, slow):
    environment(RESULTS, RESULTS, facts=False)
    slow(1)
    with pytest.raises(PackagingError, match=r"^Exporting with torch took longer than 30 minutes"):
        packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch")


def test_what_an_earlier_run_left_is_not_taken_for_this_ones(tmp_path, environment):
    work = tmp_path / "work"
    work.mkdir()
    (work / "facts.json").write_text('{"pads": true}')
    environment(RESULTS, RESULTS, status=-9, facts=False)
    with pytest.raises(PackagingError, match="can't be computed by transformers"):
        export_program(tmp_path, "feature-extraction", [[1]], work, tmp_path, limit=8, progress=lambda line: None)
    assert json.loads((tmp_path / "order.json").read_text())["before"] == []


def test_what_transformers_serves_is_compared_with_the_model_too(tmp_path, packager, environment, members):
    environment(RESULTS, RESULTS, status=-9, pads=False, proven=[each + np.float32(3e-6) for each in RESULTS])
    found = members(packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch"))
    parity = json.loads(found["manifest.json"])["parity"]
    order, proof = (json.loads((tmp_path / name).read_text()) for name in ("order.json", "proof.json"))
    assert parity == {"reference": "safetensors, computed by transformers", "max_abs_difference": 1e-5, "samples": len(order["batch"])}
    assert (proof["prove"]["pads"], proof["before"]) == (False, []), "nothing of the export's is there to be taken for the proof's"
    assert {name: proof[name] for name in ("folder", "task", "batch", "limit")} == {
        name: order[name] for name in ("folder", "task", "batch", "limit")
    }
    assert {path.name: path.read_bytes() for path in (tmp_path / "proved").iterdir()} == {
        name: found[name] for name in ("config.json", "model.safetensors")
    }


def test_of_a_model_in_shards_the_one_file_that_is_served_is_compared(tmp_path, packager, environment, members):
    folder, whole = bert_folder(tmp_path / "model", config=OTHER), bert_tensors()
    shards = {"one.safetensors": sorted(whole)[::2], "two.safetensors": sorted(whole)[1::2]}
    for shard, names in shards.items():
        save_file({name: whole[name] for name in names}, folder / shard)
    weight_map = {name: shard for shard, names in shards.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    environment(RESULTS, RESULTS, status=3)
    found = members(packager(folder, engine="torch"))
    assert (tmp_path / "proved" / "model.safetensors").read_bytes() == found["model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "proved").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"refused": 1}, "UserError: a size is fixed"),
        ({"refused": -9}, "ended by signal 9"),
        ({"proven": [RESULTS[0] + np.float32(2e-4), RESULTS[1]]}, r"the engine is up to 0\.0002 from the model, 0\.0001 is allowed"),
        ({"proven": [RESULTS[0] * np.float32("nan"), RESULTS[1]]}, "the engine is up to nan from the model"),
        ({"proven": [RESULTS[0][:1], RESULTS[1]]}, "the engine's results have other shapes"),
    ],
    ids=["refused", "killed", "far", "no number", "shape"],
)
def test_what_transformers_can_not_serve_either_is_refused(tmp_path, packager, environment, options, reason):
    environment(RESULTS, RESULTS, status=3, said="a trace\nUserError: a size is fixed", **options)
    with pytest.raises(PackagingError, match=rf"(?s)can't be made a program .*UserError.*, nor served by transformers.*({reason})"):
        packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch")
    assert packager.left_over() == []


def test_a_proof_that_takes_too_long_refuses_the_model(tmp_path, packager, environment, slow):
    environment(RESULTS, RESULTS)
    slow(2)
    with pytest.raises(PackagingError, match=r"nor served by transformers.*: Comparing what transformers serves .* took longer than 30"):
        packager(bert_folder(tmp_path / "model", config=OTHER), engine="torch")


@pytest.mark.parametrize("pads", [True, False])
def test_two_texts_of_one_length_are_compared_together_whether_the_model_pads_or_not(pads):
    texts = [([2, 5, 3], [0, 0, 1]), ([2, 5, 6, 7, 3], [0] * 5), ([2] * 70, [0] * 70), ([2], [0])]
    batches = torch_program.batches_of(texts, pads)
    assert batches[:4] == [[text] for text in texts]
    assert batches[4:-1] == ([[texts[0], texts[1], texts[3]]] if pads else [])
    assert batches[-1] == [([2, 5, 6, 7, 3], [0] * 5), ([3, 7, 6, 5, 2], [0] * 5)]


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

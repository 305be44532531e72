"""What is in an artifact, and that it computes what the model computes."""

import json
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from pilotlight.packaging import PackagingError
from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.tokenizer import max_tokens
from tests.parts.packaging.tiny_models import POSITIONS, bert_folder, bert_tensors, classifier_folder, sentence_folder, write_json


def unpack(packaged, folder):
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(folder, filter="data")
    return folder


def run(folder: Path, texts: list[list[int]]):
    longest = max(map(len, texts))
    feed = {
        "input_ids": np.array([ids + [0] * (longest - len(ids)) for ids in texts], np.int64),
        "attention_mask": np.array([[1] * len(ids) + [0] * (longest - len(ids)) for ids in texts], np.int64),
        "token_type_ids": np.zeros((len(texts), longest), np.int64),
    }
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def test_the_artifact_holds_what_the_manifest_lists_and_nothing_else(tmp_path, packager, members, manifest):
    packaged = packager(bert_folder(tmp_path / "model"))
    found, listed = members(packaged), manifest(packaged)["files"]
    assert set(found) == {"manifest.json", "model.onnx", "model.onnx.data", "tokenizer.json"} == {*listed, "manifest.json"}
    for name, entry in listed.items():
        assert len(found[name]) == entry["bytes"]
    assert packaged.index == {
        "sha256": file_sha256(packaged.archive),
        "bytes": packaged.archive.stat().st_size,
        "task": "feature-extraction",
        "engine": "onnx",
        "source": "folder:model",
    }


def test_nothing_of_this_machine_is_in_the_archive(tmp_path, packager, members):
    packaged = packager(bert_folder(tmp_path / "model"))
    assert all(str(tmp_path).encode() not in content for content in members(packaged).values())
    with tarfile.open(packaged.archive) as archive:
        assert {(item.mtime, item.uid, item.gid, item.uname, item.gname, item.mode) for item in archive} == {(0, 0, 0, "", "", 0o644)}


def test_a_text_gets_the_same_numbers_alone_and_padded_in_a_batch(tmp_path, packager):
    folder = unpack(packager(bert_folder(tmp_path / "model")), tmp_path / "out")
    short, long = [2, 7, 3], [2, *range(5, 40), 3]
    together = run(folder, [short, long])
    assert np.abs(together[0, :3] - run(folder, [short])[0]).max() < 1e-5
    assert np.abs(together[1] - run(folder, [long])[0]).max() < 1e-5


def test_the_mask_hides_padding_instead_of_only_being_accepted(tmp_path, packager):
    folder = unpack(packager(bert_folder(tmp_path / "model")), tmp_path / "out")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.array([[2, 7, 3, 9, 9]], np.int64)
    seen = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0})[0]
    assert np.abs(seen[0, :3] - run(folder, [[2, 7, 3]])[0]).max() > 1e-3


def test_every_length_up_to_the_limit_is_computed_and_nothing_is_nan(tmp_path, packager):
    folder = unpack(packager(bert_folder(tmp_path / "model")), tmp_path / "out")
    for length in (1, 2, POSITIONS - 1, POSITIONS):
        assert np.isfinite(run(folder, [[5] * length])).all()
    ids = np.zeros((1, 4), np.int64)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.isfinite(session.run(None, {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids})[0]).all()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_each_activation_agrees_with_the_reference(tmp_path, packager, manifest, activation):
    parity = manifest(packager(bert_folder(tmp_path / "model", config={"hidden_act": activation})))["parity"]
    assert 0 < parity["max_abs_difference"] <= 1e-4
    assert parity["samples"] == 8


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_half_precision_weights_are_served_in_float32(tmp_path, packager, manifest, dtype):
    packaged = packager(bert_folder(tmp_path / "model", tensors=bert_tensors(dtype=dtype)))
    assert manifest(packaged)["parity"]["max_abs_difference"] <= 1e-4
    assert run(unpack(packaged, tmp_path / "out"), [[2, 7, 3]]).dtype == np.float32


def test_old_names_of_a_layer_norm_are_understood(tmp_path, packager):
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in bert_tensors().items()
    }
    old = packager(bert_folder(tmp_path / "old", tensors=tensors))
    new = packager(bert_folder(tmp_path / "new"))
    ids = [[2, 7, 8, 3]]
    assert (run(unpack(old, tmp_path / "1"), ids) == run(unpack(new, tmp_path / "2"), ids)).all()


def test_a_classifier_gives_logits_under_its_labels(tmp_path, packager, manifest):
    packaged = packager(classifier_folder(tmp_path / "model", problem_type="multi_label_classification"), "text-classification")
    said = manifest(packaged)
    assert said["labels"] == {"0": "bad", "1": "good", "2": "so-so"}
    assert said["problem_type"] == "multi_label_classification"
    assert said["architecture"] == "BertForSequenceClassification"
    assert run(unpack(packaged, tmp_path / "out"), [[2, 7, 3]]).shape == (1, 3)


def test_a_classifier_serves_as_an_encoder_too(tmp_path, packager, manifest):
    said = manifest(packager(classifier_folder(tmp_path / "model"), "feature-extraction"))
    assert said["labels"] is None
    assert said["parity"]["max_abs_difference"] <= 1e-4


@pytest.mark.parametrize(
    ("task", "limit", "expected"),
    [("feature-extraction", 20, POSITIONS), ("sentence-embedding", 20, 20), ("sentence-embedding", None, POSITIONS)],
)
def test_the_tokenizer_is_cut_by_the_task_and_never_pads(tmp_path, packager, manifest, members, task, limit, expected):
    packaged = packager(sentence_folder(tmp_path / "model", limit=limit), task)
    assert manifest(packaged)["max_tokens"] == expected
    tokenizer = Tokenizer.from_str(members(packaged)["tokenizer.json"].decode())
    assert len(tokenizer.encode("a " * 500).ids) == expected
    assert tokenizer.encode("a").ids == [2, 5, 3]


@pytest.mark.parametrize(
    ("task", "said", "config", "expected"),
    [
        ("feature-extraction", {"tokenizer_config.json": {"model_max_length": 20}}, {}, 20),
        ("sentence-embedding", {"tokenizer_config.json": {"model_max_length": 20}}, {}, 20),
        ("text-classification", {"tokenizer_config.json": {"max_len": 20.0}}, {}, 20),
        ("text-classification", {"tokenizer_config.json": {"model_max_length": 10**30}}, {}, 300),
        ("sentence-embedding", {"tokenizer_config.json": {"model_max_length": None}}, {}, 300),
        ("sentence-embedding", {}, {}, 300),
        ("sentence-embedding", {}, {"max_position_embeddings": 8192}, 8192),
        ("feature-extraction", {}, {"max_position_embeddings": -1}, 512),
        ("feature-extraction", {"tokenizer_config.json": {"model_max_length": 2048}}, {"max_position_embeddings": None}, 2048),
        ("feature-extraction", {"sentence_bert_config.json": {"max_seq_length": 20}}, {}, 300),
        ("sentence-embedding", {"sentence_roberta_config.json": {"max_seq_length": 20}}, {}, 20),
        ("sentence-embedding", {"sentence_bert_config.json": {"processor_kwargs": {"model_max_length": 20}, "max_seq_length": 30}}, {}, 20),
        ("sentence-embedding", {"sentence_bert_config.json": {"max_seq_length": None}}, {}, 300),
        (
            "sentence-embedding",
            {"sentence_bert_config.json": {"max_seq_length": 30}, "tokenizer_config.json": {"model_max_length": 20}},
            {},
            30,
        ),
        ("feature-extraction", {}, {"model_type": "xlm-roberta"}, 298),
        ("feature-extraction", {}, {"model_type": "longformer", "pad_token_id": 3}, 296),
        ("feature-extraction", {}, {"model_type": "roberta", "pad_token_id": None}, 298),
    ],
)
def test_a_text_is_as_long_as_its_folder_says(tmp_path, task, said, config, expected):
    for name, content in said.items():
        write_json(tmp_path / name, content)
    assert max_tokens(tmp_path, {"model_type": "bert", "max_position_embeddings": 300} | config, task) == expected


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("tokenizer_config.json", {"model_max_length": "512"}, "'512': it must be a whole number of tokens"),
        ("tokenizer_config.json", {"model_max_length": True}, "True: it must be"),
        ("tokenizer_config.json", {"model_max_length": 0}, "0: it must be"),
        ("tokenizer_config.json", {"model_max_length": 1.5}, "1.5: it must be"),
        ("tokenizer_config.json", {"model_max_length": 2}, "cut at 2 tokens, 2 of which the tokenizer adds"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation_side 'left': texts are cut on the right"),
        ("tokenizer_config.json", [512], "is no JSON object"),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "max_seq_length -1: it must be"),
        ("sentence_bert_config.json", "256", "is no JSON object"),
    ],
)
def test_a_length_that_is_none_is_refused_with_its_file(tmp_path, packager, name, said, message):
    folder = sentence_folder(tmp_path / "model")
    write_json(folder / name, said)
    with pytest.raises(PackagingError, match=message) as caught:
        packager(folder, "sentence-embedding")
    assert "cut at" in message or name in str(caught.value)
    assert packager.left_over() == []


@pytest.mark.parametrize(("mode", "name"), [("pooling_mode_mean_tokens", "mean"), ("pooling_mode_cls_token", "cls")])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_and_normalisation_are_the_folders(tmp_path, packager, manifest, mode, name, normalize):
    said = manifest(packager(sentence_folder(tmp_path / "model", pooling=mode, normalize=normalize), "sentence-embedding"))
    assert (said["pooling"], said["normalize"]) == (name, normalize)


def test_lower_casing_outside_of_the_tokenizer_goes_into_it(tmp_path, packager, members):
    folder = sentence_folder(tmp_path / "model", limit=20)
    settings = json.loads((folder / "tokenizer.json").read_text())
    write_json(folder / "tokenizer.json", settings | {"normalizer": None})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": True})
    tokenizer = Tokenizer.from_str(members(packager(folder, "sentence-embedding"))["tokenizer.json"].decode())
    assert tokenizer.encode("A").ids == [2, 5, 3]


def test_engine_torch_takes_the_weights_as_they_are(tmp_path, packager, members, manifest):
    folder = bert_folder(tmp_path / "model")
    found = members(packager(folder, engine="torch"))
    assert set(found) == {"config.json", "manifest.json", "model.safetensors", "tokenizer.json"}
    for name in ("config.json", "model.safetensors"):
        assert found[name] == (folder / name).read_bytes()


def test_weights_in_shards_give_the_numbers_of_the_whole(tmp_path, packager, members):
    from safetensors.numpy import load, save_file

    whole, split = bert_folder(tmp_path / "whole"), bert_folder(tmp_path / "split")
    (split / "model.safetensors").unlink()
    tensors = bert_tensors()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: tensors[name] for name in part}, split / shard)
    write_json(split / "model.safetensors.index.json", {"weight_map": {name: shard for shard, part in shards.items() for name in part}})
    ids = [[2, 7, 8, 3]]
    assert (run(unpack(packager(whole), tmp_path / "1"), ids) == run(unpack(packager(split), tmp_path / "2"), ids)).all()
    merged = load(members(packager(split, engine="torch"))["model.safetensors"])
    assert set(merged) == set(tensors)
    assert all((merged[name] == tensors[name]).all() for name in tensors)


def test_progress_says_what_happens(tmp_path, packager):
    packager(bert_folder(tmp_path / "model"))
    assert packager.said == [
        "Writing the ONNX graph of 2 layers from the safetensors",
        "Comparing with the original on 8 texts",
        "Packing the artifact",
    ]


def test_a_graph_that_computes_something_else_is_not_packaged(tmp_path, packager, monkeypatch):
    from pilotlight.packaging import bert_graph

    monkeypatch.setattr(bert_graph._BertWriter, "_mask", lambda self: self.graph.scalar("no_mask", 0.0))
    with pytest.raises(PackagingError, match=r"from the original .* 0.0001 is allowed: the artifact was not written"):
        packager(bert_folder(tmp_path / "model"))
    assert packager.left_over() == []


def test_weights_that_are_no_numbers_are_not_packaged(tmp_path, packager):
    tensors = bert_tensors()
    tensors["encoder.layer.0.output.dense.bias"][3] = np.nan
    with pytest.raises(PackagingError, match=r"up to nan from the original"):
        packager(bert_folder(tmp_path / "model", tensors=tensors))

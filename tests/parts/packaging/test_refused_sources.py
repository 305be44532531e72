"""What is not packaged: each with a reason, what is allowed, and nothing left behind."""

import json
import re

import pytest

from pilotlight.packaging import PackagingError, is_packaged, needs_torch
from tests.parts.packaging.tiny_models import bert_folder, bert_tensors, classifier_folder, sentence_folder, write_json


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "use a folder, pypi:NAME"),
        ("pypi:", "use a folder, pypi:NAME"),
        ("pypi:../../etc", "use a folder, pypi:NAME"),
        ("pypi:--index-url=x", "use a folder, pypi:NAME"),
        ("pypi:" + "a" * 4000, "use a folder, pypi:NAME"),
        ("https://example.com/model", "use a folder, pypi:NAME"),
        ("hf://org/name", "pin the model to a commit"),
        ("hf://org/name@main", "pin the model to a commit"),
        ("hf://org/name@" + "a" * 39, "pin the model to a commit"),
        ("hf://org/name@" + "A" * 40, "pin the model to a commit"),
        ("hf://org/../name@" + "a" * 40, "use a folder, pypi:NAME"),
        ("hf://name@" + "a" * 40, "use a folder, pypi:NAME"),
        ("nowhere/at/all", "there is no folder"),
        ("x" * 5000, "there is no folder"),
        ("a\0b", "use a folder, pypi:NAME"),
    ],
)
def test_a_source_of_no_known_form_is_refused_with_the_forms(packager, source, message):
    with pytest.raises(PackagingError, match=message) as caught:
        packager(source)
    assert len(str(caught.value)) < 700
    assert packager.left_over() == []


@pytest.mark.parametrize(
    ("task", "engine", "message"), [("embedding", "onnx", "feature-extraction, sentence"), ("feature-extraction", "tf", "onnx, torch")]
)
def test_an_unknown_task_or_engine_is_refused_with_the_known_ones(tmp_path, packager, task, engine, message):
    with pytest.raises(PackagingError, match=message):
        packager(bert_folder(tmp_path / "model"), task, engine)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt", "tf_model.h5", "model.dill", "model.mar"])
def test_pickled_weights_are_refused_by_name(tmp_path, packager, name):
    folder = bert_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(PackagingError, match=rf"only {name}.*save_pretrained"):
        packager(folder)


def test_pickled_weights_beside_safetensors_are_left_out(tmp_path, packager, members):
    folder = bert_folder(tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    assert set(members(packager(folder))) == {"manifest.json", "model.onnx", "model.onnx.data", "tokenizer.json"}


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_cut_off_weights_are_refused(tmp_path, packager, kept, engine):
    folder = bert_folder(tmp_path / "model")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:kept])
    with pytest.raises(PackagingError, match=r"model.safetensors is damaged .* get the model again"):
        packager(folder, engine=engine)
    assert packager.left_over() == []


def test_a_missing_weight_is_named(tmp_path, packager):
    tensors = bert_tensors()
    del tensors["encoder.layer.1.output.dense.bias"]
    with pytest.raises(PackagingError, match=r"no tensor 'encoder.layer.1.output.dense.bias'"):
        packager(bert_folder(tmp_path / "model", tensors=tensors))


def test_an_encoder_is_no_classifier(tmp_path, packager):
    with pytest.raises(PackagingError, match=r"BertModel, which has no head for text-classification.*feature-extraction"):
        packager(bert_folder(tmp_path / "model"), "text-classification")


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_a_head_without_a_label_for_every_score_is_refused(tmp_path, packager, engine):
    folder = classifier_folder(tmp_path / "model", id2label={"0": "bad", "1": "good"})
    with pytest.raises(PackagingError, match=r"the head gives 3 scores, config.json has 2 labels"):
        packager(folder, "text-classification", engine)


def test_labels_with_a_gap_are_refused(tmp_path, packager):
    with pytest.raises(PackagingError, match=r"without a gap"):
        packager(classifier_folder(tmp_path / "model", id2label={"0": "a", "2": "b", "3": "c"}), "text-classification")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id2label": ["bad", "good", "so-so"]}, r'the id2label \["bad", "good", "so-so"\]: an object of labels by number is allowed'),
        ({"id2label": "bad"}, 'the id2label "bad": an object'),
        ({"id2label": None, "num_labels": "three"}, 'the num_labels "three": a whole number from 1'),
        ({"id2label": None, "num_labels": -3}, "the num_labels -3: a whole number from 1"),
        ({"id2label": None, "num_labels": 1_000_001}, "from 1 to 1,000,000 is allowed"),
        ({"id2label": None, "num_labels": None}, "the head gives 3 scores, config.json has 2 labels"),
        ({"architectures": 5}, "the architectures 5: a list of names is allowed"),
        ({"architectures": "BertForSequenceClassification"}, "a list of names is allowed"),
        ({"architectures": [None, "BertForSequenceClassification"]}, "a list of names is allowed"),
        ({"id2label": {"0": "bad", "1": "\ud800", "2": "so-so"}}, r"half of a character .* stands in '.*\\ud800.*: write a whole one"),
    ],
)
def test_a_configuration_whose_labels_or_names_are_of_another_kind_is_refused(tmp_path, packager, change, message):
    with pytest.raises(PackagingError, match=message):
        packager(classifier_folder(tmp_path / "model", **change), "text-classification")
    assert packager.left_over() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 48}, "don't fit together"),
        ({"num_attention_heads": 5}, "don't fit together"),
        ({"num_attention_heads": 0}, "don't fit together"),
        ({"max_position_embeddings": 512}, "don't fit together"),
        ({"num_hidden_layers": 3}, "no tensor 'encoder.layer.2"),
        ({"num_hidden_layers": "many"}, "lacks or spoils a size"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "never run"),
        ({"vocab_size": 8}, "knows token number 56, the model has 8 embeddings"),
        ({"model_type": 3}, "names no model_type"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(tmp_path, packager, change, message):
    with pytest.raises(PackagingError, match=message):
        packager(bert_folder(tmp_path / "model", config=change))
    assert packager.left_over() == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_broken_configuration_is_refused(tmp_path, packager, content):
    folder = bert_folder(tmp_path / "model")
    (folder / "config.json").write_text(content)
    with pytest.raises(PackagingError, match=r"config.json"):
        packager(folder)


def test_a_folder_without_a_model_is_refused(tmp_path, packager):
    with pytest.raises(PackagingError, match=r"has no config.json"):
        packager(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{}", '{"model": {"type": "Nothing"}}'])
def test_a_missing_or_broken_tokenizer_is_refused(tmp_path, packager, content):
    folder = bert_folder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    if content is not None:
        (folder / "tokenizer.json").write_text(content)
    with pytest.raises(PackagingError, match=r"tokenizer.json"):
        packager(folder)


def test_a_shard_outside_the_folder_is_refused(tmp_path, packager):
    folder = bert_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(tmp_path / "other.safetensors")
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "../other.safetensors"}})
    with pytest.raises(PackagingError, match=r"only .*beside it are allowed"):
        packager(folder)


def test_pooling_outside_the_folder_is_refused(tmp_path, packager):
    folder = sentence_folder(tmp_path / "model")
    write_json(tmp_path / "config.json", {"pooling_mode_mean_tokens": True})
    write_json(folder / "modules.json", [{"path": "..", "type": "sentence_transformers.models.Pooling"}])
    with pytest.raises(PackagingError, match="outside the model's folder"):
        packager(folder, "sentence-embedding")


def test_pooling_that_is_not_served_is_refused_for_embeddings_only(tmp_path, packager):
    folder = sentence_folder(tmp_path / "model", pooling="pooling_mode_max_tokens")
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(PackagingError, match="pooling_mode_max_tokens"):
        packager(folder, "sentence-embedding")
    assert packager(folder, "feature-extraction").built


def test_a_dense_layer_after_pooling_is_refused(tmp_path, packager):
    folder = sentence_folder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    write_json(folder / "modules.json", [*modules, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}])
    with pytest.raises(PackagingError, match="asks for Dense"):
        packager(folder, "sentence-embedding")


@pytest.mark.parametrize("file", ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"])
@pytest.mark.parametrize("content", ["null", '["Pooling"]', '"Pooling"', "7", "{"])
def test_settings_of_sentences_that_are_no_objects_are_refused_by_their_file(tmp_path, packager, file, content):
    folder = sentence_folder(tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(PackagingError, match=re.escape(str(folder / file))):
        packager(folder, "sentence-embedding")


def test_pooling_without_its_file_is_refused(tmp_path, packager):
    folder = sentence_folder(tmp_path / "model")
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(PackagingError, match=r"1_Pooling/config\.json, which is not there"):
        packager(folder, "sentence-embedding")


def test_a_prompt_before_every_text_is_refused(tmp_path, packager):
    folder = sentence_folder(tmp_path / "model")
    write_json(folder / "config_sentence_transformers.json", {"default_prompt_name": "query"})
    with pytest.raises(PackagingError, match="default_prompt_name"):
        packager(folder, "sentence-embedding")


def test_another_architecture_needs_torch(tmp_path, packager):
    folder = bert_folder(tmp_path / "model", config={"model_type": "distilbert"})
    options = {"cache": packager.cache, "progress": packager.said.append}
    assert needs_torch(str(folder), "feature-extraction", "onnx", **options)
    assert not needs_torch(str(bert_folder(tmp_path / "bert")), "feature-extraction", "onnx", **options)


def test_a_full_disk_is_told_before_the_work(tmp_path, packager, monkeypatch):
    folder = bert_folder(tmp_path / "model")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(PackagingError, match=r"Packaging needs .* PILOTLIGHT_CACHE=FOLDER"):
        packager(folder)
    assert packager.left_over() == []
    assert not is_packaged(str(folder), "feature-extraction", "onnx", packager.cache)

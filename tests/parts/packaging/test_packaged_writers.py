"""Models that write: what of a Llama is packaged, and which are refused before anything is written."""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from handlers.engines.manifest import Generation, read_manifest
from pilotlight.packaging import PackagingError, package_model

WORDS = ["<s>", "</s>", "<unk>", "cold", "start"]
HIDDEN, INNER, HEADS, KV_HEADS = 16, 24, 4, 2
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128,
    "vocab_size": len(WORDS),
    "eos_token_id": 1,
}


def write_llama(folder: Path, without: str = "", biases: tuple[str, ...] = (), **config: Any) -> Path:
    """A source folder, with `biases` of these layers; `config` adds to or replaces values, where None takes one out."""
    folder.mkdir()
    values = {name: value for name, value in {**CONFIG, **config}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(values))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    narrow, layer = HIDDEN * KV_HEADS // HEADS, "model.layers.0"
    shapes = {
        "model.embed_tokens": (len(WORDS), HIDDEN),
        "lm_head": (len(WORDS), HIDDEN),
        "model.norm": (HIDDEN,),
        f"{layer}.input_layernorm": (HIDDEN,),
        f"{layer}.post_attention_layernorm": (HIDDEN,),
        f"{layer}.self_attn.q_proj": (HIDDEN, HIDDEN),
        f"{layer}.self_attn.k_proj": (narrow, HIDDEN),
        f"{layer}.self_attn.v_proj": (narrow, HIDDEN),
        f"{layer}.self_attn.o_proj": (HIDDEN, HIDDEN),
        f"{layer}.mlp.gate_proj": (INNER, HIDDEN),
        f"{layer}.mlp.up_proj": (INNER, HIDDEN),
        f"{layer}.mlp.down_proj": (HIDDEN, INNER),
    }
    random = np.random.default_rng(0)
    weights = {f"{name}.weight": random.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items() if name != without}
    weights |= {f"{name}.bias": np.ones(shapes[name][0], np.float32) for name in biases}
    save_file(weights, folder / "model.safetensors")
    return folder


def packaged(source: Path, folder: Path, engine: str = "torch") -> Path:
    """The unpacked artifact."""
    archive = package_model(str(source), "text-generation", engine, folder / "cache", progress=lambda line: None).archive
    with tarfile.open(archive) as file:
        file.extractall(folder / "model", filter="data")
    return folder / "model"


def test_the_artifact_says_how_the_model_writes(tmp_path):
    source = write_llama(tmp_path / "source")
    (source / "generation_config.json").write_text('{"eos_token_id": [1, 4]}')
    told = {"chat_template": "{{ messages }}", "bos_token": "<s>", "eos_token": {"content": "</s>"}}
    told |= {"pad_token": {"content": "<pad>"}, "unk_token": None, "mask_token": 7}
    (source / "tokenizer_config.json").write_text(json.dumps(told))
    folder = packaged(source, tmp_path)
    manifest = read_manifest(folder)
    assert (manifest.task, manifest.engine, manifest.max_tokens) == ("text-generation", "torch", 128)
    assert manifest.generation == Generation(
        ends=(1, 4), chat_template="{{ messages }}", bos_token="<s>", eos_token="</s>", others={"pad_token": "<pad>"}
    )
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_template_in_a_file_of_its_own_is_the_one(tmp_path):
    source = write_llama(tmp_path / "source")
    (source / "tokenizer_config.json").write_text('{"chat_template": [{"name": "default", "template": "old"}]}')
    assert read_manifest(packaged(source, tmp_path)).generation.chat_template == "old"
    (source / "chat_template.jinja").write_text("new")
    assert read_manifest(packaged(source, tmp_path)).generation.chat_template == "new"


def test_a_model_without_a_template_has_none_and_ends_where_its_configuration_says(tmp_path):
    generation = read_manifest(packaged(write_llama(tmp_path / "source"), tmp_path)).generation
    assert (generation.chat_template, generation.ends) == (None, (1,))


def test_what_changes_nothing_may_stand_in_the_generation_config(tmp_path):
    source = write_llama(tmp_path / "source")
    said = {
        "eos_token_id": 2,
        "repetition_penalty": 1.0,
        "num_beams": 1,
        "suppress_tokens": [],
        "min_length": 0,
        "forced_eos_token_id": None,
    }
    # How tokens are drawn is the request's to say.
    (source / "generation_config.json").write_text(json.dumps(said | {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20}))
    assert read_manifest(packaged(source, tmp_path)).generation.ends == (2,)


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"repetition_penalty": 1.1}, "repetition_penalty 1.1"),
        ({"no_repeat_ngram_size": 3, "num_beams": 4}, "no_repeat_ngram_size 3, num_beams 4"),
        ({"suppress_tokens": [3]}, r"suppress_tokens \[3\]"),
        ({"stop_strings": ["###"]}, "stop_strings"),
        ({"min_new_tokens": 5}, "min_new_tokens 5"),
    ],
)
def test_what_would_be_written_otherwise_is_refused_by_name(tmp_path, name, said, named):
    source = write_llama(tmp_path / "source")
    known = json.loads((source / name).read_text()) if (source / name).is_file() else {}
    (source / name).write_text(json.dumps(known | said))
    with pytest.raises(PackagingError, match=rf"{name} asks for {named}.*, which is not served: package a copy"):
        packaged(source, tmp_path)


@pytest.mark.parametrize(
    ("config", "without", "said"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "", "this is GPT2LMHeadModel"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "", "this is LlamaForSequenceClassification"),
        ({"hidden_act": "gelu"}, "", "hidden_act"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "", "rope_parameters"),
        ({"quantization_config": {"bits": 4}}, "", "quantization_config"),
        ({"auto_map": {"AutoModelForCausalLM": "x.Y"}}, "", "never run"),
        ({"max_position_embeddings": None}, "", "max_position_embeddings"),
        ({"num_key_value_heads": 4}, "", "k_proj.weight of the shape"),
        ({"eos_token_id": "</s>"}, "", "eos_token_id"),
        ({"rms_norm_eps": None}, "", "rms_norm_eps"),
        ({}, "model.layers.0.mlp.up_proj", "no tensor 'model.layers.0.mlp.up_proj.weight'"),
        ({}, "lm_head", "no tensor 'lm_head.weight'"),
        ({"vocab_size": 4}, "", "token number 4"),
    ],
    ids=str,
)
def test_what_the_engine_does_not_compute_is_refused_by_name(tmp_path, config, without, said):
    source = write_llama(tmp_path / "source", without, **config)
    with pytest.raises(PackagingError, match="(?s)" + said.replace("(", r"\(")):
        packaged(source, tmp_path)


ATTENTION = tuple(f"model.layers.0.self_attn.{part}_proj" for part in "qkvo")
MLP = tuple(f"model.layers.0.mlp.{part}_proj" for part in ("gate", "up", "down"))


def test_biases_are_those_that_the_configuration_has(tmp_path):
    packaged(write_llama(tmp_path / "source", biases=(*ATTENTION, *MLP), attention_bias=True, mlp_bias=True), tmp_path)


@pytest.mark.parametrize(
    ("biases", "config", "said"),
    [
        (ATTENTION, {}, "a model.layers.0.self_attn.k_proj.bias.*there is none"),
        (MLP, {"attention_bias": False, "mlp_bias": False}, "a model.layers.0.mlp.gate_proj.bias.*there is none"),
        (("lm_head",), {"attention_bias": True, "mlp_bias": True}, "a lm_head.bias.*there is none"),
        (ATTENTION[:3], {"attention_bias": True}, "no model.layers.0.self_attn.o_proj.bias.*there is one"),
        ((), {"mlp_bias": True}, "no model.layers.0.mlp.gate_proj.bias.*mlp_bias True.*there is one"),
    ],
)
def test_biases_that_the_configuration_has_otherwise_are_refused_by_name(tmp_path, biases, config, said):
    with pytest.raises(PackagingError, match=said):
        packaged(write_llama(tmp_path / "source", biases=biases, **config), tmp_path)


def test_words_that_are_tied_need_no_head(tmp_path):
    packaged(write_llama(tmp_path / "source", "lm_head", tie_word_embeddings=True), tmp_path)


def test_pickles_are_refused_and_engine_onnx_too(tmp_path):
    source = write_llama(tmp_path / "source")
    with pytest.raises(PackagingError, match="use torch"):
        packaged(source, tmp_path, "onnx")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(PackagingError, match="can run code"):
        packaged(source, tmp_path)

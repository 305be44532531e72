"""A BERT of some hundred kilobytes with random weights, as a source folder for the packager."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cold", "start", "warm", "cloud", "##s", "sleep", "call"]
# Wide enough that the packager puts some weights into a file of their own, as it does for a real model.
HIDDEN, LAYERS, POSITIONS, INNER = 64, 2, 64, 128


def write_source(folder: Path, **config: Any) -> Path:
    """config.json, tokenizer.json and model.safetensors; `config` adds to or replaces values, `id2label` adds the head."""
    folder.mkdir(parents=True)
    values = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification" if "id2label" in config else "BertModel"],
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": 4,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": len(WORDS),
    }
    values |= config
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    save_file(_weights(values), folder / "model.safetensors")
    return folder


def _weights(config: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    hidden, inner, labels = config["hidden_size"], config["intermediate_size"], len(config.get("id2label", ()))
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), hidden),
        "embeddings.position_embeddings.weight": (POSITIONS, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        **_norm("embeddings.LayerNorm", hidden),
        **_dense("pooler.dense", hidden, hidden),
    }
    for layer in (f"encoder.layer.{index}" for index in range(config["num_hidden_layers"])):
        for part in ("query", "key", "value"):
            shapes |= _dense(f"{layer}.attention.self.{part}", hidden, hidden)
        shapes |= _dense(f"{layer}.attention.output.dense", hidden, hidden) | _norm(f"{layer}.attention.output.LayerNorm", hidden)
        shapes |= _dense(f"{layer}.intermediate.dense", hidden, inner) | _dense(f"{layer}.output.dense", inner, hidden)
        shapes |= _norm(f"{layer}.output.LayerNorm", hidden)
    if labels:
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()} | _dense("classifier", hidden, labels)
    random = np.random.default_rng(7)
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def _dense(name: str, inside: int, outside: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outside, inside), f"{name}.bias": (outside,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _tokenizer() -> dict[str, Any]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    value: dict[str, Any] = json.loads(tokenizer.to_str())
    return value

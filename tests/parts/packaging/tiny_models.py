"""Model folders as transformers and sentence-transformers save them, small enough to be made and packaged in a moment."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz",
    *[f"##{sign}" for sign in "abcdefghijklmnopqrstuvwxyz"],
]
# Wide enough for the largest weights to lie outside of the graph.
HIDDEN, INNER, LAYERS, HEADS, POSITIONS = 64, 128, 2, 4, 64
CONFIG: Mapping[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
}


def bert_tensors(*, prefix: str = "", labels: int | None = None, dtype: Any = np.float32) -> dict[str, np.ndarray[Any, Any]]:
    """Random weights of a BERT encoder, the same at every call; with `labels` also of a classification head."""
    random = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        f"{prefix}embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        f"{prefix}embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    dense = {f"{prefix}pooler.dense": (HIDDEN, HIDDEN)}
    norms = [f"{prefix}embeddings.LayerNorm"]
    for index in range(LAYERS):
        layer = f"{prefix}encoder.layer.{index}"
        dense |= {f"{layer}.attention.self.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value")}
        dense |= {f"{layer}.attention.output.dense": (HIDDEN, HIDDEN)}
        dense |= {f"{layer}.intermediate.dense": (INNER, HIDDEN), f"{layer}.output.dense": (HIDDEN, INNER)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    if labels is not None:
        dense["classifier"] = (labels, HIDDEN)
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    tensors = {name: random.normal(0, 0.3, shape).astype(dtype) for name, shape in shapes.items()}
    for name in norms:
        tensors |= {
            f"{name}.weight": random.normal(1, 0.2, HIDDEN).astype(dtype),
            f"{name}.bias": random.normal(0, 0.2, HIDDEN).astype(dtype),
        }
    return tensors


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer that pads and cuts in ways that no task wants."""
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(8)
    tokenizer.save(str(folder / "tokenizer.json"))


def bert_folder(
    folder: Path, *, config: Mapping[str, Any] | None = None, tensors: Mapping[str, np.ndarray[Any, Any]] | None = None
) -> Path:
    """A BERT encoder; `config` adds to or changes the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {**CONFIG, **(config or {})})
    save_file(dict(tensors or bert_tensors()), folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(folder)
    return folder


def classifier_folder(folder: Path, labels: tuple[str, ...] = ("bad", "good", "so-so"), **config: Any) -> Path:
    """A BERT model with a classification head."""
    names = {"architectures": ["BertForSequenceClassification"], "id2label": {str(number): label for number, label in enumerate(labels)}}
    return bert_folder(folder, config={**names, **config}, tensors=bert_tensors(prefix="bert.", labels=len(labels)))


def sentence_folder(folder: Path, *, pooling: str = "pooling_mode_mean_tokens", normalize: bool = True, limit: int | None = None) -> Path:
    """A BERT encoder as sentence-transformers saves it."""
    bert_folder(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"} for n, (path, kind) in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": HIDDEN, pooling: True, "pooling_mode_max_tokens": pooling == "max"},
    )
    if limit is not None:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    return folder

"""What of a BERT model's config.json and tensor names decides its computation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.tensors import Weights

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu"}


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes and choices; `prefix` is what the names of the encoder's tensors begin with ("" or "bert.")."""

    layers: int
    heads: int
    hidden: int
    positions: int
    vocabulary: int
    epsilon: float
    activation: str
    prefix: str


def is_plain_bert(config: Mapping[str, Any]) -> bool:
    """Whether the computation is the one that `bert_graph` writes: no decoder, absolute positions, a known activation."""
    return (
        config.get("model_type") == "bert"
        and not config.get("is_decoder", False)
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and config.get("hidden_act", "gelu") in ACTIVATIONS
    )


def read_bert(config: Mapping[str, Any], weights: Weights) -> BertConfig:
    """The configuration of a model for which `is_plain_bert` holds. Raises PackagingError where config and weights don't fit."""
    prefix = next((p for p in ("", "bert.") if f"{p}embeddings.word_embeddings.weight" in weights), None)
    if prefix is None:
        raise PackagingError(
            "config.json says model_type bert, the weights have neither embeddings.word_embeddings.weight nor the same under bert.: "
            "they are another model's."
        )
    vocabulary, hidden = weights.shape(f"{prefix}embeddings.word_embeddings.weight")
    try:
        found = BertConfig(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            hidden=int(config["hidden_size"]),
            positions=int(config["max_position_embeddings"]),
            vocabulary=vocabulary,
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
            prefix=prefix,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PackagingError(f"config.json lacks or spoils a size of a BERT model: {error!r}.") from error
    if found.hidden != hidden or found.heads < 1 or found.hidden % found.heads:
        raise PackagingError(
            f"config.json says hidden_size {found.hidden} with {found.heads} attention heads, the word embeddings are {hidden} wide: "
            "they don't fit together."
        )
    rows = weights.shape(f"{prefix}embeddings.position_embeddings.weight")[0]
    if rows != found.positions or vocabulary != config.get("vocab_size", vocabulary):
        raise PackagingError(
            f"config.json says {found.positions} positions and {config.get('vocab_size')} words, the weights have {rows} and {vocabulary}: "
            "they don't fit together."
        )
    return found


class BertTensors:
    """Tensors of a BERT checkpoint by their present-day names; old checkpoints call a LayerNorm's weight gamma and its bias beta."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self._weights = weights
        self._prefix = prefix

    def name(self, short: str, *, head: bool = False) -> str:
        """The name in the file. A head's tensors (`head`) have no prefix."""
        full = short if head else self._prefix + short
        if full not in self._weights and "LayerNorm" in full:
            return full.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return full

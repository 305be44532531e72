"""BERT's forward pass over a table of weights. Names of weights are transformers' own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, arange
from torch.nn import functional

from handlers.engines.device import in_one_type

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The part of `config.json` that the forward pass needs."""

    layers: int
    heads: int
    epsilon: float
    activation: str

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "BertConfig":
        """Raises ValueError for another architecture, KeyError for a missing value."""
        if values["model_type"] != "bert":
            raise ValueError(f"model_type is {values['model_type']!r}, engine torch serves 'bert': package it for engine onnx.")
        if values.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError(f"position_embedding_type is {values['position_embedding_type']!r}, 'absolute' is served.")
        if values["hidden_act"] not in _ACTIVATIONS:
            raise ValueError(f"hidden_act is {values['hidden_act']!r}, served are {', '.join(_ACTIVATIONS)}.")
        return cls(values["num_hidden_layers"], values["num_attention_heads"], values["layer_norm_eps"], values["hidden_act"])


class Bert:
    """Calling it gives the last hidden state (texts, tokens, hidden) or, with the head, the logits (texts, labels)."""

    def __init__(self, config: BertConfig, weights: Mapping[str, Tensor], *, classifies: bool) -> None:
        """Raises KeyError with the name of a weight that is missing."""
        self._config = config
        self._prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
        self._classifies = classifies
        alike = in_one_type(weights, f"{self._prefix}embeddings.word_embeddings.weight")
        self._weights = {_todays_name(name): tensor for name, tensor in alike.items()}
        for name in self._needed():
            self._weights[name]

    def check(self, token: int, kind: int, length: int) -> None:
        """Raises ValueError where the largest token, the largest type or the length of a text has no row in its table.

        Before anything is computed: on a GPU to read beyond a table is an error that no later computation of the process gets over.
        """
        for what, wanted, name in (("token", token, "word"), ("type", kind, "token_type"), ("position", length - 1, "position")):
            if wanted >= (rows := self._table(name).shape[0]):
                raise ValueError(f"{what} {wanted} is beyond the {rows} that the model has: its tokenizer is of another model")

    def __call__(self, tokens: Tensor, types: Tensor, check: Callable[[], None], seen: Tensor | None = None) -> Tensor:
        """`check` is called before each layer and may raise, to stop a pass that nobody waits for; `seen` is false where padding is, None
        where there is none."""
        hidden = self._embed(tokens, types)
        # The same for every head and for whichever token looks.
        mask = None if seen is None else seen[:, None, None, :]
        for index in range(self._config.layers):
            check()
            hidden = self._layer(hidden, f"{self._prefix}encoder.layer.{index}", mask)
        if not self._classifies:
            return hidden
        pooled = self._linear(hidden[:, 0], f"{self._prefix}pooler.dense").tanh()
        return self._linear(pooled, "classifier")

    def _needed(self) -> list[str]:
        norms = ["attention.output.LayerNorm", "output.LayerNorm"]
        dense = ["attention.self.query", "attention.self.key", "attention.self.value"]
        dense += ["attention.output.dense", "intermediate.dense", "output.dense"]
        modules = [f"{self._prefix}encoder.layer.{index}.{part}" for index in range(self._config.layers) for part in dense + norms]
        modules.append(f"{self._prefix}embeddings.LayerNorm")
        if self._classifies:
            modules += [f"{self._prefix}pooler.dense", "classifier"]
        tables = [f"{self._prefix}embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
        return tables + [f"{module}.{part}" for module in modules for part in ("weight", "bias")]

    def _embed(self, tokens: Tensor, types: Tensor) -> Tensor:
        words, positions, kinds = (self._table(kind) for kind in ("word", "position", "token_type"))
        places = arange(tokens.shape[1], device=tokens.device)[None]
        embedded = functional.embedding(tokens, words) + functional.embedding(types, kinds) + functional.embedding(places, positions)
        return self._norm(embedded, f"{self._prefix}embeddings.LayerNorm")

    def _table(self, kind: str) -> Tensor:
        return self._weights[f"{self._prefix}embeddings.{kind}_embeddings.weight"]

    def _layer(self, hidden: Tensor, name: str, mask: Tensor | None) -> Tensor:
        attended = self._linear(self._attend(hidden, f"{name}.attention.self", mask), f"{name}.attention.output.dense")
        hidden = self._norm(attended + hidden, f"{name}.attention.output.LayerNorm")
        inner = _ACTIVATIONS[self._config.activation](self._linear(hidden, f"{name}.intermediate.dense"))
        return self._norm(self._linear(inner, f"{name}.output.dense") + hidden, f"{name}.output.LayerNorm")

    def _attend(self, hidden: Tensor, name: str, mask: Tensor | None) -> Tensor:
        query, key, value = (self._heads(self._linear(hidden, f"{name}.{part}")) for part in ("query", "key", "value"))
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)

    def _heads(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(-1, (self._config.heads, -1)).transpose(1, 2)

    def _linear(self, hidden: Tensor, name: str) -> Tensor:
        return functional.linear(hidden, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        scale, shift = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(hidden, scale.shape, scale, shift, self._config.epsilon)


def _todays_name(name: str) -> str:
    """Checkpoints converted from TensorFlow call a norm's scale and shift gamma and beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")

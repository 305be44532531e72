"""A BERT forward pass in numpy and float64: what the ONNX graph is compared with. Slow, plain, and shares no formula with the graph."""

import math

import numpy as np
import numpy.typing as npt

from pilotlight.packaging.bert_config import BertConfig, BertTensors
from pilotlight.packaging.tensors import Weights

Floats = npt.NDArray[np.float64]
# Element by element, from the C library: numpy has no erf of its own.
_erf = np.frompyfunc(math.erf, 1, 1)


class BertReference:
    """Computes one text at a time, without padding, in float64; holds one tensor at a time."""

    def __init__(self, bert: BertConfig, weights: Weights) -> None:
        self._bert = bert
        self._weights = weights
        self._tensors = BertTensors(weights, bert.prefix)

    def hidden_state(self, ids: list[int]) -> Floats:
        """The last hidden state [tokens, hidden] of one text; every token is of type 0."""
        rows = self._get("embeddings.word_embeddings.weight", ids)
        rows = rows + self._get("embeddings.position_embeddings.weight", list(range(len(ids))))
        hidden = self._norm(rows + self._get("embeddings.token_type_embeddings.weight", [0]), "embeddings.LayerNorm")
        for index in range(self._bert.layers):
            layer = f"encoder.layer.{index}."
            attended = self._dense(self._attend(hidden, layer + "attention.self."), layer + "attention.output.dense")
            hidden = self._norm(attended + hidden, layer + "attention.output.LayerNorm")
            inner = self._activate(self._dense(hidden, layer + "intermediate.dense"))
            hidden = self._norm(self._dense(inner, layer + "output.dense") + hidden, layer + "output.LayerNorm")
        return hidden

    def logits(self, ids: list[int]) -> Floats:
        """The scores [labels] of one text under the head of BertForSequenceClassification."""
        pooled = np.tanh(self._dense(self.hidden_state(ids)[0], "pooler.dense"))
        return self._dense(pooled, "classifier", head=True)

    def token_logits(self, ids: list[int]) -> Floats:
        """The scores [tokens, labels] of one text under the head of BertForTokenClassification."""
        return self._dense(self.hidden_state(ids), "classifier", head=True)

    def _get(self, short: str, rows: list[int] | None = None, *, head: bool = False) -> Floats:
        values = self._weights.get(self._tensors.name(short, head=head))
        return (values if rows is None else values[rows]).astype(np.float64)

    def _dense(self, values: Floats, name: str, *, head: bool = False) -> Floats:
        result: Floats = np.einsum("...i,oi->...o", values, self._get(f"{name}.weight", head=head), optimize=True)
        result += self._get(f"{name}.bias", head=head)
        return result

    def _norm(self, values: Floats, name: str) -> Floats:
        centred = values - values.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + self._bert.epsilon)
        result: Floats = centred / spread * self._get(f"{name}.weight") + self._get(f"{name}.bias")
        return result

    def _attend(self, hidden: Floats, name: str) -> Floats:
        width = self._bert.hidden // self._bert.heads
        query, key, value = (self._dense(hidden, name + part) for part in ("query", "key", "value"))
        mixed = []
        for start in range(0, self._bert.hidden, width):
            part = slice(start, start + width)
            scores = query[:, part] @ key[:, part].T / math.sqrt(width)
            chances = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(chances / chances.sum(-1, keepdims=True) @ value[:, part])
        return np.concatenate(mixed, axis=-1)

    def _activate(self, values: Floats) -> Floats:
        if self._bert.activation == "relu":
            return np.maximum(values, 0.0)
        if self._bert.activation == "gelu-tanh":
            return 0.5 * values * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (values + 0.044715 * values**3)))
        return 0.5 * values * (1.0 + np.asarray(_erf(values / math.sqrt(2.0)), np.float64))

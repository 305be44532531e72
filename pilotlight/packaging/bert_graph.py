"""The ONNX graph of a BERT encoder, written from its safetensors without torch.

Inputs `input_ids`, `attention_mask`, `token_type_ids`: int64 [batch, tokens]; both sizes are free.
Output `last_hidden_state` [batch, tokens, hidden], `logits` [batch, labels] with the head of
a text classifier, or `logits` [batch, tokens, labels] with that of a token classifier.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from pilotlight.packaging.bert_config import BertConfig, BertTensors
from pilotlight.packaging.onnx_writer import DATA, GRAPH, GraphWriter
from pilotlight.packaging.tensors import Array, Weights

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_bert(folder: Path, bert: BertConfig, weights: Weights, *, head: str | None) -> None:
    """Write `model.onnx` and `model.onnx.data` into the folder; `head` is the end of the architecture's name, None for the encoder alone.

    Raises PackagingError for a missing tensor.
    """
    with (folder / DATA).open("wb") as data:
        writer = _BertWriter(GraphWriter(data), bert, weights)
        hidden = writer.encoder()
        if head == "ForSequenceClassification":
            writer.classifier(hidden)
        elif head == "ForTokenClassification":
            writer.tagger(hidden)
    output: str = "last_hidden_state"
    shape: list[str | int] = ["batch", "tokens", bert.hidden]
    if head is not None:
        labels = weights.shape("classifier.weight")[0]
        output, shape = "logits", ["batch", labels] if head == "ForSequenceClassification" else ["batch", "tokens", labels]
    writer.graph.save(
        folder / GRAPH,
        inputs=[helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS],
        outputs=[helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
    )


class _BertWriter:
    def __init__(self, graph: GraphWriter, bert: BertConfig, weights: Weights) -> None:
        self.graph = graph
        self._bert = bert
        self._weights = weights
        self._tensors = BertTensors(weights, bert.prefix)

    def _read(self, short: str, *, head: bool = False) -> Array:
        return self._weights.get(self._tensors.name(short, head=head))

    def _plain(self, short: str) -> str:
        return self.graph.weight(short, self._read(short))

    def _linear(self, value: str, name: str, parts: list[str], *, head: bool = False) -> str:
        """x·Wᵀ + b. Several parts become one product: their weights side by side. PyTorch keeps W as [out, in], MatMul wants [in, out]."""
        matrix = np.concatenate([self._read(f"{part}.weight", head=head) for part in parts]).T
        bias = np.concatenate([self._read(f"{part}.bias", head=head) for part in parts])
        product = self.graph.node("MatMul", value, self.graph.weight(f"{name}.weight", matrix), name=f"{name}.product")
        return self.graph.node("Add", product, self.graph.weight(f"{name}.bias", bias), name=name)

    def _normalize(self, value: str, short: str) -> str:
        weight, bias = self._plain(f"{short}.weight"), self._plain(f"{short}.bias")
        return self.graph.node("LayerNormalization", value, weight, bias, name=short, axis=-1, epsilon=self._bert.epsilon)

    def encoder(self) -> str:
        """Embeddings and all layers. Returns the name of the last hidden state."""
        hidden = self._embeddings()
        mask = self._mask()
        for index in range(self._bert.layers):
            layer = f"encoder.layer.{index}"
            hidden = self._attention(hidden, mask, f"{layer}.attention")
            hidden = self._feed_forward(hidden, layer)
        # The output's name is part of the contract; the last layer's own name is not.
        return self.graph.node("Identity", hidden, name="last_hidden_state")

    def classifier(self, hidden: str) -> None:
        """The head of BertForSequenceClassification: the first token's state, pooled, then one product."""
        first = self.graph.node("Gather", hidden, self.graph.ints("first", [0]), name="first_token", axis=1)
        flat = self.graph.node("Squeeze", first, self.graph.ints("axis_1", [1]), name="first_state")
        pooled = self.graph.node("Tanh", self._linear(flat, "pooler", ["pooler.dense"]), name="pooled")
        self._linear(pooled, "logits", ["classifier"], head=True)

    def tagger(self, hidden: str) -> None:
        """The head of BertForTokenClassification: one product for every token."""
        self._linear(hidden, "logits", ["classifier"], head=True)

    def _embeddings(self) -> str:
        graph = self.graph
        words = graph.node("Gather", self._plain("embeddings.word_embeddings.weight"), "input_ids", name="words")
        types = graph.node("Gather", self._plain("embeddings.token_type_embeddings.weight"), "token_type_ids", name="types")
        length = graph.node("Shape", "input_ids", name="length", start=1, end=2)
        table = self._plain("embeddings.position_embeddings.weight")
        positions = graph.node("Slice", table, graph.ints("zero", [0]), length, graph.ints("axis_0", [0]), name="positions")
        total = graph.node("Add", graph.node("Add", words, types, name="words_types"), positions, name="embedded")
        return self._normalize(total, "embeddings.LayerNorm")

    def _mask(self) -> str:
        """What is added to the attention scores: 0 for a token, the lowest float for padding; finite, so only padding gives no NaN."""
        graph = self.graph
        wide = graph.node("Unsqueeze", "attention_mask", graph.ints("axes_1_2", [1, 2]), name="mask_wide")
        seen = graph.node("Cast", wide, name="mask_seen", to=TensorProto.BOOL)
        lowest = graph.scalar("lowest", float(np.finfo(np.float32).min))
        return graph.node("Where", seen, graph.scalar("nothing", 0.0), lowest, name="mask")

    def _attention(self, hidden: str, mask: str, layer: str) -> str:
        graph, size = self.graph, self._bert.hidden // self._bert.heads
        joined = self._linear(hidden, f"{layer}.qkv", [f"{layer}.self.{part}" for part in ("query", "key", "value")])
        heads = graph.ints("shape_heads", [0, 0, self._bert.heads, size])
        parts = graph.split(joined, [f"{layer}.{part}" for part in ("query", "key", "value")], axis=-1)
        query, key, value = (
            graph.node("Transpose", graph.node("Reshape", part, heads, name=f"{part}.heads"), name=f"{part}.turned", perm=turn)
            for part, turn in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scores = graph.node("MatMul", query, key, name=f"{layer}.scores")
        scaled = graph.node("Mul", scores, graph.scalar("scale", size**-0.5), name=f"{layer}.scaled")
        chances = graph.node("Softmax", graph.node("Add", scaled, mask, name=f"{layer}.masked"), name=f"{layer}.chances", axis=-1)
        mixed = graph.node("MatMul", chances, value, name=f"{layer}.mixed")
        back = graph.node("Transpose", mixed, name=f"{layer}.back", perm=[0, 2, 1, 3])
        flat = graph.node("Reshape", back, graph.ints("shape_flat", [0, 0, self._bert.hidden]), name=f"{layer}.flat")
        out = self._linear(flat, f"{layer}.output.dense", [f"{layer}.output.dense"])
        return self._normalize(graph.node("Add", out, hidden, name=f"{layer}.sum"), f"{layer}.output.LayerNorm")

    def _feed_forward(self, hidden: str, layer: str) -> str:
        graph = self.graph
        wide = self._linear(hidden, f"{layer}.intermediate", [f"{layer}.intermediate.dense"])
        active = self._activate(wide, f"{layer}.active")
        narrow = self._linear(active, f"{layer}.narrow", [f"{layer}.output.dense"])
        return self._normalize(graph.node("Add", narrow, hidden, name=f"{layer}.sum"), f"{layer}.output.LayerNorm")

    def _activate(self, value: str, name: str) -> str:
        if self._bert.activation == "relu":
            return self.graph.node("Relu", value, name=name)
        approximate = "tanh" if self._bert.activation == "gelu-tanh" else "none"
        return self.graph.node("Gelu", value, name=name, approximate=approximate)

"""The served graph against the original model, before anything is published."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from pilotlight.packaging.errors import PackagingError

# The promise of the served numbers: at most this far from transformers on the same model.
TOLERANCE = 1e-4
# One word, none, several scripts, signs outside the basic plane, words that no vocabulary holds, and one text over every limit.
TEXTS = (
    "hello",
    "",
    "Scale to zero, then answer the first request quickly.",
    "Grüße aus München, Zürich und Århus",
    "機械学習モデルを配備する",
    "نموذج صغير يجيب بسرعة",
    "Pneumonoultramicroscopicsilicovolcanoconiosis? 3.14159 × 2 ≈ 6.28!! 🚀",
    "The quick brown fox jumps over the lazy dog; " * 80,
)
# task -> the name of the graph's first output and the number of its dimensions.
OUTPUTS = {
    "feature-extraction": ("last_hidden_state", 3),
    "sentence-embedding": ("last_hidden_state", 3),
    "text-classification": ("logits", 2),
    "zero-shot-classification": ("logits", 2),
    "token-classification": ("logits", 3),
}
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Array = npt.NDArray[Any]
Reference = Callable[[list[int]], npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """`measured` is the largest absolute difference, `bound` the power of ten above it, which goes into the manifest.

    The last digits of a float32 sum differ between processors; the artifact's bytes must not.
    """

    reference: str
    samples: int
    measured: float | None

    @property
    def bound(self) -> float | None:
        if self.measured is None or self.measured == 0:
            return self.measured
        return float(f"1e{math.ceil(math.log10(self.measured))}")

    def manifest(self) -> dict[str, Any]:
        return {"reference": self.reference, "max_abs_difference": self.bound, "samples": self.samples}


class Graph:
    """A loaded ONNX graph of a task. Raises PackagingError when it doesn't load or has other inputs or outputs than the task's."""

    def __init__(self, path: Path, task: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # The library's exceptions share no base below Exception.
        except Exception as error:
            raise PackagingError(f"{path} does not load: {error}") from error
        self._path = path
        self._output, self._rank = OUTPUTS[task]
        self.inputs = [item.name for item in self._session.get_inputs()]
        outputs = {item.name: item for item in self._session.get_outputs()}
        if not {"input_ids", "attention_mask"} <= set(self.inputs) <= set(INPUTS):
            raise PackagingError(f"{path} takes {', '.join(self.inputs)}: input_ids and attention_mask are needed, token_type_ids may be.")
        if next(iter(outputs)) != self._output or len(outputs[self._output].shape) != self._rank:
            raise PackagingError(
                f"{path} gives {', '.join(outputs)}: {task} needs the output {self._output} with {self._rank} dimensions first."
            )

    def run(self, batch: Sequence[list[int]]) -> list[npt.NDArray[Any]]:
        """One result per text, computed as one padded batch; what is told of each token is cut back to the text's own.

        Raises PackagingError for a graph that takes numbers of another type, or texts of one length only.
        """
        longest = max(len(ids) for ids in batch)
        ids = np.array([text + [0] * (longest - len(text)) for text in batch], np.int64)
        mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in batch], np.int64)
        feed: Mapping[str, npt.NDArray[np.int64]] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            (result,) = self._session.run([self._output], {name: feed[name] for name in self.inputs})
        # The library's exceptions share no base below Exception.
        except Exception as error:
            raise PackagingError(
                f"{self._path} can't compute {len(batch)} x {longest} tokens: {error}. A graph is served that takes int64, texts of any "
                "number and length, and gives float32: export it so."
            ) from error
        if self._rank == 2:
            return list(result)
        return [row[: len(text)] for row, text in zip(result, batch, strict=True)]


def samples(tokenizer: Tokenizer) -> list[list[int]]:
    """The token numbers of the sample texts, cut as the tokenizer says."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(TEXTS)) if encoding.ids]


def check(graph: Graph, batch: list[list[int]], reference: Reference, name: str) -> Parity:
    """Compare text by text, and as padded batches of short texts. Raises PackagingError above the tolerance or for no number at all."""
    expected = [reference(ids) for ids in batch]
    given = [graph.run([ids])[0] for ids in batch]
    short = [index for index, ids in enumerate(batch) if len(ids) <= 64]
    given += graph.run([batch[index] for index in short])
    expected += [expected[index] for index in short]
    if any(one.shape != other.shape for one, other in zip(expected, given, strict=True)):
        raise PackagingError(f"The ONNX graph's result has another shape than the original's ({name}): it belongs to another model.")
    measured = furthest(expected, given)
    # Written so that NaN is refused as well.
    if not measured <= TOLERANCE:
        raise PackagingError(
            f"The ONNX graph is up to {measured:.3g} from the original ({name}), {TOLERANCE:g} is allowed: the artifact was not written. "
            "With a ready ONNX file in the source, remove it to have the graph made from the weights."
        )
    return Parity(reference=name, samples=len(batch), measured=measured)


def furthest(expected: Sequence[npt.NDArray[Any]], given: Sequence[npt.NDArray[Any]]) -> float:
    """The largest absolute difference; no number where one of them has none. Raises ValueError for results of other shapes."""
    if unlike := [(one.shape, other.shape) for one, other in zip(expected, given, strict=True) if one.shape != other.shape]:
        raise ValueError(f"{unlike[0][1]} where {unlike[0][0]} belongs")
    # `max` of Python would pass over what is no number.
    return float(np.max([np.max(np.abs(one - other)) for one, other in zip(expected, given, strict=True)]))

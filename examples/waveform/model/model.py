"""Which shape a wave has: the network of examples/waveform, in ONNX Runtime."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from handlers.engines.cancellation import Cancellation
from handlers.engines.onnx import OnnxEngine

# The graph computes in float32, in which the squares of these are numbers, too.
Sample = Annotated[float, Meta(ge=-1e9, le=1e9)]


@dataclass(frozen=True)
class Wave:
    """Samples at equal distances, a period of 16 to 48 of them."""

    samples: Annotated[list[Sample], Meta(min_length=64, max_length=4096)]


@dataclass(frozen=True)
class Told:
    """The most likely shape, and how likely each is."""

    shape: str
    scores: dict[str, float]


class Model:
    """One pass of the graph for each wave, since waves may be of different lengths."""

    example = Wave(samples=[1.0] * 16 + [-1.0] * 16 + [1.0] * 16 + [-1.0] * 16)

    def load(self, folder: Path, threads: int) -> None:
        self._engine = OnnxEngine(folder, threads)
        self._labels = json.loads((folder / "labels.json").read_text())
        self.providers = self._engine.providers

    def predict(self, inputs: list[Wave]) -> list[Told]:
        return [self._told(np.array([wave.samples], np.float32)) for wave in inputs]

    def _told(self, samples: np.ndarray) -> Told:
        (logits,) = self._engine.infer({"samples": samples}, Cancellation())
        shares = np.exp(logits - logits.max())
        scores = dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))
        return Told(shape=max(scores, key=scores.__getitem__), scores=scores)

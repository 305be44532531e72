"""Engine `torch`: the BERT family straight from safetensors, without importing transformers (5 s of a cold start)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handlers.engines import device
from handlers.engines.bert import Bert, BertConfig
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import ModelError

Array = np.ndarray[Any, Any]


class TorchEngine:
    """One model, used by one thread at a time: on a GPU where there is one, else in memory-mapped weights on the CPU.

    `providers`, `batches`, `pads` and `on_gpu` as engine `onnx` has them.
    """

    batches, pads = True, True

    def __init__(self, folder: Path, threads: int, *, classifies: bool) -> None:
        """`classifies` adds the classification head. Raises ModelError when a file can't be read or a weight is missing."""
        torch.set_num_threads(threads)
        self._device = device.found()
        self.providers, self.on_gpu = (self._device.type,), self._device.type == device.GPU
        config_path, weights_path = folder / "config.json", folder / "model.safetensors"
        try:
            config = BertConfig.from_values(json.loads(config_path.read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{config_path} is not a configuration that engine torch serves: {error}") from error
        try:
            self._model = Bert(config, device.weights_of(weights_path, self._device), classifies=classifies)
        except KeyError as error:
            raise ModelError(f"{weights_path} has no weight {error}: is it a model for this task?") from error

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array:
        """The last hidden state or the logits for texts of one length, shape (texts, …), float32; `mask` is 1 where a token is, 0 where
        padding. Raises Cancelled when it was given up, ValueError for a token that the model has no weights for."""
        self._model.check(int(tokens.max()), int(types.max()), tokens.shape[1])
        with device.computing(self._device):
            seen = None if mask is None else torch.from_numpy(mask).to(self._device).bool()
            output = self._model(
                torch.from_numpy(tokens).to(self._device), torch.from_numpy(types).to(self._device), cancellation.check, seen
            )
            return device.numbers(output)

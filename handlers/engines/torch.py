"""Engine `torch`: the BERT family straight from safetensors, without importing transformers (5 s of a cold start)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from handlers.engines import weights
from handlers.engines.bert import Bert, BertConfig
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import ModelError

Array = np.ndarray[Any, Any]


class TorchEngine:
    """One model in memory-mapped weights, used by one thread at a time."""

    providers = ("cpu",)
    batches, pads, on_gpu = True, True, False

    def __init__(self, folder: Path, threads: int, *, classifies: bool) -> None:
        """`classifies` adds the classification head. Raises ModelError when a file can't be read or a weight is missing."""
        torch.set_num_threads(threads)
        config_path, weights_path = folder / "config.json", folder / "model.safetensors"
        try:
            config = BertConfig.from_values(json.loads(config_path.read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{config_path} is not a configuration that engine torch serves: {error}") from error
        try:
            self._model = Bert(config, weights.load(weights_path), classifies=classifies)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{weights_path} can't be loaded: {error}") from error
        except KeyError as error:
            raise ModelError(f"{weights_path} has no weight {error}: is it a model for this task?") from error

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array:
        """The last hidden state or the logits for texts of one length, shape (texts, …), float32; `mask` is 1 where a token is, 0 where
        padding. Raises Cancelled when it was given up."""
        seen = None if mask is None else torch.from_numpy(mask).bool()
        with torch.inference_mode():
            output = self._model(torch.from_numpy(tokens), torch.from_numpy(types), cancellation.check, seen)
        return np.asarray(output.numpy(), dtype=np.float32)

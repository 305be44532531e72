"""Engine `torch` by all of transformers, for encoders that can't be made a program when they are packaged: its import takes seconds of
every cold start."""

import inspect
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from handlers.engines import device
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError

# Read when it is imported: whatever a configuration names, nothing is fetched.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import transformers  # type: ignore[import-not-found]
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    raise ModelError(
        "This model is computed by transformers, which this image does not carry: build the target gpu-torch again, whose requirements "
        "(containers/requirements/gpu-torch.in) have it, or package the model for engine onnx."
    ) from error

Array = np.ndarray[Any, Any]
_CLASSIFIER = "AutoModelForSequenceClassification"
_KINDS = {
    "text-classification": _CLASSIFIER,
    "zero-shot-classification": _CLASSIFIER,
    "token-classification": "AutoModelForTokenClassification",
}


class TransformersEngine:
    """One model, used by one thread at a time: in float32 on a CPU, on a GPU where there is one in the type of its weights.

    `providers`, `batches`, `pads` and `on_gpu` as engine `onnx` has them.
    """

    batches = True

    def __init__(self, folder: Path, threads: int, manifest: Manifest) -> None:
        """Raises ModelError when transformers refuses the files, for code of the model's own, and where the weights are others'."""
        torch.set_num_threads(threads)
        self.pads = manifest.pads
        self._device = device.found()
        self.providers, self.on_gpu = (self._device.type,), self._device.type == device.GPU
        _require_plain(folder)
        try:
            self._load(folder, manifest)
        except ModelError:
            raise
        except Exception as error:  # it raises whatever the architecture's code does
            raise ModelError(f"{folder} can't be loaded by transformers ({type(error).__name__}: {error})") from error

    def _load(self, folder: Path, manifest: Manifest) -> None:
        model = _loaded(folder, manifest.task, "auto" if self.on_gpu else torch.float32).to(self._device)
        self._model, self._most = model, manifest.max_tokens
        self._output = "logits" if manifest.task in _KINDS else "last_hidden_state"
        self._words = int(model.get_input_embeddings().weight.shape[0])
        told = getattr(model.config, "type_vocab_size", None) or 0
        self._types = int(told) if told > 1 and "token_type_ids" in inspect.signature(model.forward).parameters else None
        filled = getattr(model.config, "pad_token_id", None)
        self._padding = filled if isinstance(filled, int) and 0 <= filled < self._words else 0
        self._cancellation = Cancellation()
        for layers in model.modules():
            for layer in layers if isinstance(layers, nn.ModuleList) else ():
                layer.register_forward_pre_hook(lambda *_: self._cancellation.check())

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array:
        """The last hidden state or the logits for texts of one length, shape (texts, …), float32; `mask` is 1 where a token is, 0 where
        padding. Raises Cancelled when it was given up, ValueError for a token that the model has no weights for."""
        self._check(tokens, types)
        self._cancellation = cancellation
        cancellation.check()
        seen = np.ones_like(tokens) if mask is None else mask
        given = {"input_ids": np.where(seen == 0, self._padding, tokens), "attention_mask": seen}
        given |= {} if self._types is None else {"token_type_ids": types}
        with device.computing(self._device):
            output = self._model(**{name: torch.from_numpy(each).to(self._device) for name, each in given.items()})
            return device.numbers(getattr(output, self._output))

    def _check(self, tokens: Array, types: Array) -> None:
        """Before anything is computed: on a GPU to read beyond a table is an error that no later computation of the process gets over."""
        told = [("token", int(tokens.max()), self._words), ("position", tokens.shape[1] - 1, self._most)]
        told += [] if self._types is None else [("type", int(types.max()), self._types)]
        for what, wanted, rows in told:
            if wanted >= rows:
                raise ValueError(f"{what} {wanted} is beyond the {rows} that the model has: its tokenizer is of another model")


def _require_plain(folder: Path) -> None:
    """Raises ModelError for a configuration that asks for code."""
    try:
        asks = json.loads((folder / "config.json").read_text()).get("auto_map")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} is no configuration: {error}") from error
    if asks:
        raise ModelError(f"{folder / 'config.json'} asks for Python code of the model's own (auto_map), which is never run.")


def _loaded(folder: Path, task: str, dtype: Any) -> Any:
    """The model, all of its weights from the file: transformers would fill a missing one with random numbers."""
    kind = getattr(transformers, _KINDS.get(task, "AutoModel"))
    settings = {"dtype": dtype, "local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    # Named, so that no configuration chooses one that would have to be fetched.
    try:
        model, report = kind.from_pretrained(folder, attn_implementation="sdpa", **settings)
    except ValueError:
        model, report = kind.from_pretrained(folder, attn_implementation="eager", **settings)
    # The pooler takes no part in the last hidden state, nor in what is told of each token.
    missing = [name for name in report["missing_keys"] if _KINDS.get(task) == _CLASSIFIER or "pooler" not in name]
    if lacking := [str(each) for each in (*missing, *report["mismatched_keys"])]:
        raise ModelError(f"{folder / 'model.safetensors'} lacks or misfits {', '.join(lacking[:3])}: it is of another model.")
    return model.eval()

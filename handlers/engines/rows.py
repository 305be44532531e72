"""Keys and values of the rows that are generated: each reads its prompt by itself, then all go on together, a token each at a time."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handlers.engines import device
from handlers.engines.llama import Llama, LlamaConfig
from handlers.engines.manifest import ModelError

Array = np.ndarray[Any, Any]
# What the table of a batch grows by, in places: seldom enough, and little more than is used.
_GROWTH = 64


class Read:
    """A prompt under way: its keys and values by layer, (1, heads, tokens, width)."""

    def __init__(self, layers: int) -> None:
        self.layers: list[tuple[Tensor, Tensor] | None] = [None] * layers
        self.length = 0

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        before = self.layers[layer]
        now = (keys, values) if before is None else (torch.cat((before[0], keys), dim=2), torch.cat((before[1], values), dim=2))
        self.layers[layer] = now
        return now


class TorchGenerator:
    """A model that continues texts, used by one thread at a time, on a GPU where there is one. Its rows are numbered from 0 on, without a
    gap."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Raises ModelError when a file can't be read, or is not what the other says."""
        torch.set_num_threads(threads)
        self._device = device.found()
        self.providers = (self._device.type,)
        config_path, weights_path = folder / "config.json", folder / "model.safetensors"
        try:
            config = LlamaConfig.from_values(json.loads(config_path.read_text()))
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            raise ModelError(f"{config_path} is not a configuration that engine torch serves: {error}") from error
        try:
            self._model = Llama(config, device.weights_of(weights_path, self._device))
        except KeyError as error:
            raise ModelError(f"{weights_path} has no weight {error}: is it a model for this task?") from error
        except ValueError as error:
            raise ModelError(f"{weights_path} does not fit config.json: {error}.") from error
        self._lengths: list[int] = []
        # (layers, keys and values, rows, heads, places, width)
        self._table = self._empty(0, 0)

    @property
    def words(self) -> int:
        """How many different tokens it knows."""
        return self._model.words

    def begin(self) -> Read:
        return Read(self._model.config.layers)

    def read(self, prompt: Read, tokens: Sequence[int], check: Callable[[], None]) -> Array:
        """Read more of a prompt; the logits behind its last token, (words,). `check` may raise between layers: then the prompt is lost."""
        first, count = prompt.length, len(tokens)
        with device.computing(self._device):
            positions = torch.arange(first, first + count, device=self._device)
            mask = None if count == 1 else torch.arange(first + count, device=self._device)[None] <= positions[:, None]
            logits = device.numbers(self._model(self._told([tokens]), positions[None], prompt.keep, mask, check))
        prompt.length += count
        last: Array = logits[0]
        return last

    def join(self, prompt: Read) -> None:
        """The prompt as the next row of the batch."""
        row = len(self._lengths)
        with device.computing(self._device):
            self._require(row + 1, prompt.length + 1)
            for layer, kept in enumerate(prompt.layers):
                assert kept is not None  # it was read
                for place, tensor in enumerate(kept):
                    self._table[layer, place, row, :, : prompt.length] = tensor[0]
        self._lengths.append(prompt.length)

    def leave(self, row: int) -> None:
        """The row is over: the last one takes its number."""
        last = len(self._lengths) - 1
        with device.computing(self._device):
            # What it left behind may be numbers that are none, which a shorter row in its place would take part in behind its end.
            self._table[:, :, row, :, : self._lengths[row]] = 0
            if row != last:
                length = self._lengths[last]
                self._table[:, :, row, :, :length] = self._table[:, :, last, :, :length]
                self._table[:, :, last, :, :length] = 0
                self._lengths[row] = length
            self._lengths.pop()
            if not self._lengths:
                self._table = self._empty(0, 0)

    def step(self, tokens: Sequence[int]) -> Array:
        """The next token of each row; the logits behind them, (rows, words)."""
        with device.computing(self._device):
            logits = self._computed(tokens)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _computed(self, tokens: Sequence[int]) -> Array:
        lengths = self._told(self._lengths)
        rows, most = len(tokens), max(self._lengths) + 1
        self._require(rows, most)
        every = torch.arange(rows, device=self._device)
        # A row that is shorter than the longest must not look at what is behind its end.
        mask = (
            None
            if min(self._lengths) + 1 == most
            else (torch.arange(most, device=self._device)[None] <= lengths[:, None])[:, None, None, :]
        )

        def keep(layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            table = self._table[layer]
            table[0][every, :, lengths], table[1][every, :, lengths] = keys[:, :, 0], values[:, :, 0]
            return table[0, :rows, :, :most], table[1, :rows, :, :most]

        return device.numbers(self._model(self._told(tokens)[:, None], lengths[:, None], keep, mask, lambda: None))

    def _require(self, rows: int, places: int) -> None:
        """Make the table large enough, and keep what is in it."""
        have_rows, have_places = self._table.shape[2], self._table.shape[4]
        if rows <= have_rows and places <= have_places:
            return
        more = max(places + _GROWTH, have_places * 5 // 4) if places > have_places else have_places
        grown = self._empty(max(rows, have_rows), more)
        grown[:, :, :have_rows, :, :have_places] = self._table
        self._table = grown

    def _empty(self, rows: int, places: int) -> Tensor:
        # Zeros, as behind the end of every row: what is masked still takes part, and nothing times a number that is none is none.
        config = self._model.config
        sizes = (config.layers, 2, rows, config.kv_heads, places, config.width)
        return torch.zeros(sizes, dtype=self._model.dtype, device=self._device)

    def _told(self, numbers: Sequence[Any]) -> Tensor:
        return torch.tensor(numbers, device=self._device)

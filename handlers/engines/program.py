"""Engine `torch` by a program: encoders of every architecture, without importing transformers, which made the program when the model was
packaged, or `torch.export`, which traced it (`docs/decisions/0028-programs-of-torch.md`)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from handlers.engines import device
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import PROGRAM_FILE, ModelError
from handlers.engines.program_calls import Call, Value
from handlers.engines.program_file import Program, ProgramError, read_program

Array = np.ndarray[Any, Any]
_WORDS, _TYPES = 0, 2
# Calls between two looks at whether anybody waits: some of a layer's.
_LOOK_EVERY = 16


class ProgramEngine:
    """One model, used by one thread at a time, on a GPU where there is one, in the type of its weights: float32 as they are packaged.

    `providers`, `batches`, `pads` and `on_gpu` as engine `onnx` has them.
    """

    batches = True

    def __init__(self, folder: Path, threads: int, *, pads: bool = True) -> None:
        """Raises ModelError when a file can't be read, for a program that may not be computed, and where the weights are others'."""
        torch.set_num_threads(threads)
        self.pads = pads
        self._device = device.found()
        self.providers, self.on_gpu = (self._device.type,), self._device.type == device.GPU
        try:
            program = read_program(folder / PROGRAM_FILE, self._device)
        except (OSError, ProgramError) as error:
            raise ModelError(f"{folder / PROGRAM_FILE} is no program that engine torch computes: {error}.") from error
        weights = weights_of(folder / "model.safetensors", self._device)
        if missing := [name for name in program.weights if name not in weights]:
            raise ModelError(f"{folder / 'model.safetensors'} has no weight {', '.join(missing[:3])}: it is of another model.")
        _check_tables(program, weights, folder)
        self._program, self._weights = program, [weights[name] for name in program.weights]

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array:
        """The last hidden state or the logits for texts of one length, shape (texts, …), float32; `mask` is 1 where a token is, 0 where
        padding. Raises Cancelled when it was given up, ValueError for a token that the model has no weights for."""
        self._check(tokens, types)
        if mask is None:
            seen = np.ones_like(tokens)
        else:  # some models look for where a text ends by the token behind it
            seen, tokens = mask, np.where(mask == 0, self._program.padding, tokens)
        inputs = [torch.from_numpy(each) for each in (tokens, seen, types)[: len(self._program.inputs)]]
        with device.computing(self._device):
            values: list[Any] = [each.to(self._device) for each in inputs] + self._weights
            return device.numbers(compute(self._program, values, cancellation.check))

    def _check(self, tokens: Array, types: Array) -> None:
        """Before anything is computed: on a GPU to read beyond a table is an error that no later computation of the process gets over."""
        limits = self._program.limits
        told = [("token", int(tokens.max()), limits.words), ("position", tokens.shape[1] - 1, limits.tokens)]
        told += [] if limits.types is None else [("type", int(types.max()), limits.types)]
        for what, wanted, rows in told:
            if wanted >= rows:
                raise ValueError(f"{what} {wanted} is beyond the {rows} that the model has: its tokenizer is of another model")
        if tokens.min() < 0 or types.min() < 0:
            raise ValueError("tokens and types are numbers from 0 on")


def compute(program: Program, values: list[Any], check: Callable[[], None]) -> Tensor:
    """The output of a program for its inputs and weights, which are `values`. What `check` raises ends it.

    Raises ValueError where it gives no tensor, and what an operator raises.
    """
    first = len(values)
    values = values + [None] * len(program.calls)
    for index, call in enumerate(program.calls):
        if not index % _LOOK_EVERY:
            check()
        values[first + index] = call.operator.call(*_filled(call.given, values), **_named(call, values))
        for number in call.over:
            values[number] = None
    output = values[program.output]
    if not isinstance(output, Tensor):
        raise ValueError(f"the program gives no tensor: {program.calls[program.output - first].name}")
    return output


def _filled(given: tuple[Any, ...] | list[Any], values: list[Any]) -> list[Any]:
    return [
        values[each.number] if type(each) is Value else _filled(each, values) if type(each) is list else each  # a call each is too slow
        for each in given
    ]


def _named(call: Call, values: list[Any]) -> Mapping[str, Any]:
    if not call.named:
        return call.named
    return dict(zip(call.named, _filled(list(call.named.values()), values), strict=True))


def weights_of(path: Path, where: torch.device) -> dict[str, Tensor]:
    """All tensors of a file, there. Raises ModelError where they can't be loaded."""
    weights = device.weights_of(path, where)
    if where.type == device.GPU:  # whose loader leaves out what is no number with a point, and a program has tables of such
        with safe_open(path, framework="pt") as file:
            for name in set(file.keys()) - set(weights):
                weights[name] = file.get_tensor(name).to(where)
    return weights


def _check_tables(program: Program, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Raises ModelError where an input chooses from a table that has fewer rows than the program's limits say."""
    first, rows = len(program.inputs), {_WORDS: program.limits.words, _TYPES: program.limits.types}
    for call in program.calls:
        if call.name != "aten.embedding.default" or len(call.given) < 2:
            continue
        table, chosen = call.given[:2]
        if not isinstance(table, Value) or not first <= table.number < first + len(program.weights) or not isinstance(chosen, Value):
            continue
        found = len(weights[program.weights[table.number - first]])
        if (limit := rows.get(chosen.number)) is not None and found < limit:
            raise ModelError(f"{folder / PROGRAM_FILE} says {limit} rows of a table that has {found}: package the model again.")

"""Texts and outputs as tensors of the Open Inference Protocol: the JSON of both, and the binary extension."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handlers.functions.problems import InputRefused, MalformedBody
from handlers.functions.requests import of_texts
from handlers.functions.wording import clipped, kind, shown
from handlers.server.contracts.fields import fields_of, object_in
from handlers.server.forms import Predicted, dumped

INPUT = "inputs"
# Task -> output -> datatype and shape; -1 is as many as there are. A task without a row answers JSON, a text for each input.
_OUTPUTS: dict[str, dict[str, tuple[str, list[int]]]] = {
    "feature-extraction": {"outputs": ("FP32", [-1, -1, -1])},
    "sentence-embedding": {"outputs": ("FP32", [-1, -1])},
    "text-classification": {"label": ("BYTES", [-1]), "score": ("FP32", [-1])},
}
_JSON_OUTPUT = {"outputs": ("BYTES", [-1])}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """`data` is flat, row after row: numbers, or texts for BYTES."""

    datatype: str
    shape: Sequence[int]
    data: Any

    def binary(self) -> bytes:
        """As the binary extension has it: numbers in little-endian, texts with their lengths in front."""
        if self.datatype == "FP32":
            return np.asarray(self.data, dtype="<f4").tobytes()
        return b"".join(_LENGTH.pack(len(text)) + text for text in (item.encode() for item in self.data))


def outputs_of(task: str) -> Mapping[str, tuple[str, list[int]]]:
    """The outputs of a model: datatype and shape by name."""
    return _OUTPUTS.get(task, _JSON_OUTPUT)


def texts(inputs: object, tail: bytes, max_inputs: int) -> tuple[str, ...]:
    """The texts of the one input, from its JSON or from what comes behind it. Raises InputRefused, MalformedBody."""
    if not isinstance(inputs, list) or len(inputs) != 1:
        came = f"a list of {len(inputs)}" if isinstance(inputs, list) else kind(inputs)
        raise InputRefused(f"'inputs' is {came}: send a list of one tensor, {INPUT!r}.")
    tensor = fields_of(inputs[0], "'inputs[0]'", required=("name", "shape", "datatype"), allowed=("parameters", "data"))
    if tensor["name"] != INPUT or tensor["datatype"] != "BYTES":
        raise InputRefused(f"'inputs[0]' has another name or datatype: this model has one input, {INPUT!r}, of datatype 'BYTES'.")
    count = _count(tensor["shape"], max_inputs)
    parameters = fields_of(object_in(tensor, "parameters"), "'inputs[0].parameters'", required=(), allowed=("binary_data_size",))
    if "binary_data_size" in parameters:
        if "data" in tensor:
            raise InputRefused("'inputs[0]' has 'data' and 'binary_data_size': send one of them.")
        found = _unpacked(tail, parameters["binary_data_size"], max_inputs)
    elif tail:
        raise InputRefused(f"{len(tail)} bytes come behind the JSON, and 'inputs[0].parameters' has no 'binary_data_size'.")
    else:
        found = _flat(tensor.get("data"))
    if len(found) != count:
        raise InputRefused(f"'inputs[0]' has {len(found)} texts, and its shape says {count}.")
    return of_texts(found, {}, max_inputs=max_inputs, name="inputs[0].data").texts


def made(predicted: Predicted) -> dict[str, Tensor]:
    """The outputs of a prediction by name. Raises InputRefused where they have no one shape."""
    task, outputs = predicted.manifest.task, predicted.outputs
    if task == "text-classification":
        return _labelled(outputs)
    if task not in _OUTPUTS:
        return {"outputs": Tensor("BYTES", [len(outputs)], [dumped(output).decode() for output in outputs])}
    arrays = [np.asarray(output, dtype=np.float32) for output in outputs]
    if len({array.shape for array in arrays}) > 1:
        raise InputRefused("The outputs of these texts differ in length, and a tensor has one shape: send them one by one.")
    # Features come as (1, tokens, hidden) for each text.
    whole = np.concatenate(arrays) if task == "feature-extraction" else np.stack(arrays)
    return {"outputs": Tensor("FP32", list(whole.shape), whole.ravel())}


def _labelled(outputs: Sequence[Any]) -> dict[str, Tensor]:
    rows = [output if isinstance(output, list) else [output] for output in outputs]
    shape = [len(rows)] if isinstance(outputs[0], dict) else [len(rows), len(rows[0])]
    scores = [each for row in rows for each in row]
    return {
        "label": Tensor("BYTES", shape, [score["label"] for score in scores]),
        "score": Tensor("FP32", shape, [score["score"] for score in scores]),
    }


def _count(shape: object, max_inputs: int) -> int:
    allowed = f"send [n] or [n, 1], with n from 1 to {max_inputs}"
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or not all(type(side) is int for side in shape):
        raise InputRefused(f"'inputs[0].shape' is {kind(shape)}: {allowed}.")
    if not 1 <= shape[0] <= max_inputs or shape[1:] not in ([], [1]):
        raise InputRefused(f"'inputs[0].shape' is {clipped(str(shape))}: {allowed}.")
    return int(shape[0])


def _flat(data: object) -> list[object]:
    if not isinstance(data, list):
        raise InputRefused(f"'inputs[0].data' is {kind(data)}: send a list of texts.")
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]


def _unpacked(tail: bytes, size: object, max_inputs: int) -> list[object]:
    if type(size) is not int or size != len(tail):
        raise InputRefused(f"'binary_data_size' is {shown(size)}, and {len(tail)} bytes come behind the JSON.")
    found: list[object] = []
    place = 0
    while place < len(tail) and len(found) <= max_inputs:
        if place + _LENGTH.size > len(tail) or place + _LENGTH.size + _LENGTH.unpack_from(tail, place)[0] > len(tail):
            raise MalformedBody(f"The text at byte {place} of the binary tensor is longer than what is left of it.")
        end = place + _LENGTH.size + _LENGTH.unpack_from(tail, place)[0]
        try:
            found.append(tail[place + _LENGTH.size : end].decode())
        except UnicodeDecodeError as error:
            raise MalformedBody(f"The text at byte {place} of the binary tensor is not UTF-8.") from error
        place = end
    return found

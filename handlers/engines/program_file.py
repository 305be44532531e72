"""A packaged program (`program.json`): read strictly, every operator found before anything is computed.

The file is an object: `inputs` and `weights` name the first values, each of `calls` (`[operator, arguments, {name: argument}]`) adds one,
and `output` is the number of the value that is the model's. An argument is a number, a text, null, a list of these, or an object with one
key: `value` (the number of an earlier one), `number` (one that JSON has not), `dtype`, `memory_format`, or `device`, which stands for
wherever the model is served. `padding` is the token that stands where a shorter text has none, `limits` are the tokens of a text, the
rows of the table of words, and those of the table of types where there is one.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from handlers.engines.operators import Operator, OperatorError
from handlers.engines.program_calls import Call, Value, read_call

FORMAT = 1
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# What a model of 48 layers needs is a tenth of it.
_MOST_BYTES, _MOST_CALLS, _MOST_VALUES = 8 << 20, 50_000, 100_000
_LARGEST = 2**63 - 1
_KEYS = {"format", "inputs", "weights", "calls", "output", "padding", "limits"}
_LIMITS = {"tokens", "words", "types"}


class ProgramError(ValueError):
    """What a program says that can't be served: which call, what was found, what is allowed."""


class Limits(NamedTuple):
    """How many tokens a text has at most, and how many words and types the model tells apart; no types: it is given none."""

    tokens: int
    words: int
    types: int | None


class Program(NamedTuple):
    """Values are numbered: the inputs, the weights, then what each call gives."""

    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    calls: tuple[Call, ...]
    output: int
    padding: int
    limits: Limits


def read_program(path: Path, device: torch.device) -> Program:
    """The program of a file, to be computed on a device. Raises OSError, ProgramError."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ProgramError(f"it is larger than {_MOST_BYTES} bytes")
    try:
        said = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise ProgramError("it is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8
        raise ProgramError(f"it can't be read: {error}") from None
    return program_of(said, device)


def program_of(said: Any, device: torch.device) -> Program:
    """The same for what the file says. Raises ProgramError."""
    if not isinstance(said, dict) or set(said) != _KEYS:
        raise ProgramError(f"it needs an object with {', '.join(sorted(_KEYS))}, and nothing else")
    if _number(said["format"], "format") != FORMAT:
        raise ProgramError(f"format {said['format']}: this server reads {FORMAT}, package the model again")
    limits = _limits(said["limits"])
    inputs = _names(said["inputs"], "inputs")
    if inputs != INPUTS[: len(inputs)] or len(inputs) < 2 or (len(inputs) == 3) != (limits.types is not None):
        raise ProgramError(f"inputs {', '.join(inputs)}: input_ids and attention_mask are needed, token_type_ids with limits of types")
    weights = _names(said["weights"], "weights")
    calls = said["calls"]
    if not isinstance(calls, list) or not 1 <= len(calls) <= _MOST_CALLS:
        raise ProgramError(f"calls are a list of 1 to {_MOST_CALLS}")
    first = len(inputs) + len(weights)
    output = _number(said["output"], "output")
    if not first <= output < first + len(calls):
        raise ProgramError(f"output {output}: it is what a call gives, {first} to {first + len(calls) - 1}")
    padding = _number(said["padding"], "padding")
    if not 0 <= padding < limits.words:
        raise ProgramError(f"padding {padding}: it is one of the words, 0 to {limits.words - 1}")
    known: dict[str, Operator] = {}
    try:
        read = [read_call(call, first + index, known, device) for index, call in enumerate(calls)]
    except OperatorError as error:
        raise ProgramError(str(error)) from None
    return Program(inputs, weights, tuple(_freed(read, output, first)), output, padding, limits)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _limits(said: Any) -> Limits:
    if not isinstance(said, dict) or set(said) != _LIMITS:
        raise ProgramError(f"limits are an object with {', '.join(sorted(_LIMITS))}")
    types = None if said["types"] is None else _number(said["types"], "limits.types")
    found = Limits(_number(said["tokens"], "limits.tokens"), _number(said["words"], "limits.words"), types)
    if any(each is not None and each < 1 for each in found):
        raise ProgramError("limits are 1 or more")
    return found


def _names(said: Any, what: str) -> tuple[str, ...]:
    if not isinstance(said, list) or len(said) > _MOST_VALUES or not all(isinstance(name, str) for name in said):
        raise ProgramError(f"{what} are a list of up to {_MOST_VALUES} names")
    if len(set(said)) != len(said):
        raise ProgramError(f"{what}: a name is there twice")
    return tuple(said)


def _number(said: Any, what: str) -> int:
    if type(said) is not int or abs(said) > _LARGEST:
        raise ProgramError(f"{what}: a whole number is needed, not {type(said).__name__}")
    return said


def _freed(calls: list[Call], output: int, first: int) -> Iterable[Call]:
    """The calls with what is over after each: its own value too, where nobody needs it. Weights and inputs stay."""
    needed = {output}
    for index in range(len(calls) - 1, -1, -1):
        call = calls[index]
        used = {value.number for value in _values(call)}
        over = {number for number in used | {first + index} if number >= first} - needed
        needed |= used
        calls[index] = call._replace(over=tuple(sorted(over)))
    return calls


def _values(call: Call) -> Iterable[Value]:
    for said in (*call.given, *call.named.values()):
        for each in said if isinstance(said, list) else (said,):
            if isinstance(each, Value):
                yield each

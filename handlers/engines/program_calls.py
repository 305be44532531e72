"""The calls of a packaged program, and what each is given: what a call may say, checked before it is called (`program_file.py`)."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from handlers.engines.operators import LARGEST, Argument, Operator, OperatorError, resolve

_LONGEST_LIST = 4096
_NUMBERS = {"inf": float("inf"), "-inf": float("-inf")}
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    )
}
# Of these kinds a call says the name.
_NAMED = ("ScalarType", "Layout", "MemoryFormat", "Device")
_FORMATS = {"contiguous_format": torch.contiguous_format, "preserve_format": torch.preserve_format}


class Value(NamedTuple):
    """Stands for an earlier value, by its number."""

    number: int


class Call(NamedTuple):
    """One step; `given` and `named` hold Values where earlier ones belong, `over` the numbers of those that no later call needs."""

    name: str
    operator: Operator
    given: tuple[Any, ...]
    named: Mapping[str, Any]
    over: tuple[int, ...]


def read_call(said: Any, number: int, known: dict[str, Operator], device: torch.device) -> Call:
    """What is said for the value of that number, where earlier ones can be meant alone; `known` are the operators that were found.
    Raises OperatorError, which names it."""
    if not isinstance(said, list) or len(said) != 3 or not isinstance(said[0], str):
        raise OperatorError(f"value {number}: a call is a list of an operator's name, its arguments, and an object of named ones")
    name, given, named = said
    if not isinstance(given, list) or not isinstance(named, dict):
        raise OperatorError(f"value {number}: {name[:100]} needs a list of arguments and an object of named ones")
    try:
        if name not in known:
            known[name] = resolve(name)
        return _checked(name, known[name], given, named, number, device)
    except OperatorError as error:
        raise OperatorError(f"value {number}: {str(error)[:300]}") from None


def _checked(name: str, found: Operator, given: list[Any], named: dict[str, Any], number: int, device: torch.device) -> Call:
    places = [argument for argument in found.arguments if not argument.keyword]
    by_name = {argument.name: argument for argument in found.arguments[len(given) :]}
    if len(given) > len(places):
        raise OperatorError(f"{name} takes {len(places)} arguments, not {len(given)}")
    if unknown := sorted(set(named) - set(by_name)):
        raise OperatorError(f"{name} takes no {', '.join(unknown)[:100]} by name here")
    values = tuple(_argument(said, argument, name, number, device) for said, argument in zip(given, places, strict=False))
    others = {key: _argument(said, by_name[key], name, number, device) for key, said in named.items()}
    if found.makes and "device" in by_name:
        others["device"] = device
    return Call(name, found, values, others, ())


def _argument(said: Any, argument: Argument, name: str, number: int, device: torch.device, *, within: bool = False) -> Any:
    where = f"{name} ({argument.name})"
    if argument.kind in _NAMED and not isinstance(said, dict | None):
        # To torch they are numbers, of which most are none of its own.
        raise OperatorError(f"{where}: {str(said)[:40]!r} is nothing that it may be given")
    if said is None or isinstance(said, bool):
        return said
    if isinstance(said, int | float):
        # Infinity is said otherwise, and so large a number in digits is one.
        if abs(said) > LARGEST and (isinstance(said, int) or said in (float("inf"), float("-inf"))):
            raise OperatorError(f"{where}: a number is too large")
        return said
    if isinstance(said, str):
        if argument.texts is None or within or not argument.texts.fullmatch(said):
            raise OperatorError(f"{where}: {said[:40]!r} is no text that it may be given")
        return said
    if isinstance(said, list):
        if within or not argument.kind.startswith("List") or len(said) > _LONGEST_LIST:
            raise OperatorError(f"{where}: takes no such list; those it takes hold up to {_LONGEST_LIST} and no lists")
        return [_argument(each, argument, name, number, device, within=True) for each in said]
    return _object(said, argument, where, number, device)


def _object(said: dict[str, Any], argument: Argument, where: str, number: int, device: torch.device) -> Any:
    (key, value), *others = said.items() or [("", None)]
    if others:
        key = ""
    if key == "value" and argument.kind not in _NAMED:
        if type(value) is not int or not 0 <= value < number:
            raise OperatorError(f"{where}: value {str(value)[:40]} is none of those before, 0 to {number - 1}")
        return Value(value)
    for kind, name, table in (
        ("ScalarType", "dtype", _DTYPES),
        ("MemoryFormat", "memory_format", _FORMATS),
        ("number", "number", _NUMBERS),
    ):
        if key == name and isinstance(value, str) and value in table and (argument.kind == kind or (key == "number" and _counts(argument))):
            return table[value]
    if key == "device" and value is None and argument.kind == "Device":
        return device
    raise OperatorError(f"{where}: {json.dumps(said)[:60]} is nothing that it may be given")


def _counts(argument: Argument) -> bool:
    return argument.kind in ("float", "number", "Tensor")

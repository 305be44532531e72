"""Values of a model of one's own: objects of its types out of JSON, and JSON out of what it gives; the schemas of both."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

# What no default can be missing in.
_SIMPLE = {str, int, float, bool, type(None)}
_KNOWN = "dataclasses, TypedDicts, msgspec.Structs, texts, numbers, booleans, enums of texts or whole numbers, lists and dicts of them, Any"


def reader(kind: Any) -> Callable[[object], Any]:
    """What makes the object of a type from JSON. It raises msgspec.ValidationError."""
    # An object's names are texts in JSON, whatever they are in Python.
    convert: Callable[[object], Any] = functools.partial(msgspec.convert, type=kind, str_keys=True)
    if not _has_defaults(kind, []):
        return convert

    def whole(value: object) -> Any:
        found = convert(value)
        _complete(found)
        return found

    return whole


def plain(value: object) -> Any:
    """The JSON of an object, of numbers and arrays of numpy too. Raises NotImplementedError, TypeError for what has none."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_of_numpy)


def schemas(kinds: Sequence[Any], ref_template: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """A JSON Schema for each type, and the components that they name. Raises TypeError with what is allowed for a type that has none."""
    try:
        return msgspec.json.schema_components(kinds, schema_hook=_of_any, ref_template=ref_template)
    except TypeError as error:
        told = str(error).splitlines()[-1]
        raise TypeError(f"{told}: use {_KNOWN}; arrays of numpy are given as list[float], list[list[float]] and so on") from error


def _has_defaults(kind: Any, seen: list[Any]) -> bool:
    """Whether a default of a dataclass can be missing in an object of this type: to look for one takes as long as to make the object."""
    if any(kind is each for each in seen):
        return False
    seen.append(kind)
    made = get_origin(kind) or kind
    if dataclasses.is_dataclass(made) and any(field.default is not dataclasses.MISSING for field in dataclasses.fields(made)):
        return True
    hints = get_type_hints(made).values() if isinstance(made, type) and getattr(made, "__annotations__", None) else ()
    return any(_has_defaults(each, seen) for each in (*get_args(kind), *hints))


def _complete(value: object) -> None:
    """Put the defaults of dataclasses into their instances: msgspec leaves them with the class, and does not look for them there when it
    makes JSON of an instance."""
    items: Iterable[object]
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    elif isinstance(value, msgspec.Struct):
        items = [getattr(value, name) for name in value.__struct_fields__]
    elif dataclasses.is_dataclass(value):
        # One with slots has no defaults to miss.
        own = getattr(value, "__dict__", {})
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        items = [own.setdefault(name, getattr(value, name)) for name in names]
    else:
        return
    # Long lists are of numbers, mostly.
    if not set(map(type, items)) <= _SIMPLE:
        for item in items:
            _complete(item)


def _of_any(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "Any JSON value"}
    raise NotImplementedError


def _of_numpy(value: Any) -> Any:
    """A number or an array of numpy as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} is no JSON value")

"""Imports NumPy and tokenizers without what nobody computes with, a quarter of their time: documentation, types for checkers, training.

Whoever asks for these afterwards gets them: the whole modules are imported then. Texts and signatures of NumPy's own functions stay left
out; a model of one's own has the whole libraries.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_DOCUMENTATION = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
_TYPES = "numpy._typing"
_TRAINING = "tokenizers.implementations"


class _AnyArray:
    """Stands for `NDArray[...]` in what NumPy's own functions say that they give."""

    def __class_getitem__(cls, of: object) -> "type[_AnyArray]":
        return cls


class _Absent:
    """Stands for a class that is left out, until the import is over."""


def import_numpy() -> None:
    """NumPy as it is where it was imported before."""
    if "numpy" in sys.modules:
        return
    types = ModuleType(_TYPES)
    # The other is for what another version of NumPy takes from there.
    types.__dict__.update(NDArray=_AnyArray, __getattr__=_of_the_whole)
    with left_out({name: ModuleType(name) for name in _DOCUMENTATION} | {_TYPES: types}):
        importlib.import_module("numpy")


def import_tokenizers() -> None:
    """tokenizers as it is where it was imported before."""
    if "tokenizers" in sys.modules:
        return
    training = ModuleType(_TRAINING)
    training.__dict__["__getattr__"] = _absent
    with left_out({_TRAINING: training}):
        package = importlib.import_module("tokenizers")
    absent = [name for name, value in vars(package).items() if value is _Absent]
    for name in absent:
        delattr(package, name)

    def later(name: str) -> Any:
        if name == _TRAINING.rpartition(".")[2]:
            return importlib.import_module(_TRAINING)
        if name not in absent:
            raise AttributeError(f"module 'tokenizers' has no attribute {name!r}")
        return getattr(importlib.import_module(_TRAINING), name)

    package.__dict__["__getattr__"] = later


def _absent(name: str) -> type[_Absent]:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent


@contextmanager
def left_out(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """In the block these stand in the places of modules that are left out."""
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _of_the_whole(name: str) -> Any:
    if name.startswith("__"):  # asked for by the import itself
        raise AttributeError(name)
    if getattr(sys.modules.get(_TYPES), "NDArray", None) is _AnyArray:
        del sys.modules[_TYPES]
    return getattr(importlib.import_module(_TYPES), name)

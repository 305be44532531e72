"""Imports torch without what no model here computes with, half of its time: kernels for shapes alone, export, quantization, training.

Whoever asks for any of it afterwards gets all of it: it is imported then. A model of one's own has torch as it is.
"""

import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from handlers.functions.later import left_out

# The release of the image's lock. What of another one can be left out is another question, so that it is imported whole.
_RELEASE = "2.10."
# In the order in which torch imports them. They import each other and much else in circles, most of which end in an error in another order.
_LEFT_OUT = (
    "torch.distributions",
    "torch.hub",
    "torch.nested",
    "torch.optim",
    "torch.profiler",
    "torch.ao",
    "torch.nn.intrinsic",
    "torch.nn.qat",
    "torch.nn.quantizable",
    "torch.nn.quantized",
    "torch.quantization",
    "torch.masked",
    "torch.export",
    "torch.func",
    "torch._higher_order_ops",
    "torch._meta_registrations",
)


def import_torch(*, whole: bool = False) -> None:
    """torch as it is where it was imported before, and whole where that is asked for, or it is another release than this is known of."""
    if "torch" in sys.modules:
        if whole:
            _import_rest()
        return
    if whole or not importlib.metadata.version("torch").startswith(_RELEASE):
        importlib.import_module("torch")
        return
    stand_ins = {name: _Later(name) for name in _LEFT_OUT}
    with left_out(stand_ins):
        importlib.import_module("torch")
    for name, stand_in in stand_ins.items():
        parent, _, last = name.rpartition(".")
        package = sys.modules[parent]
        if vars(package).get(last) is stand_in:
            delattr(package, last)
    for parent in {name.rpartition(".")[0] for name in _LEFT_OUT}:
        _give_later(sys.modules[parent])
    sys.meta_path.insert(0, _Rest())


def _give_later(package: ModuleType) -> None:
    """A part of a package that was left out is imported once it is asked for."""
    others = vars(package).get("__getattr__")

    def later(name: str) -> Any:
        part = f"{package.__name__}.{name}"
        if part in _LEFT_OUT:
            return importlib.import_module(part)
        if others is not None:
            return others(name)
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    package.__dict__["__getattr__"] = later


def _import_rest() -> None:
    """All that was left out, if anything was."""
    if pending := [finder for finder in sys.meta_path if isinstance(finder, _Rest)]:
        for finder in pending:
            sys.meta_path.remove(finder)
        for name in _LEFT_OUT:
            importlib.import_module(name)


class _Rest(MetaPathFinder, Loader):
    """Imports all that was left out, once the first module of torch is asked for that is not there."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith("torch."):
            return None
        _import_rest()
        if fullname not in sys.modules:
            return None
        self._found = sys.modules[fullname]
        self._spec = self._found.__spec__
        # What Python takes of a module that has come to be there while it was looked for, and would run a second time by its own.
        self._found.__spec__ = ModuleSpec(fullname, self)
        return self._found.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._found

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Later(ModuleType):
    """Stands for a module: what is taken from it while torch is imported is a function that looks for the real one when it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Only a package has parts.
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by the import itself
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            return functools.partial(_called, self.__name__, name)
        return getattr(importlib.import_module(self.__name__), name)


def _called(module: str, name: str, *arguments: Any, **named: Any) -> Any:
    return getattr(importlib.import_module(module), name)(*arguments, **named)

"""Modules that libraries import at a start and use later, if at all: each is run when something of it is first asked for."""

import importlib.util
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# What an import asks a module itself, and whoever looks through all of them: no reason to run it.
_OF_THE_IMPORT = ("__spec__", "__loader__", "__name__", "__package__", "__path__", "__file__", "__cached__", "__class__")


def later(name: str, **known: Any) -> None:
    """Let a module be imported without being run. `known` is what it has without that, the same as in the module itself.

    A package that is not imported yet does not know it by its attribute then.
    """
    if name in sys.modules:
        return
    spec = _spec(name)
    assert spec is not None  # of the standard library
    made = importlib.util.module_from_spec(spec)
    module = _Later(name)
    ModuleType.__getattribute__(module, "__dict__").update(vars(made))
    _WAITING[module] = _Waiting(spec, known)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


class _Waiting:
    """What is known of a module that is not run yet. Others who ask while it is run wait for the whole of it."""

    def __init__(self, spec: ModuleSpec, known: Mapping[str, Any]) -> None:
        self.spec, self.known = spec, known
        self._lock, self.runs = threading.RLock(), False

    def run(self, module: ModuleType) -> None:
        with self._lock:
            # Its own code may ask for what is not there yet.
            if self.runs or not isinstance(module, _Later):
                return
            self.runs = True
            try:
                assert self.spec.loader is not None
                self.spec.loader.exec_module(module)
                module.__class__ = ModuleType  # type: ignore[assignment]  # as the library's own LazyLoader does
            finally:
                self.runs = False


class _Later(ModuleType):
    """The library's own LazyLoader runs a module as soon as somebody imports it. Once it is run it is a module as others: no `super()`."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _OF_THE_IMPORT:
            waiting = _WAITING[self]
            if name in waiting.known and not waiting.runs:
                return waiting.known[name]
            waiting.run(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # First, since its code would set it once more.
        if name not in _OF_THE_IMPORT:
            _WAITING[self].run(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _WAITING[self].run(self)
        ModuleType.__delattr__(self, name)


_WAITING: dict[ModuleType, _Waiting] = {}


def waits(module: ModuleType) -> bool:
    """Whether it has not been run."""
    return type(module) is _Later


class NothingIs(ModuleType):
    """In the place of a module that is run later, for who asks whether something is of this class of it: nothing is, until then."""

    def __init__(self, module: str, asked: str) -> None:
        super().__init__(module)
        self._asked, self._nobody = asked, type(asked, (), {})

    def __getattr__(self, name: str) -> Any:
        module = sys.modules[self.__name__]
        return self._nobody if name == self._asked and waits(module) else getattr(module, name)


def _spec(name: str) -> ModuleSpec | None:
    """Found without an import of what it is in, which may be what imports it."""
    parent, _, _ = name.rpartition(".")
    if not parent or parent in sys.modules:
        return importlib.util.find_spec(name)
    within = importlib.util.find_spec(parent)
    assert within is not None
    return PathFinder.find_spec(name, within.submodule_search_locations)


@contextmanager
def left_out(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """In the block these stand in the places of modules that are left out. Other threads see them too: for a package's private ones."""
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]

"""Modules that libraries import at a start and use later, if at all: each is run when something of it is first asked for."""

import importlib.util
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def later(name: str, **known: Any) -> None:
    """Let a module be imported without being run. `known` is what it has without that, the same as in the module itself.

    A package that is not imported yet does not know it by its attribute then.
    """
    if name in sys.modules:
        return
    spec = _spec(name)
    assert spec is not None  # of the standard library
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(known)

    # The library's own LazyLoader runs a module as soon as somebody imports it. Its own code may ask for what is not there yet.
    lock, begun = threading.RLock(), False

    def run(attribute: str) -> Any:
        nonlocal begun
        if attribute.startswith("__"):  # asked for by an import
            raise AttributeError(attribute)
        # Others who ask meanwhile wait for the whole of it.
        with lock:
            if not begun:
                begun = True
                try:
                    assert spec.loader is not None
                    spec.loader.exec_module(module)
                except BaseException:
                    begun = False
                    raise
                module.__dict__.pop("__getattr__", None)
        if attribute not in module.__dict__:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return module.__dict__[attribute]

    module.__dict__["__getattr__"] = run
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


class NothingIs(ModuleType):
    """In the place of a module that is run later, for who asks whether something is of this class of it: nothing is, until then."""

    def __init__(self, module: str, asked: str) -> None:
        super().__init__(module)
        self._asked, self._nobody = asked, type(asked, (), {})

    def __getattr__(self, name: str) -> Any:
        module = sys.modules[self.__name__]
        return self._nobody if name == self._asked and "__getattr__" in vars(module) else getattr(module, name)


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

"""Imports NumPy and tokenizers without what nobody computes with, almost half of their time: documentation, types for checkers, training,
NumPy's functions beyond its arrays.

Whoever asks for these afterwards gets them: the whole modules are imported then. Texts and signatures of NumPy's own functions stay left
out; a model of one's own has the whole libraries.
"""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NamedTuple

from handlers.functions.later import left_out

_DOCUMENTATION = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
_TYPES = "numpy._typing"
# Packages of functions that NumPy's own name takes its from.
_FUNCTIONS = ("numpy.lib", "numpy.matrixlib")
_TRAINING = ("tokenizers.implementations",)


class _AnyArray:
    """Stands for `NDArray[...]` in what NumPy's own functions say that they give."""

    def __class_getitem__(cls, of: object) -> "type[_AnyArray]":
        return cls


class _Absent(NamedTuple):
    """Stands for what a module that is left out has by a name."""

    module: str
    name: str

    def found(self) -> Any:
        return getattr(importlib.import_module(self.module), self.name)


class _Empty(ModuleType):
    """Stands for a module that is left out."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return ()
        if name.startswith("__"):  # asked for by the import itself
            raise AttributeError(name)
        return _Absent(self.__name__, name)

    def found(self) -> Any:
        return importlib.import_module(self.__name__)


class _Finder:
    """Finds empty modules in the places of some, and of all within them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.made: list[_Empty] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not any(name == each or name.startswith(f"{each}.") for each in self._names):
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # it has what the import asks of a loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.made.append(_Empty(spec.name))
        return self.made[-1]

    def exec_module(self, module: ModuleType) -> None:
        pass


def import_numpy() -> None:
    """NumPy as it is where it was imported before."""
    if "numpy" in sys.modules:
        return
    types = ModuleType(_TYPES)
    # The other is for what another version of NumPy takes from there.
    types.__dict__.update(NDArray=_AnyArray, __getattr__=_of_the_whole)
    with left_out({name: ModuleType(name) for name in _DOCUMENTATION} | {_TYPES: types}):
        # Those that are left out and others import each other in circles, so that only the package's own order is right.
        _import("numpy", _FUNCTIONS, "numpy.")


def import_tokenizers() -> None:
    """tokenizers as it is where it was imported before."""
    if "tokenizers" not in sys.modules:
        _import("tokenizers", _TRAINING, _TRAINING[0])


def _import(name: str, without: Sequence[str], others: str) -> None:
    """Import a package that takes names from its modules `without` these. Who asks it for such a name has all of them then, and so before
    a module is imported whose name begins with `others`."""
    finder = _Finder(without)
    sys.meta_path.insert(0, finder)
    try:
        package = importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for module in finder.made:
            sys.modules.pop(module.__name__, None)
    space = vars(package)
    absent = {each: value for each, value in space.items() if isinstance(value, (_Absent, _Empty))}
    for each in absent:
        del space[each]
    has, listed, told = space.get("__getattr__"), space.pop("__all__", None), space.get("__dir__")

    def complete() -> None:
        # No lock: who holds one of the import's would wait for who waits for that one.
        found = {each: value.found() for each, value in absent.items()}
        public = {each for module in finder.made for each in getattr(module.found(), "__all__", ())}
        for each, value in found.items():
            space.setdefault(each, value)
        if listed is not None:
            space.setdefault("__all__", [*listed, *sorted((public & absent.keys()) - set(listed))])

    completing = _Completing(others, complete)

    def later(asked: str) -> Any:
        completing.complete()
        if asked in space:
            return space[asked]
        if has is not None:
            return has(asked)
        raise AttributeError(f"module {name!r} has no attribute {asked!r}")

    def listing() -> list[str]:
        completing.complete()
        return list(told()) if told is not None else list(space)

    space.update(__getattr__=later, __dir__=listing)
    sys.meta_path.insert(0, completing)


class _Completing:
    """Completes a package before one of its other modules is imported."""

    def __init__(self, others: str, complete: Callable[[], None]) -> None:
        self._others, self._complete = others, complete
        self._completed = False
        # Threads that do it, each for itself: what the import's own locks let two of them do is done once.
        self._busy: set[int] = set()

    def complete(self) -> None:
        """Returns at once to who is called by it."""
        me = threading.get_ident()
        if self._completed or me in self._busy:
            return
        self._busy.add(me)
        try:
            self._complete()
        finally:
            self._busy.discard(me)
        self._completed = True
        with suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        # Who looks for a module holds the lock of all imports: what is done here would be done with it.
        if not name.startswith(self._others) or self._completed or threading.get_ident() in self._busy:
            return None
        found = PathFinder.find_spec(name, path)
        if found is None:
            return None
        package = found.submodule_search_locations is not None
        return ModuleSpec(name, _AfterCompletion(self, found), is_package=package)  # type: ignore[arg-type]  # as above


class _AfterCompletion:
    """Loads a module once its package is complete, on the way to which it may have been loaded."""

    def __init__(self, completing: _Completing, found: ModuleSpec) -> None:
        self._completing, self._found = completing, found
        self._there = False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self._completing.complete()
        if (module := sys.modules.get(spec.name)) is not None:
            self._there = True
            return module
        return importlib.util.module_from_spec(self._found)

    def exec_module(self, module: ModuleType) -> None:
        ours = module.__spec__
        if self._there:
            module.__spec__ = self._found
            return
        assert self._found.loader is not None
        try:
            self._found.loader.exec_module(module)
        finally:
            if module.__spec__ is ours:
                module.__spec__ = self._found


def _of_the_whole(name: str) -> Any:
    if name.startswith("__"):  # asked for by the import itself
        raise AttributeError(name)
    if getattr(sys.modules.get(_TYPES), "NDArray", None) is _AnyArray:
        del sys.modules[_TYPES]
    return getattr(importlib.import_module(_TYPES), name)

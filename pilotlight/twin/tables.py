"""Tables of what the twin knows of a cloud, collected from the modules of its services."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TypeVar

from pilotlight.twin.rows import Invoke, Row

T = TypeVar("T", Row, Invoke)


class DuplicateToken(Exception):
    """Two rows, or two functions, have one token."""


def by_token(entries: list[T]) -> dict[str, T]:
    """Raises DuplicateToken: of two rows one would be silently ignored."""
    table = {entry.token: entry for entry in entries}
    if len(table) != len(entries):
        tokens = [entry.token for entry in entries]
        raise DuplicateToken(", ".join(sorted({token for token in tokens if tokens.count(token) > 1})))
    return table


def rows_of(package: str, modules: Iterable[str]) -> dict[str, Row]:
    """The ROWS of a package's modules by token."""
    return by_token([row for module in modules for row in import_module(f"{package}.{module}").ROWS])


def invokes_of(package: str, modules: Iterable[str]) -> dict[str, Invoke]:
    """The INVOKES of a package's modules, where they have some, by token."""
    return by_token([invoke for module in modules for invoke in getattr(import_module(f"{package}.{module}"), "INVOKES", ())])

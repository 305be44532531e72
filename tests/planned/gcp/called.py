"""Calls of Google's services in the text of the code: what is called, and the function that does it."""

import ast
import functools
import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from google.cloud import firestore

from tests.planned import reached
from tests.planned.reached import ROOT, ways_out

__all__ = ("ROOT", "ways_out")
# A site is `PATH: FUNCTION`; what is called there are methods as `METHODS` of identities.py has them.
Sites = Mapping[str, frozenset[str]]
_STORAGE = re.compile(r"(^|[._])storage$|Storage\(\)$")
# What a batch is given, which its commit writes.
_STAGED = {"create", "set", "update", "delete"}
_OTHERS = ("aws", "azure")


def sources() -> list[Path]:
    """The code that runs on Google Cloud, or may."""
    return reached.sources(_OTHERS)


def sites(path: Path) -> Sites:
    """The calls of one file."""
    found: dict[str, set[str]] = {}
    for function, call in reached.calls(ast.parse(path.read_text())):
        if method := _method(call):
            found.setdefault(f"{path.relative_to(ROOT)}: {function}", set()).add(method)
    return {site: frozenset(methods) for site, methods in found.items()}


def sites_from(module: str) -> Sites:
    """The calls of a module, a path, and of all that it imports, whenever it does."""
    found: dict[str, frozenset[str]] = {}
    for path in reached.reached(module, _OTHERS):
        found |= sites(path)
    return found


def hasty(path: Path) -> list[str]:
    """Calls of Firestore's client without `PATIENTLY`, by which `sites` knows them; a field of a snapshot is read with one argument."""
    tree = ast.parse(path.read_text())
    if not any(module.startswith("google.cloud.firestore") for module in reached.imported(tree)):
        return []
    return [
        f"{path.relative_to(ROOT)}: {function}: {ast.unparse(call)}"
        for function, call in reached.calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr in remote() and _method(call) is None and not _reads_field(call)
    ]


@functools.cache
def remote() -> frozenset[str]:
    """The methods of Firestore's client that ask the service: those that can be told how long to wait."""
    classes = (firestore.Client, firestore.CollectionReference, firestore.DocumentReference, firestore.Query, firestore.WriteBatch)
    return frozenset(
        name
        for each in classes
        for name, method in inspect.getmembers(each, inspect.isfunction)
        if not name.startswith("_") and "timeout" in inspect.signature(method).parameters
    )


def _method(call: ast.Call) -> str | None:
    """What a call asks of Google, None for one that asks nothing."""
    if isinstance(call.func, ast.Name):
        return _sent(call) if call.func.id == "_sent" else None
    if not isinstance(call.func, ast.Attribute):
        return None
    name, of = call.func.attr, ast.unparse(call.func.value)
    patiently = any(one.arg is None and ast.unparse(one.value) == "PATIENTLY" for one in call.keywords)
    if patiently or (of == "batch" and name in _STAGED):
        return f"firestore.{name}"
    if name in ("open", "write") and _STORAGE.search(of):
        return f"storage.{name}"
    if name == "publish":
        return "pubsub.publish"
    return f"asked {ast.unparse(call.args[0])}" if name == "asked" else None


def _sent(call: ast.Call) -> str:
    """`run PATCH` of `_sent(self.run, "PATCH", …)`, and what comes after a colon at the end of its path."""
    api, verb, path = call.args[:3]
    _, colon, custom = ast.unparse(path).rstrip("'\"").rpartition("}:")
    return f"{ast.unparse(api).removeprefix('self.')} {ast.literal_eval(verb)}" + (f" :{custom}" if colon else "")


def _reads_field(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute) and call.func.attr == "get" and len(call.args) == 1 and not isinstance(call.args[0], ast.List)
    )

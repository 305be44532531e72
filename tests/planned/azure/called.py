"""Calls of Azure's services in the text of the code: what is called, and the function that does it."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from tests.planned import reached
from tests.planned.reached import ROOT, ways_out

__all__ = ("ROOT", "ways_out")
# A site is `PATH: FUNCTION`; what is called there are methods as `METHODS` of identities.py has them.
Sites = Mapping[str, frozenset[str]]
_OTHERS = ("aws", "gcp")
# What calls are made of: the module, what its objects are called in the code, and those of their methods that ask the service.
_KINDS: Mapping[str, tuple[re.Pattern[str], frozenset[str]]] = {
    "blobs": (re.compile(r"(^|[._])blobs(\(.*\))?$|Blobs\(.*\)$"), frozenset({"etag", "open", "write"})),
    "insights": (re.compile(r"(^|[._])ingestion$"), frozenset({"track"})),
    "manager": (re.compile(r"(^|[._])manager$"), frozenset({"budget", "app", "job", "change_app", "change_job"})),
    "queues": (re.compile(r"(^|[._])(queue|dead)$|Queue\(.*\)$"), frozenset({"put", "get", "peek", "put_off", "delete"})),
    "tables": (
        re.compile(r"(^|[._])table$|Table\(.*\)$"),
        frozenset({"get", "insert", "replace", "merge", "put", "delete", "older", "is_ours"}),
    ),
}
_OURS = "handlers.functions.azure."


def sources() -> list[Path]:
    """The code that runs on Azure, or may."""
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


def hidden(path: Path) -> list[str]:
    """Calls of methods of blobs, queues and tables on what is called otherwise, by which `sites` does not know them."""
    tree = ast.parse(path.read_text())
    imported = reached.imported(tree)
    kinds = [kind for kind in _KINDS if any(name.startswith(f"{_OURS}{kind}.") for name in imported)]
    methods = frozenset().union(*(_KINDS[kind][1] for kind in kinds))
    return [
        f"{path.relative_to(ROOT)}: {function}: {ast.unparse(call.func)}"
        for function, call in reached.calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr in methods and _method(call) is None
    ]


def _method(call: ast.Call) -> str | None:
    """What a call asks of Azure, None for one that asks nothing."""
    if isinstance(call.func, ast.Name):
        return "tables.commit" if call.func.id == "commit" else None
    if not isinstance(call.func, ast.Attribute):
        return None
    name, of = call.func.attr, ast.unparse(call.func.value)
    for kind, (called, methods) in _KINDS.items():
        if name in methods and called.search(of):
            return f"{kind}.{name}"
    return f"asked {ast.unparse(call.args[0])}" if name == "asked" else None

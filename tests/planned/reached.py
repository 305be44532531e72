"""What a program's text calls and imports: the files of ours that it reaches, the calls in each, and ways out of the process."""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WAYS = ("azure", "google.cloud", "grpc", "http.client", "httpx", "requests", "socket", "urllib.request", "urllib3")
_OF_ANSWERS = {"http.client.HTTPResponse", "http.client.HTTPException"}


def sources(others: Collection[str]) -> list[Path]:
    """The code of the handlers that runs on a cloud, or may; `others` are the folders of other clouds."""
    return [path for path in sorted((ROOT / "handlers").rglob("*.py")) if not _elsewhere(path, others)]


def reached(module: str, others: Collection[str]) -> set[Path]:
    """The file of a module, a path, and all that it imports, whenever it does: the model server imports what its store is, and no more."""
    seen, todo = set[Path](), [ROOT / module]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            found = [file for name in imported(ast.parse(path.read_text())) if (file := _file(name)) is not None]
            todo += [file for file in found if not _elsewhere(file, others)]
    return seen


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call, with the innermost function that it is in."""

    def below(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if isinstance(child, ast.Call):
                yield inner, child
            yield from below(child, inner)

    yield from below(tree, "")


def imported(tree: ast.Module) -> set[str]:
    """The modules that a file imports, and the names in them, which may be modules too."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return found


def ways_out(path: Path) -> set[str]:
    """Modules by which a file may reach a service."""
    modules = imported(ast.parse(path.read_text()))
    return {way for way in _WAYS for module in modules - _OF_ANSWERS if module == way or module.startswith(f"{way}.")}


def _elsewhere(path: Path, others: Collection[str]) -> bool:
    return not set(others).isdisjoint(path.relative_to(ROOT).parts)


def _file(module: str) -> Path | None:
    """The file of a module of ours, or of the one that has the name in it."""
    for name in (module, module.rpartition(".")[0]):
        path = ROOT / name.replace(".", "/")
        if name.startswith("handlers") and path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
    return None

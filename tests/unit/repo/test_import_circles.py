"""No module of the project imports itself by way of others, at its top or inside its functions.

What only types need is never run. It makes no circle outside of `pilotlight/` either, where the twin's context names all services
and they name it.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BLUEPRINT = ("components", "stacks", "handlers")
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
PACKAGES = ("components", "stacks", "handlers", "pilotlight", "docs")


def modules(root: Path, packages: Sequence[str]) -> dict[str, ast.Module]:
    """Every module below `root`'s packages by its dotted name, a package by its own."""
    paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    names = [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text()) for name, path in zip(names, paths, strict=True)}


def imported(code: ast.AST, types: bool) -> Iterator[str]:
    """What the code may import when it runs, and with `types` what its types need: `a.b` for `from a import b`, whether b is a module
    or a name. Imports are statements: expressions are not looked into."""
    for node in (each for block in BLOCKS for each in getattr(code, block, ())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import: name the module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            not types
            and isinstance(node, ast.If)
            and isinstance(node.test, ast.Name | ast.Attribute)
            and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            yield from imported(ast.Module(node.orelse, []), types)
        else:
            yield from imported(node, types)


def circle(trees: Mapping[str, ast.Module], *, types: bool = False) -> list[str]:
    """One circle of imports, its first module again at its end; empty where there is none."""

    def run_by(name: str) -> Iterator[str]:
        for found in imported(trees[name], types):
            module = found if found in trees else found.rpartition(".")[0]
            # Whoever names a module of a package runs the package first; its own modules find it there.
            package = module.rpartition(".")[0]
            yield from {module, *([] if f"{name}.".startswith(f"{package}.") else [package])} & trees.keys()

    try:
        TopologicalSorter({name: {*run_by(name)} - {name} for name in trees}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize(("packages", "types"), [(PACKAGES, False), (BLUEPRINT, True)], ids=["run", "types"])
def test_there_is_no_circle(packages: Sequence[str], types: bool) -> None:
    found = circle(modules(ROOT, packages), types=types)
    assert not found, f"move what they share to a module of its own: {' <- '.join(found)}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from stacks import other", "import stacks.one"),
        ("from stacks.other import name", "def late():\n    from stacks.one import name"),
        ("import stacks.other as short", "class Late:\n    def get(self):\n        if self:\n            import stacks.one"),
        ("try:\n    import stacks.other\nexcept ImportError:\n    pass", "from stacks.one import name"),
    ],
)
def test_a_circle_is_found_wherever_its_imports_stand(one: str, other: str) -> None:
    found = circle({"stacks.one": ast.parse(one), "stacks.other": ast.parse(other)})
    assert set(found) == {"stacks.one", "stacks.other"}


def test_a_circle_through_a_package_is_found() -> None:
    package, user = "from pilotlight.cli.app import say", "import components.aws.names"
    found = circle({"components.aws": ast.parse(package), "components.aws.names": ast.parse(""), "pilotlight.cli.app": ast.parse(user)})
    assert set(found) == {"components.aws", "pilotlight.cli.app"}


def test_what_only_types_need_makes_no_circle() -> None:
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stacks.other import Name\nelse:\n    import stacks.third"
    trees = {name: ast.parse(code) for name, code in (("stacks.one", typed), ("stacks.other", "import stacks.one"), ("stacks.third", ""))}
    assert circle(trees) == []
    assert set(circle(trees, types=True)) == {"stacks.one", "stacks.other"}
    assert set(circle({**trees, "stacks.third": ast.parse("import stacks.one")})) == {"stacks.one", "stacks.third"}

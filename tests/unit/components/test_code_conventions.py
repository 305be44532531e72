"""Rules of the deploy-time code that a reader would else have to check by eye, on its syntax trees."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "stacks").glob("*.py")])
# Who may read a limit.
READERS = ("components", "stacks", "handlers", "pilotlight", "policies/rules", "docs/generate")
RESOURCES = ("aws.", "azure.", "docker_build.", "gcp.")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def makes_a_resource(call: ast.Call) -> bool:
    """Calls of SDK classes that are no argument types and no enumerations."""
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    return name.startswith(RESOURCES) and last[:1].isupper() and not last.endswith(("Args", "Platform"))


def components(tree: ast.AST) -> list[ast.ClassDef]:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [each for each in classes if any("ComponentResource" in ast.unparse(base) for base in each.bases)]


def faults(tree: ast.AST) -> list[str]:
    """What breaks a rule in one file."""
    found = []
    for call in calls(tree):
        name = ast.unparse(call.func)
        inside = [inner for argument in call.args for inner in calls(argument)]
        if name.endswith(".apply") and any(makes_a_resource(inner) for inner in inside):
            found.append("a resource made inside apply is missing from previews")
        if name.endswith(".merge") and name != "pulumi.ResourceOptions.merge":
            found.append("opts.merge(...) lets the caller's parent win")
        if name in ("pulumi.Config", "pulumi.get_stack", "pulumi.get_project", "os.getenv") or name.startswith("os.environ"):
            found.append(f"hidden state: {name}")
    for component in components(tree):
        text = ast.unparse(component)
        if "self.register_outputs(" not in text:
            found.append(f"{component.name} registers no outputs")
        if f"'pilotlight:index:{component.name}'" not in text:
            found.append(f"{component.name} has another type token")
        if ast.get_docstring(component) is None:
            found.append(f"{component.name} does not say what it makes")
    found += [
        "from __future__ import annotations" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    return found


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[-2] != "stacks"], ids=lambda path: path.name)
def test_components_keep_the_rules(path: Path) -> None:
    assert faults(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("x.apply(lambda v: aws.s3.Bucket(v))", "a resource made inside apply"),
        ("opts.merge(other)", "lets the caller's parent win"),
        ("pulumi.Config()", "hidden state"),
        ("class A(pulumi.ComponentResource):\n    'doc'\n    t = 'pilotlight:index:A'", "registers no outputs"),
        ("class A(pulumi.ComponentResource):\n    'doc'\n    def f(self): self.register_outputs({})", "another type token"),
    ],
)
def test_each_rule_finds_its_fault(code: str, fault: str) -> None:
    assert any(fault in each for each in faults(ast.parse(code)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_resource_says_its_options(path: Path) -> None:
    """Each resource gets `opts`: without, it would sit outside its component."""
    bare = [
        ast.unparse(call.func)
        for call in calls(ast.parse(path.read_text()))
        if makes_a_resource(call) and not any(keyword.arg == "opts" for keyword in call.keywords)
    ]
    assert bare == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_every_limit_is_read_by_something() -> None:
    """One that nothing reads limits nothing, or stands somewhere else as well."""
    texts = [path.read_text() for folder in READERS for path in (ROOT / folder).rglob("*.py")]
    words = Counter(word for text in texts for word in re.findall(r"\w+", text))
    limits = [ast.parse((ROOT / "components" / f"{name}.py").read_text()) for name in ("limits", "limits_azure")]
    names = [
        target.id
        for tree in limits
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert len(names) > 100
    assert [name for name in names if words[name] < 2] == []


def test_the_program_stays_short() -> None:
    assert len((ROOT / "stacks/__main__.py").read_text().splitlines()) <= 30


def test_the_program_stops_collecting_before_it_imports() -> None:
    first = [ast.unparse(each) for each in ast.parse((ROOT / "stacks/__main__.py").read_text()).body[1:3]]
    assert first == ["import gc", "gc.disable()"]

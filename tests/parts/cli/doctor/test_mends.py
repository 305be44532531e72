"""Every failure that `doctor` may find, in every cloud, comes with a command: its source is read, since no account has all of them."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pilotlight.cli.azure import logins

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "pilotlight" / "doctor"
PROGRAMS = {"aws", "az", "docker", "export", "gcloud", "make", "pilotlight", "pulumi", "sudo"}
# What no command mends, and why.
WORDS = {
    "edit ": "mistakes in the stack's file are what somebody meant otherwise",
    "set `model.source` in ": "which model is served is for who serves it to say",
    "install Docker": "how differs by the system",
    "use another shell": "what a shell was told is not taken back by a command",
    "delete what is left over there": "it may be somebody's data, which nobody should delete by pasting",
    "name another one": "what is wrong with a subnet that is used, elsewhere or too small, nothing done to it mends",
    "ask for a new token of the pipeline": "the pipeline makes it, when it runs again",
}


class Beginnings:
    """What an expression in a module may begin with, as far as its source tells; LookupError where it does not."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._tree = ast.parse(Path(str(module.__file__)).read_text())

    def of_calls(self, *names: str, argument: str, position: int | None = None) -> Iterator[tuple[int, set[str]]]:
        """Line and beginnings of what every call of those names is given as that argument."""
        scopes = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                given = [keyword.value for keyword in node.keywords if keyword.arg == argument]
                given += node.args[position : position + 1] if position is not None and not given else []
                scope = max((each for each in scopes if each.lineno <= node.lineno), key=lambda each: each.lineno, default=None)
                yield node.lineno, self._of(given[0], scope) if given else {""}

    def _of(self, node: ast.expr, scope: ast.FunctionDef | None) -> set[str]:
        if isinstance(node, ast.Constant):
            return {str(node.value)}
        if isinstance(node, ast.JoinedStr):
            first = node.values[0]
            return self._of(first.value if isinstance(first, ast.FormattedValue) else first, scope)
        if isinstance(node, ast.IfExp):
            return self._of(node.body, scope) | self._of(node.orelse, scope)
        if isinstance(node, ast.Call):
            return self._of_call(node, scope)
        if isinstance(node, ast.Name):
            return self._of_name(node.id, scope)
        if isinstance(node, ast.Attribute) and node.attr == "mend":
            return beginnings_of_logins()
        raise LookupError(ast.unparse(node))

    def _of_call(self, node: ast.Call, scope: ast.FunctionDef | None) -> set[str]:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            joined = node.args[0]
            return self._of(joined.elt, scope) if isinstance(joined, ast.GeneratorExp) else self._of(joined, scope)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return self._of(node.func.value, scope)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            table = getattr(self._module, ast.unparse(node.func.value))
            return {*table.values(), *self._of(node.args[1], scope)}
        if isinstance(node.func, ast.Name):
            found = getattr(self._module, node.func.id)
            if isinstance(getattr(found, "__self__", None), str):
                return {found.__self__}
            return Beginnings(importlib.import_module(found.__module__)).of_function(found.__name__)
        raise LookupError(ast.unparse(node))

    def of_function(self, name: str) -> set[str]:
        [function] = [node for node in self._tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        return {each for value in returned for each in self._of(value, function)}

    def _of_name(self, name: str, scope: ast.FunctionDef | None) -> set[str]:
        """Of what is assigned to it in the function, or in the module."""
        for node in ast.walk(scope) if scope else ():
            if not isinstance(node, ast.Assign):
                continue
            [target] = node.targets
            pairs = zip(target.elts, node.value.elts, strict=True) if _both_tuples(target, node.value) else [(target, node.value)]
            for one, value in pairs:
                if isinstance(one, ast.Name) and one.id == name:
                    return self._of(value.elt if isinstance(value, ast.ListComp) else value, scope)
        return {str(getattr(self._module, name))}


def _both_tuples(target: Any, value: Any) -> bool:
    return isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)


def beginnings_of_logins() -> set[str]:
    """Of the ways out of every error of a login on Azure."""
    return {each for _, found in Beginnings(logins).of_calls("LoginError", argument="mend", position=1) for each in found}


MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(FOLDER.rglob("*.py"))
    if "fail(" in path.read_text() and path.name != "findings.py"
]


@pytest.mark.parametrize("name", MODULES)
def test_whatever_mends_a_failure_begins_with_a_command(name: str) -> None:
    found = [*Beginnings(importlib.import_module(name)).of_calls("fail", "tell", argument="mend")]
    assert found
    wrong = [
        (line, text)
        for line, texts in found
        for text in texts
        if text.split(" ")[0].rstrip(",") not in PROGRAMS and not text.startswith(tuple(WORDS))
    ]
    assert wrong == []


def test_each_of_the_words_is_still_said() -> None:
    said = {
        text
        for name in MODULES
        for _, texts in Beginnings(importlib.import_module(name)).of_calls("fail", "tell", argument="mend")
        for text in texts
    }
    assert [words for words in WORDS if not any(text.startswith(words) for text in said)] == []

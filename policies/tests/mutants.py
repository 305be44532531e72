"""Mutants of the rules' own code: each differs from it in one point, and some break, good graph or harmless case has to tell.

For rules of your own: `mutants()` finds them in every module of `rules/` that judges, and `survives(mutant)` says whether nothing told.
"""

import ast
import copy
import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from ..rules.model import Context, Rule
from ..rules.pack import Verdict, verdict
from ..rules.reading import Graph, Resource
from ..rules.server import resource_of
from .breaks import BREAKS
from .edges import EDGES
from .harmless import HARMLESS
from .harness import Spec, sent
from .harness_breaks import GRAPHS, WRITTEN, Break, good
from .harness_edges import Edge

FOLDER = Path(__file__).parents[1] / "rules"
# Modules with rules, and modules with what rules are made of.
OF_RULES = ("cold_start", "cost", "delivery", "operations", "security_access", "security_data", "security_identity")
SHARED = ("apis", "apis_google", "documents", "model")
_OTHER: Mapping[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add},
    **{ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
_NAMES = {"any": "all", "all": "any", "min": "max", "max": "min"}
# What is only said, or steers nothing when the pack runs.
_SAYS = {"Moot", "Unread", "ValueError", "dataclass", "field", "TypeVar"}
_UNSEEN = {"annotation", "returns", "decorator_list", "bases", "type_params"}
_TOKEN = re.compile(r"(aws|gcp|azure-native|pulumi):")


@dataclass(frozen=True)
class Mutant:
    """One point of a module that is otherwise: `changed` in the place of what a holder has there. `name` says in which function, table or
    rule; it stays when lines move."""

    module: str
    name: str
    tree: ast.Module
    holder: ast.AST
    field: str
    place: int | None
    changed: ast.expr

    def within(self) -> str:
        return self.name.partition(":")[0]

    def compiled(self) -> CodeType:
        with _put(self.holder, self.field, self.place, self.changed):
            return compile(ast.fix_missing_locations(self.tree), f"{self.module}.py", "exec")


def mutants(module: str) -> list[Mutant]:
    """Every mutant of what a module's rules judge by."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text())
    found: dict[str, Mutant] = {}
    for statement in tree.body:
        for name, part in _parts(statement, module in SHARED):
            for holder, field, place, node in _inside(part) if _reached(name) else ():
                for changed in _changes(holder, field, node):
                    told = f"{name}: {ast.unparse(_shown(holder, node))} -> {ast.unparse(_shown(holder, node, changed))}"
                    told = next(each for number in range(1, 99) if (each := told + (f" #{number}" if number > 1 else "")) not in found)
                    found[told] = Mutant(module, told, tree, holder, field, place, changed)
    return list(found.values())


def _parts(statement: ast.stmt, shared: bool) -> Iterator[tuple[str, ast.AST]]:
    """Functions, methods and tables, by name."""
    if isinstance(statement, ast.FunctionDef):
        yield statement.name, statement
    elif isinstance(statement, ast.ClassDef):
        yield from ((f"{statement.name}.{each.name}", each) for each in statement.body if isinstance(each, ast.FunctionDef))
    elif isinstance(statement, ast.Assign):
        name = ast.unparse(statement.targets[0])
        if name == "RULES" and isinstance(statement.value, ast.Tuple):
            yield from ((_id_of(each), each) for each in statement.value.elts)
        elif not shared or name.startswith("_"):
            # Others of these tables are copied into tables of rules.
            yield name, statement


def _inside(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """(holder, its field, place in a list, what is there) of everything that steers."""
    for field, value in ast.iter_fields(node):
        if field in _UNSEEN:
            continue
        for place, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, ast.AST) and not _only_said(node, field, place, each):
                yield node, field, place if isinstance(value, list) else None, each
                yield from _inside(each)


def _only_said(holder: ast.AST, field: str, place: int, node: ast.AST) -> bool:
    called = holder.func.id if isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) else ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return isinstance(holder, ast.Expr | ast.Yield) or len(node.value.split()) > 3 or bool(_TOKEN.match(node.value))
    if isinstance(node, ast.keyword):
        return node.arg == "unit" or (called == "Rule" and node.arg != "checks")
    return isinstance(node, ast.JoinedStr) or called in _SAYS or (called == "present" and field == "args" and place == 1)


def _changes(holder: ast.AST, field: str, node: ast.AST) -> Iterator[ast.expr]:
    """What could stand there in its place."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[place] = _OTHER[type(operator)]()
                yield changed
        case ast.BoolOp():
            for place in range(len(node.values)):
                left = [*node.values[:place], *node.values[place + 1 :]]
                yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _OTHER:
            yield ast.BinOp(node.left, _OTHER[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
        case ast.Constant(value=str()):
            yield ast.Constant(node.value + "~")
        case ast.Name() if isinstance(holder, ast.Call) and field == "func" and node.id in _NAMES:
            yield ast.Name(_NAMES[node.id], ast.Load())
    if field in ("test", "ifs") and isinstance(node, ast.expr) and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)


@contextmanager
def _put(holder: ast.AST, field: str, place: int | None, changed: ast.expr) -> Iterator[None]:
    if place is None:
        before = getattr(holder, field)
        setattr(holder, field, changed)
    else:
        before, getattr(holder, field)[place] = getattr(holder, field)[place], changed
    try:
        yield
    finally:
        if place is None:
            setattr(holder, field, before)
        else:
            getattr(holder, field)[place] = before


def _shown(holder: ast.AST, node: ast.AST, changed: ast.AST | None = None) -> ast.AST:
    """What tells one point from another: a constant alone would not."""
    if isinstance(node, ast.Constant) and isinstance(holder, ast.Call | ast.Compare | ast.BinOp | ast.Subscript):
        around = copy.copy(holder)
        for field, value in ast.iter_fields(holder):
            setattr(around, field, [changed or each if each is node else each for each in value] if isinstance(value, list) else value)
            if value is node:
                setattr(around, field, changed or node)
        return around
    return changed or node


def survives(mutant: Mutant) -> bool:
    """Whether every case of the rules that it reaches is judged as before."""
    reached = _reached(mutant.within())
    with _living(mutant) as rules:
        chosen = [rule for rule in rules if rule.id in reached]
        try:
            return (
                all(_at_the_edge(chosen, edge) for edge in EDGES if edge.rule in reached)
                and all(_as_meant(chosen, number) for number, case in enumerate(CASES) if case.rule in reached)
                and not any(_told(chosen, _of_graph(graph), WRITTEN) for graph in GRAPHS)
            )
        except Exception:  # noqa: BLE001 (whatever a mutant throws would end the run)
            return False


def silent_types(rule: Rule) -> set[str]:
    """The types of a rule's checks of which no break and no edge has it say anything: without them it would judge as before."""
    cases = [(_of_case(number), case.settings()) for number, case in enumerate(CASES[: len(BREAKS)]) if case.rule == rule.id]
    cases += [(_of_edge(edge), {rule.id: edge.config}) for edge in EDGES if edge.rule == rule.id and edge.says]
    silent = set[str]()
    for check in rule.checks:
        alone = dataclasses.replace(rule, checks=(check,))
        told = {resource.type for seen, settings in cases for resource, said in _verdicts(alone, seen, settings) if said.told}
        silent |= set(check.types) - told
    return silent


@contextmanager
def _living(mutant: Mutant) -> Iterator[Sequence[Rule]]:
    """The rules while the mutant is in its module's place."""
    made = _run(mutant.module, mutant.compiled())
    if mutant.module in OF_RULES:
        yield made["RULES"]
        return
    kept: Any
    real = vars(_module(mutant.module))
    *of, name = mutant.within().split(".")
    function: Any = None
    if name in real and not callable(real[name]):
        kept, real[name] = real[name], made[name]
    else:
        # Others have imported the function itself.
        function, changed = (_function(vars(holder[of[0]])[name] if of else holder[name]) for holder in (real, made))
        kept = function.__code__, function.__defaults__
        function.__code__, function.__defaults__ = changed.__code__, changed.__defaults__
    try:
        yield [rule for module in OF_RULES for rule in _run(module, _code(module))["RULES"]]
    finally:
        if function:
            function.__code__, function.__defaults__ = kept
        else:
            real[name] = kept


def _module(name: str) -> Any:
    return importlib.import_module(f"..rules.{name}", __package__)


@cache
def _code(module: str) -> CodeType:
    return compile((FOLDER / f"{module}.py").read_text(), f"{module}.py", "exec")


def _run(module: str, code: CodeType) -> dict[str, Any]:
    real = _module(module)
    # Dataclasses look their module up.
    made: dict[str, Any] = {"__name__": real.__name__, "__package__": real.__package__}
    exec(code, made)
    return made


def _function(value: Any) -> Any:
    return value.fget if isinstance(value, property) else value


def _reached(name: str) -> set[str]:
    """The rules that use a function or table; a rule's own name is that of what it is made of."""
    return {rule for rule, used in _reach().items() if name == rule or name.rpartition(".")[2] in used}


@cache
def _reach() -> Mapping[str, frozenset[str]]:
    """Rule → every name that its checks use, and that what they use uses."""
    uses: dict[str, set[str]] = {}
    roots: dict[str, set[str]] = {}
    for module in (*OF_RULES, *SHARED):
        for statement in ast.parse((FOLDER / f"{module}.py").read_text()).body:
            for name, part in _parts(statement, module in SHARED):
                if isinstance(part, ast.Call):
                    roots[name] = _names(next(each for each in part.keywords if each.arg == "checks"))
                else:
                    uses.setdefault(name.rpartition(".")[2], set()).update(_names(part))
    return {rule: frozenset(_closure(names, uses)) for rule, names in roots.items()}


def _names(node: ast.AST) -> set[str]:
    return {each.id if isinstance(each, ast.Name) else each.attr for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)}


def _closure(names: set[str], uses: Mapping[str, set[str]]) -> set[str]:
    found, new = set[str](), set(names)
    while new:
        found |= new
        new = {each for name in new for each in uses.get(name, ())} - found
    return found


def _id_of(rule: ast.expr) -> str:
    assert isinstance(rule, ast.Call)
    return str(next(ast.literal_eval(each.value) for each in rule.keywords if each.arg == "id"))


@dataclass(frozen=True)
class _Seen:
    """What rules see: those of one resource these, those of the stack all."""

    alone: Sequence[Resource]
    graph: Graph


CASES: Sequence[Break] = (*BREAKS, *HARMLESS)


@cache
def _good(graph: str) -> Mapping[tuple[str, str], tuple[Spec, Resource, Resource]]:
    return {(each["type"], each["name"]): (each, *_both(each)) for each in good(graph)}


def _both(spec: Spec) -> tuple[Resource, Resource]:
    """A resource as it is planned, and as it is in the whole stack."""
    return resource_of(sent({**spec, "outputs": {}})), resource_of(sent(spec))


@cache
def _of_graph(graph: str) -> _Seen:
    found = _good(graph).values()
    return _Seen([alone for _, alone, _ in found], Graph([whole for _, _, whole in found]))


@cache
def _of_case(number: int) -> _Seen:
    known, alone, whole = _good(CASES[number].graph), [], []
    for spec in CASES[number].broken():
        before = known.get((spec["type"], spec["name"]))
        if before and before[0] == spec:
            whole.append(before[2])
        else:
            planned, made = _both(spec)
            alone.append(planned)
            whole.append(made)
    return _Seen(alone, Graph(whole))


def _as_meant(rules: Sequence[Rule], number: int) -> bool:
    """Whether a break gives its message and no other, and what is harmless none."""
    case = CASES[number]
    found = _told(rules, _of_case(number), case.settings())
    if number >= len(BREAKS):
        return not found
    # A configuration that says more has something to say about the good graph, too.
    found = [each for each in found if not case.config or each[1] in case.names()]
    return {each[0] for each in found} == {case.rule} and all(case.says in each[2] for each in found)


def _at_the_edge(rules: Sequence[Rule], edge: Edge) -> bool:
    rule = next(each for each in rules if each.id == edge.rule)
    found = _told([rule], _of_edge(edge), {rule.id: edge.config})
    return [edge.says in message for _, _, message in found] == ([True] if edge.says else [])


def _of_edge(edge: Edge) -> _Seen:
    both = [_both(spec) for spec in edge.resources]
    return _Seen([alone for alone, _ in both], Graph([whole for _, whole in both]))


def _told(rules: Sequence[Rule], seen: _Seen, settings: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(rule, resource, what is said of it, or that it is not known)"""
    found = []
    for rule in rules:
        if rule.level == "disabled" and rule.id not in settings:
            continue
        for resource, said in _verdicts(rule, seen, settings):
            found += [(rule.id, resource.name, told) for told in (*said.told, *(f"unread: {each}" for each in said.unread))]
    return found


def _verdicts(rule: Rule, seen: _Seen, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Resource, Verdict]]:
    given = {key: value for key, value in settings.get(rule.id, {}).items() if key != "enforcementLevel"}
    context = Context(rule.configured(given), seen.graph if rule.stack else Graph(()))
    for resource in seen.graph.resources if rule.stack else seen.alone:
        yield resource, verdict(rule, resource, context)

"""Every rule: silent on what is good, the only one that speaks where its one point is broken, never passing what it cannot read."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from ..rules import RULES
from ..rules.model import Rule
from .breaks import BREAKS
from .edges import EDGES
from .harmless import HARMLESS
from .harness import UNKNOWN, Pack, secret
from .harness_breaks import GONE, GRAPHS, WRITTEN, Break, good, put
from .harness_edges import Edge

DEFAULTS = Pack(RULES, WRITTEN)
RULE = {rule.id: rule for rule in RULES}
OF_ONE_INPUT = [case for case in BREAKS if len(case.change) == 1]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_good_graph_has_no_findings(graph: str) -> None:
    assert DEFAULTS.judge(good(graph)) == []


@pytest.mark.parametrize("graph", [graph for graph in GRAPHS if graph.startswith("azure")])
def test_azures_outputs_lack_the_names_of_a_resources_address(graph: str) -> None:
    """Its provider takes `accountName` and the like, and gives out `name` alone: what belongs together is told by where it came from."""
    resources = good(graph)
    for each in resources:
        for key in ("accountName", "apiId", "containerAppName", "containerName", "productId", "serviceName"):
            each["inputs"].pop(key, None)
    assert DEFAULTS.judge(resources, only=lambda spec: False) == []


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_a_break_gives_the_message_of_its_rule_and_no_other(case: Break) -> None:
    """What is unchanged is judged in the test of good graphs, but by the rules of the stack, which see all."""
    unchanged = good(case.graph)
    pack = Pack(RULES, case.settings()) if case.config else DEFAULTS
    found = pack.judge(case.broken(), only=lambda spec: spec not in unchanged)
    # A configuration that says more has something to say about the good graph, too.
    found = [each for each in found if not case.config or each.resource in case.names()]
    assert {each.rule for each in found} == {case.rule}, found
    assert all(case.says in each.message and not each.unread for each in found), found


@pytest.mark.parametrize("case", HARMLESS, ids=str)
def test_what_looks_like_a_break_and_is_none_is_passed(case: Break) -> None:
    unchanged = good(case.graph)
    assert DEFAULTS.judge(case.broken(), only=lambda spec: spec not in unchanged) == []


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_at_an_edge_a_rule_says_what_is_meant(edge: Edge) -> None:
    found = Pack([RULE[edge.rule]], {edge.rule: {"enforcementLevel": "mandatory", **edge.config}}).judge(edge.resources)
    assert [edge.says in each.message and not each.unread for each in found] == ([True] if edge.says else []), found


def test_every_rule_is_broken_and_can_fire_on_what_a_stack_makes() -> None:
    present = {each["type"] for graph in GRAPHS for each in good(graph)} | {"pulumi:pulumi:Stack"}
    assert {rule.id for rule in RULES} - {case.rule for case in BREAKS} == set()
    assert {rule.id for rule in RULES if not rule.types() & present} == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_condition_of_a_rule_is_broken_by_something(rule: Rule) -> None:
    cases = [case for case in BREAKS if case.rule == rule.id]
    for check in rule.checks:
        alone = dataclasses.replace(rule, checks=(check,), level="mandatory")
        assert any(_says(alone, case) for case in cases), check.types


def _says(rule: Rule, case: Break) -> bool:
    unchanged = good(case.graph)
    return bool(Pack([rule], _of_rule(case)).judge(case.broken(), only=lambda spec: spec not in unchanged))


@pytest.mark.parametrize("case", OF_ONE_INPUT, ids=str)
def test_what_is_not_known_yet_is_told_and_does_not_pass(case: Break) -> None:
    found = Pack([RULE[case.rule]], _of_rule(case)).judge(_with(case, UNKNOWN))
    assert found
    assert all(each.unread for each in found), found
    assert any(next(iter(case.change)).split(".")[0] in each.message for each in found)


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_no_input_of_a_break_hides_it_while_it_is_unknown(case: Break) -> None:
    """Each one that makes the break, whatever lies above or below it, one at a time: the rule says something, of that one or of another."""
    unchanged, broken, pack = good(case.graph), case.broken(), Pack([RULE[case.rule]], _of_rule(case))
    for number, spec in enumerate(broken):
        if spec in unchanged:
            continue
        for path in _paths(spec["inputs"]):
            if spec["name"] not in case.names() and not any(_on_the_way(path, changed) for changed in case.change):
                continue
            resources = [*broken]
            resources[number] = copy.deepcopy(spec)
            put(resources[number]["inputs"], path, UNKNOWN)
            assert pack.judge(resources, only=lambda one: one not in unchanged), f"{spec['name']}: {path}"


@pytest.mark.parametrize("case", [case for case in OF_ONE_INPUT if not case.config], ids=str)
def test_a_secret_is_judged_as_its_value(case: Break) -> None:
    assert Pack([RULE[case.rule]], _of_rule(case)).judge(_with(case, secret)) == []


@pytest.mark.parametrize("case", [case for case in OF_ONE_INPUT if GONE not in case.change.values()], ids=str)
def test_a_secret_that_is_wrong_is_told_as_its_value_is(case: Break) -> None:
    """To skip what is secret would pass the test before."""
    ((path, value),) = case.change.items()
    hidden = dataclasses.replace(case, change={path: lambda came: secret(value(came) if callable(value) else value)})
    found = Pack([RULE[case.rule]], _of_rule(case)).judge(hidden.broken())
    assert any(case.says in each.message for each in found), found
    assert not any(each.unread for each in found), found


def _of_rule(case: Break) -> dict[str, Any]:
    return {case.rule: case.settings()[case.rule]} if case.rule in case.settings() else {}


def _paths(value: Any, above: str = "") -> Iterator[str]:
    """Every dotted path of the values."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield f"{above}{key}"
        yield from _paths(below, f"{above}{key}.")


def _on_the_way(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _with(case: Break, value: object) -> list[dict[str, Any]]:
    """The good graph, with another value where the break would be; a function changes the one that is there."""
    resources = good(case.graph)
    place = next(each for each in resources if each["type"] == case.type and each["name"].endswith(case.name))
    put(place["inputs"], next(iter(case.change)), value)
    return resources

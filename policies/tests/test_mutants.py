"""Every condition of a rule matters: whoever changes it in one point is told by a break, a good graph or what only looks like a break."""

from collections.abc import Mapping

import pytest

from ..rules import RULES
from ..rules.model import Rule
from .mutants import OF_RULES, SHARED, mutants, silent_types, survives
from .survivors import SURVIVORS


@pytest.mark.parametrize("module", [*OF_RULES, *SHARED])
def test_a_mutant_of_a_rule_is_told(module: str) -> None:
    tried = mutants(module)
    listed = {each for names in SURVIVORS.get(module, {}).values() for each in names}
    survived = {each.name for each in tried if survives(each)}
    assert survived - listed == set()
    assert listed - survived == set(), "they are told by now"


def test_every_listed_survivor_is_a_mutant() -> None:
    known: Mapping[str, set[str]] = {module: {each.name for each in mutants(module)} for module in SURVIVORS}
    assert {module: {each for names in reasons.values() for each in names} - known[module] for module, reasons in SURVIVORS.items()} == {
        module: set() for module in SURVIVORS
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_speaks_of_each_of_its_types(rule: Rule) -> None:
    """A type less is a mutant, too."""
    assert silent_types(rule) == set()

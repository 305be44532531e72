"""Every listed check of the public catalogues has a rule or a reason, one of the two, and no rule answers to one that is not listed."""

import json
from pathlib import Path

from ..rules import RULES
from ..rules.catalogue import LISTED, NOT_APPLICABLE, OUT_OF_SCOPE, coverage
from ..rules.schema import schema

IDS = [each for ids in LISTED.values() for each in ids.split()]
ANSWERED = {each for rule in RULES for each in rule.answers}
MOOT = [each for rule in RULES for each in rule.moot]
REASONED = {*NOT_APPLICABLE, *OUT_OF_SCOPE, *MOOT}


def test_every_listed_check_has_a_rule_or_a_reason() -> None:
    assert len(IDS) == len(set(IDS))
    assert [id_ for _, id_, kind, why in coverage(RULES) if not kind or not why] == []


def test_no_check_has_a_rule_and_a_reason_why_none() -> None:
    assert not ANSWERED & REASONED
    assert len(REASONED) == len(NOT_APPLICABLE) + len(OUT_OF_SCOPE) + len(MOOT)


def test_nothing_stands_for_a_check_that_is_not_listed() -> None:
    assert (ANSWERED | REASONED) - set(IDS) == set()


def test_the_schema_beside_the_pack_is_that_of_its_rules() -> None:
    written = json.loads((Path(__file__).parents[1] / "config.schema.json").read_text())
    assert written == schema(RULES)

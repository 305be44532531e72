"""Every listed check of the public catalogues has a rule or a reason, one of the two, and no rule answers to one that is not listed."""

import json
from pathlib import Path

from ..rules import RULES
from ..rules import tokens as t
from ..rules.catalogue import LISTED, NOT_APPLICABLE, OUT_OF_SCOPE, coverage
from ..rules.schema import schema
from .harness_breaks import GRAPHS, good

IDS = [each for ids in LISTED.values() for each in ids.split()]
ANSWERED = {each for rule in RULES for each in rule.answers}
MOOT = [each for rule in RULES for each in rule.moot]
REASONED = {*NOT_APPLICABLE, *OUT_OF_SCOPE, *MOOT}


def test_every_listed_check_has_a_rule_or_a_reason() -> None:
    assert len(IDS) == len(set(IDS))
    assert [id_ for _, id_, kind, why in coverage(RULES) if not kind or not why] == []
    assert [id_ for _, id_, _, why in coverage(RULES) if "no rule" in why.lower()] == [], "that there is none is no reason"


def test_no_check_has_a_rule_and_a_reason_why_none() -> None:
    assert not ANSWERED & REASONED
    assert len(REASONED) == len(NOT_APPLICABLE) + len(OUT_OF_SCOPE) + len(MOOT)


def test_nothing_stands_for_a_check_that_is_not_listed() -> None:
    assert (ANSWERED | REASONED) - set(IDS) == set()


def test_what_is_said_to_have_no_setting_has_none() -> None:
    """Of types that stacks do make: `UNUSED_ONES` has those that none makes, which a test of all plans reads."""
    settings = {t.LAMBDA: "layers", t.LAMBDA_PERMISSION: "eventSourceToken", t.REST_STAGE: "variables"}
    resources = [each for graph in GRAPHS for each in good(graph) if each["type"] in settings]
    assert {each["type"] for each in resources} == set(settings)
    assert [each["name"] for each in resources if each["inputs"].get(settings[each["type"]])] == []


def test_the_schema_beside_the_pack_is_that_of_its_rules() -> None:
    written = json.loads((Path(__file__).parents[1] / "config.schema.json").read_text())
    assert written == schema(RULES)

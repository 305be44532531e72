"""What every plan on Azure declares, judged as the twin judges it: SDK, limits, names, policies."""

from pathlib import Path

import pytest

from docs.generate.options import judged
from pilotlight.planned import ready_stacks
from pilotlight.twin.azure.apim_policy_check import Surroundings, problems
from pilotlight.twin.azure.apim_policy_xml import parse
from tests.parts.twin.azure.account import Account
from tests.planned.azure.conftest import LIMITS, POLICY, SERVICE, plan_of

VARIANTS = [(stack, words) for stack in ready_stacks() if stack.startswith("azure-") for words in judged(stack)]


@pytest.mark.parametrize(("stack", "words"), VARIANTS, ids=[f"{stack} {words}" for stack, words in VARIANTS])
def test_the_twin_finds_nothing_wrong_with_what_is_declared(tmp_path: Path, stack: str, words: str) -> None:
    account = Account(tmp_path)
    declared = [each for each in plan_of(judged(stack)[words], stack).resources if each.type.startswith("azure-native:")]
    assert len(declared) > 25
    found = {each.name: account.check(each.type, each.name, dict(each.inputs))[1] for each in declared}
    assert {name: told for name, told in found.items() if told} == {}


SCOPES = {POLICY: "api", LIMITS: "product"}


def policy_problems(text: str, scope: str, sku: str = "Consumption") -> list[str]:
    around = Surroundings(scope=scope, tier=sku, named_value=lambda name: False, backend=lambda name: False)
    return [str(each) for each in problems(parse(text, "rawxml"), around)]


@pytest.mark.parametrize(("stack", "words"), VARIANTS, ids=[f"{stack} {words}" for stack, words in VARIANTS])
def test_policies_are_those_of_the_tier_each_in_its_scope(stack: str, words: str) -> None:
    plan = plan_of(judged(stack)[words], stack)
    documents = [each for type_ in SCOPES for each in plan.all(type_)]
    assert bool(documents) is not stack.endswith("-events")
    skus = [str(each.inputs["sku"]["name"]) for each in plan.all(SERVICE)]
    told = {each.name: policy_problems(each.inputs["value"], SCOPES[each.type], *skus) for each in documents}
    assert told == {each.name: [] for each in documents}


def test_a_quota_may_not_stand_where_rates_may() -> None:
    [told] = policy_problems(plan_of().one(LIMITS).inputs["value"], "api")
    assert "quota" in told
    assert "not allowed in the specified scope" in told

"""The policy pack on the graphs of the stacks: nothing against a ready one, and what it says of the others is meant."""

import importlib
import json
import time
from collections.abc import Iterable

import pytest

from docs.generate import pack
from docs.generate.options import judged
from pilotlight.planned import ROOT, Planned, plan, ready_stacks
from policies.rules import RULES
from policies.rules.catalogue import UNUSED, UNUSED_ONES
from policies.tests.harness import Pack

# What a stack's own file says, which the engine hands to the pack.
DELETE = {rule: {"dataRetention": "delete"} for rule in ("data-is-protected", "data-can-be-restored")}
KEEP = {rule: {"dataRetention": "keep"} for rule in DELETE}
# A floor without an end is what these are for.
PROVISIONED = {"drop provisioned", "drop scaled", "extras"}
# And these for a gateway that costs at rest.
TIERS = {"jwt standard"}


def specs(stack: str, changes: dict[str, object] | None = None) -> list[dict[str, object]]:
    return specs_of(plan(stack, changes).resources)


def specs_of(resources: Iterable[Planned]) -> list[dict[str, object]]:
    """As the pack's harness takes them."""
    return [
        {
            "type": each.type,
            "name": each.name,
            "urn": each.urn,
            "inputs": dict(each.inputs),
            "outputs": dict(each.outputs),
            "links": each.taken_from,
            "protect": each.protect,
        }
        for each in resources
    ]


@pytest.mark.parametrize("stack", ready_stacks())
def test_the_pack_has_nothing_against_a_ready_stack(stack: str) -> None:
    assert made_of_unused(specs(stack)) == set()
    assert Pack(RULES, DELETE).judge(specs(stack)) == []


def test_the_packs_good_graphs_hold_every_type_that_a_rule_judges_and_a_ready_stack_makes() -> None:
    made = {each.type for stack in ready_stacks() for each in plan(stack).resources}
    held = {each["type"] for name in pack.GOOD for each in json.loads((ROOT / f"policies/tests/good/{name}.json").read_text())}
    assert made & {type_ for rule in RULES for type_ in rule.types()} - held == set()


def made_of_unused(resources: list[dict[str, object]]) -> set[str]:
    """Types that the catalogue says no stack has: its checks are then left out of the pack."""
    return {str(each["type"]) for each in resources if str(each["type"]).startswith((*UNUSED.values(), *UNUSED_ONES.values()))}


@pytest.mark.parametrize(("stack", "words"), [(stack, words) for stack in ready_stacks() for words in judged(stack) if words])
def test_of_a_variant_it_says_at_most_what_the_variant_is_for(stack: str, words: str) -> None:
    resources = specs(stack, dict(judged(stack)[words]))
    assert made_of_unused(resources) == set()
    found = Pack(RULES, KEEP if words == "extras" else DELETE).judge(resources)
    meant = {"floor-has-an-end": words in PROVISIONED, "smallest-tier": words in TIERS}
    assert {each.rule for each in found} <= {rule for rule, is_meant in meant.items() if is_meant}, found


def test_a_floor_without_an_end_is_told_on_every_platform() -> None:
    for stack in ("aws-lambda-api", "aws-sagemaker-api", "gcp-cloud-run-api"):
        found = Pack(RULES, DELETE).judge(specs(stack, dict(judged(stack)["drop provisioned"])))
        assert {each.rule for each in found} == {"floor-has-an-end"}


def test_the_largest_stack_is_judged_in_a_second() -> None:
    """Of processor time, so that a busy machine does not count; the engine adds a message for each resource."""
    resources = max((specs(stack) for stack in ready_stacks()), key=len)
    made = Pack(RULES, DELETE)
    started = time.process_time()
    made.judge(resources)
    assert time.process_time() - started < 1.0


def test_what_the_pack_adds_was_measured_on_the_largest_stack_and_keeps_its_promise() -> None:
    measured = json.loads((ROOT / "benchmarks/results/policies.json").read_text())
    largest = max(ready_stacks(), key=lambda stack: len(specs(stack)))
    assert measured["stack"]["name"] == largest
    added, promise = measured["added_s"], measured["promise"]
    assert set(added) == {"before the first up", "of a stack that is there"}
    assert promise["kept"] is True
    assert max(added.values()) <= promise["added_s"] == 1.0


@pytest.mark.parametrize("path", list(pack.pages()), ids=lambda path: path.name)
def test_what_is_generated_is_what_make_docs_would_write(path) -> None:  # type: ignore[no-untyped-def]
    assert path.read_text() == pack.pages()[path], "run `make docs`"


@pytest.mark.parametrize("name", pack.GOOD)
def test_good_resources_are_those_of_the_stacks(name: str) -> None:
    assert (pack.FOLDER / f"tests/good/{name}.json").read_text() == pack.good_graph(name), "run `make docs`"


@pytest.mark.parametrize("token", sorted({type_ for rule in RULES for type_ in rule.types()} - {"pulumi:pulumi:Stack"}))
def test_every_type_that_a_rule_names_is_one_of_the_sdks(token: str) -> None:
    package, module, name = token.split(":")
    folder = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure-native": "pulumi_azure_native"}[package]
    python = {"lambda": "lambda_"}.get(module.split("/")[0], module.split("/")[0])
    assert hasattr(importlib.import_module(f"{folder}.{python}"), name)

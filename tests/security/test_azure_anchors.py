"""Every rule of PSRule for Azure about what stacks declare is kept, and found broken where it is, or has its reason."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.security.azure_anchors import ANSWERED, NOT_APPLIED, TESTED
from tests.security.azure_rules import RULES
from tests.security.plans import names, resources
from tests.security.psrule import BY_SETTING, FAMILIES, KEPT, PUBLISHED, SURROUNDINGS, Kept, findings

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = [name for name in names() if name.startswith("azure-")]
# Types that have no tags in Resource Manager.
UNTAGGED = (
    "Microsoft.ApiManagement/service/",
    "Microsoft.App/containerApps/authConfigs",
    "Microsoft.Authorization/",
    "Microsoft.Consumption/",
    "Microsoft.DocumentDB/databaseAccounts/tableRole",
    "Microsoft.EventGrid/systemTopics/",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.Network/virtualNetworks/",
    "Microsoft.Storage/storageAccounts/",
)


def templates(variant: str) -> list[dict[str, Any]]:
    return [each["template"] for each in resources(variant) if each["template"]]


EVERY = [template for variant in VARIANTS for template in templates(variant)]


def bare(row: str) -> str:
    """A rule's name, without its number."""
    return row.rpartition(" ")[2] if row.startswith("AZR-") else row


def test_every_published_rule_has_one_row() -> None:
    rows = sorted([*KEPT, *(bare(row) for row in (*ANSWERED, *TESTED, *NOT_APPLIED))])
    assert len(rows) == len(set(rows)), [row for row in set(rows) if rows.count(row) > 1]
    assert sorted(row for row in rows if row.startswith("Azure.")) == sorted(PUBLISHED)


def test_every_type_that_is_declared_has_its_family_of_rules() -> None:
    told = {template["type"] for template in EVERY}
    assert [each for each in sorted(told) if not each.startswith(tuple(FAMILIES))] == []
    families = {family for group in FAMILIES.values() for family in group} | set(SURROUNDINGS)
    assert {rule.split(".")[1] for rule in PUBLISHED} == families


def test_answers_are_there() -> None:
    assert set(ANSWERED.values()) <= set(RULES)
    for place in TESTED.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(), place


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_rule_that_is_kept_is_kept(variant: str) -> None:
    assert findings(templates(variant)) == []


def test_every_rule_that_is_kept_is_about_something() -> None:
    declared = {template["type"] for template in EVERY}
    assert {kept.type for kept in KEPT.values()} - declared <= BY_SETTING


@pytest.mark.parametrize(("rule", "way"), [(rule, way) for rule, kept in KEPT.items() for way in kept.ways])
def test_a_rule_finds_its_fault(rule: str, way: str) -> None:
    kept = KEPT[rule]
    broken = with_value(kept, way, kept.fault)
    assert [told.partition(" is ")[0] for told in kept.broken(broken)] == [way]
    assert any(told.startswith(f"{rule}: ") for told in findings([broken]))


def with_value(kept: Kept, way: str, value: Any) -> dict[str, Any]:
    """A resource that keeps the rule, one of the plans where there is one, with one value changed."""
    *steps, last = way.split(".") if not way.startswith("properties.customProperties") else way.split(".", 1)
    made = copy.deepcopy(next((each for each in EVERY if each["type"] == kept.type and not kept.spares(each) and has(each, steps)), None))
    if made is None:
        assert kept.type in BY_SETTING
        made = {"type": kept.type, "name": "made-up", "properties": {}}
    place: Any = made
    for step in steps:
        place = place[step]
    place[last] = value
    return dict(made)


def has(template: Any, steps: list[str]) -> bool:
    for step in steps:
        template = template.get(step)
        if not isinstance(template, dict):
            return False
    return True


@pytest.mark.parametrize("rule", [rule for rule, kept in KEPT.items() if kept.spared])
def test_what_is_spared_has_a_reason_that_is_needed(rule: str) -> None:
    kept = KEPT[rule]
    spared = [template for template in EVERY if template["type"] == kept.type and kept.spares(template)]
    assert kept.why
    assert spared
    assert all(list(kept.broken(template)) for template in spared)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_can_have_tags_has_the_stacks(variant: str) -> None:
    tagged = [each for each in templates(variant) if not each["type"].startswith(UNTAGGED)]
    assert tagged
    assert [each["name"] for each in tagged if not {"project", "stack", "managed-by"} <= set(each.get("tags") or {})] == []

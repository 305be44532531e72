"""The policy pack and checkov on the same breaks: what checkov finds anew is what the broken rule says that it answers.

Checks of one resource alone (`CKV_AWS_`, `CKV_GCP_`, `CKV_AZURE_`), Azure's as templates of Resource Manager: those over several
(`CKV2_`) would need the whole graph of every break.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.security.plans import PLANS_VARIABLE
from tests.security.renamed import CLOUDS
from tests.security.terraform import terraform
from tests.security.test_azure import SCHEMA
from tests.security.test_checkov import run_checkov

Case = dict[str, Any]
ALONE = ("CKV_AWS_", "CKV_GCP_", "CKV_AZURE_")
_DOCUMENT = "It reads a policy that is a document of Terraform's, and the plan has its text."
_SEVERAL = "It follows a bucket to what configures it, and the resource stands alone here."
# (rule, check) that no break shows, and why checkov finds nothing new there.
UNSEEN: dict[tuple[str, str], str] = {
    ("bucket-refuses-plain-http", "CKV_AWS_379"): "It asks buckets with an access list that is public, and there is none.",
    ("callers-are-known", "CKV_AWS_258"): "No stack has the type: the break adds a whole resource.",
    (
        "calls-nobody-waits-for-are-kept",
        "CKV_AWS_116",
    ): "It wants the function's own setting, whatever its event invoke configuration says.",
    ("encrypted-at-rest", "CKV_AWS_19"): _SEVERAL,
    ("image-tags-stay", "CKV_AWS_51"): "It knows no exclusions, which the good graph has.",
    ("log-retention", "CKV_AWS_338"): "It wants a year: the parameter minimumDays, 365.",
    **dict.fromkeys((("no-policy-for-anyone", f"CKV_AWS_{number}") for number in (32, 168, 169, 387)), _DOCUMENT),
    ("managed-identity", "CKV_AZURE_191"): "It knows topics of one's own, and the break is of a system's topic.",
    ("managed-identity", "CKV_AZURE_194"): "It knows domains of Event Grid alone.",
    ("no-policy-for-anyone", "CKV_GCP_101"): "No stack has the type: the break adds a whole resource.",
    ("no-policy-for-anyone", "CKV_GCP_102"): "It knows the types of the older API alone.",
    ("no-wildcard-action", "CKV_AWS_62"): "It wants every action on every resource, which breaks two rules.",
    ("no-wildcard-action", "CKV_AWS_72"): _DOCUMENT,
    ("no-shared-keys", "CKV_AZURE_138"): "It asks registries of the dearer tiers, and the good graph's is a Basic one.",
    ("objects-have-versions", "CKV_AWS_21"): _SEVERAL,
    ("storage-not-public", "CKV_AWS_20"): _SEVERAL,
    ("storage-not-public", "CKV_AWS_57"): _SEVERAL,
    ("storage-not-public", "CKV_AZURE_59"): "Of a template it asks for the account's public address, whatever its blobs are.",
    ("storage-not-public", "CKV_AZURE_190"): "It knows Terraform's resources alone.",
}


@functools.cache
def cases() -> list[Case]:
    """The breaks of one resource of a type that the translation knows."""
    folder = Path(os.environ[PLANS_VARIABLE]) / "breaks"
    return [each for each in json.loads((folder / "cases.json").read_text()) if written(each) is not None]


def written(case: Case) -> list[dict[str, Any]] | None:
    """The resource before and after, as Terraform or a template has it; None for a type that is not translated."""
    if in_template(case):
        return [{"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [each["template"]]} for each in case["pair"]]
    try:
        return [terraform([each]) for each in case["pair"]]
    except KeyError:
        return None


def in_template(case: Case) -> bool:
    return case["pair"][0]["template"] is not None


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Case → checks that fail for what is broken and not for what was good."""
    failed: dict[str, set[str]] = {}
    for framework, name in (("terraform_json", "main.tf.json"), ("arm", "main.json")):
        root = tmp_path_factory.mktemp(framework)
        for case in [each for each in cases() if in_template(each) == (framework == "arm")]:
            for when, plan in zip(("before", "after"), written(case) or [], strict=True):
                (root / f"{case['name']}-{when}").mkdir()
                (root / f"{case['name']}-{when}" / name).write_text(json.dumps(plan))
        for each in run_checkov(root, framework)["results"]["failed_checks"]:
            failed.setdefault(Path(each["file_path"]).parts[1], set()).add(each["check_id"])
    return {case["name"]: failed.get(f"{case['name']}-after", set()) - failed.get(f"{case['name']}-before", set()) for case in cases()}


def test_most_breaks_are_judged_by_both(found):
    assert len(found) > 60
    assert {case["pair"][0]["type"].partition(":")[0] for case in cases()} == {*CLOUDS, "azure-native"}


def test_every_check_that_a_rule_answers_finds_a_break_of_it(found):
    answered = {(case["rule"], id_) for case in cases() for id_ in case["answers"] if id_.startswith(ALONE)}
    seen = {(case["rule"], id_) for case in cases() for id_ in found[case["name"]]}
    assert {*UNSEEN} == answered - seen, sorted({*UNSEEN} ^ (answered - seen))


def test_what_checkov_finds_anew_the_rule_answers(found):
    known = {id_ for case in cases() for id_ in case["answers"]}
    beside = {(case["rule"], id_) for case in cases() for id_ in found[case["name"]] & known if id_ not in case["answers"]}
    assert sorted(beside) == []

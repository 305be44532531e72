"""A plan as a comment: recorded plans of the real engine, and text that a stranger wrote."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilotlight.ci.comment import mark, markdown
from pilotlight.ci.github import MAX_BODY

RECORDED = Path(__file__).parent / "plans"


def plan(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def made(**more: Any) -> dict[str, Any]:
    base = {"stack": "mine", "operation": "preview", "result": "succeeded", "seconds": 2.0, "changes": {}, "resources": []}
    return {**base, "diagnostics": [], "policyPacks": ["pilotlight"], "violations": [], **more}


def violation(level: str, message: str, rule: str = "log-retention") -> dict[str, str]:
    return {"rule": rule, "level": level, "resource": "api-logs", "message": message}


def step(operation: str, name: str, *properties: str) -> dict[str, Any]:
    return {"urn": f"u::{name}", "type": "aws:sqs:Queue", "name": name, "operation": operation, "properties": list(properties)}


def test_a_plan_without_changes_says_so() -> None:
    text = markdown(made(changes={"unchanged": 101}))
    assert "Nothing changes (101 unchanged)." in text
    assert "Policies: nothing found by `pilotlight`." in text
    assert "<details>" not in text


def test_a_plan_that_no_pack_has_judged_says_so() -> None:
    assert "**No policy pack has judged this.**" in markdown(made(policyPacks=[]))


def test_rules_that_were_told_otherwise_are_named_with_what_they_were_told() -> None:
    """A pull request brings its own levels: nobody may take a pack that was switched off for one that found nothing."""
    told = {"all": "disabled", "log-retention": {"minimumDays": 1}, "tagged": {"enforcementLevel": "advisory", "keys": ["a"]}}
    for plan in (made(policyLevels=told), made(policyLevels=told, violations=[violation("advisory", "x", "tagged")])):
        text = markdown(plan)
        assert "`all` **disabled**, `log-retention` with `minimumDays`, `tagged` **advisory** with `keys`." in text
    assert "of its own" not in markdown(made(policyLevels={}))
    assert "@everybody" not in markdown(made(policyLevels={"@everybody": "@everybody"})).replace("`@everybody`", "")


def test_what_is_deleted_and_replaced_comes_first_with_what_changes() -> None:
    steps = [
        step("create", "new"),
        step("update", "changed", "tags", "memorySize"),
        step("replace", "other", "name"),
        step("delete", "old"),
    ]
    steps += [step("create-replacement", "other"), step("delete-replaced", "other"), step("read", "looked-up")]
    text = markdown(made(resources=steps, changes={"create": 1, "update": 1, "replace": 1, "delete": 1, "unchanged": 3}))
    rows = [line for line in text.splitlines() if "`aws:sqs:Queue`" in line]
    assert [re.findall(r"`([^`]+)`", row) for row in rows] == [
        ["-", "aws:sqs:Queue", "old"],
        ["±", "aws:sqs:Queue", "other", "name"],
        ["~", "aws:sqs:Queue", "changed", "tags", "memorySize"],
        ["+", "aws:sqs:Queue", "new"],
    ]
    assert "**1 to create**, **1 to update**, **1 to replace**, **1 to delete**, 3 unchanged." in text


def test_mandatory_findings_come_before_advisory_ones() -> None:
    text = markdown(made(result="failed", violations=[violation("advisory", "soft", "a-rule"), violation("mandatory", "hard")]))
    assert "Policies: **1 mandatory**, 1 advisory." in text
    assert text.index("hard") < text.index("soft")
    assert "preview failed" in text


def test_a_finding_is_told_once_and_an_error_beside_it_too() -> None:
    found = [violation("mandatory", "Set it to 30")]
    said = [
        {"severity": "error", "resource": "api-logs", "message": "log-retention: Set it to 30"},
        {"severity": "error", "resource": "api-role", "message": "no such region"},
        {"severity": "info", "resource": "", "message": "packaging"},
    ]
    text = markdown(made(result="failed", violations=found, diagnostics=said))
    assert text.count("Set it to 30") == 1
    assert "no such region" in text
    assert "packaging" not in text


def test_a_change_that_is_no_drift_says_why() -> None:
    text = markdown(made(diagnostics=[{"severity": "info", "resource": "api-endpoint", "message": "no drift: a schedule of this stack"}]))
    assert "| info | `api-endpoint` | no drift: a schedule of this stack |" in text


def test_what_only_an_up_decides_is_told_apart() -> None:
    text = markdown(made(violations=[violation("advisory", "soft", "a-rule"), violation("undecided", "arn is not known", "waiting")]))
    assert "Policies: **0 mandatory**, 1 advisory." in text
    assert "<summary>1 answers wait for values that up makes known</summary>" in text
    assert text.index("`a-rule`") < text.index("<summary>1 answers") < text.index("`waiting`")


HOSTILE = "@octo/all <img src=x onerror=y> [click](https://evil.example) `a` | b\n\n# Approved\n<!-- x --> ![i](u) **bold** \x1b[31m"


def test_what_a_stranger_wrote_is_neither_markup_nor_a_mention() -> None:
    hostile = made(
        stack=HOSTILE,
        result="failed",
        violations=[{"rule": HOSTILE, "level": HOSTILE, "resource": HOSTILE, "message": HOSTILE}],
        diagnostics=[{"severity": "error", "resource": HOSTILE, "message": "other " + HOSTILE}],
        resources=[{"operation": HOSTILE, "type": HOSTILE, "name": HOSTILE, "properties": [HOSTILE]}],
        changes={HOSTILE: 1},
    )
    text = markdown(hostile, commit=HOSTILE, link="javascript:alert(1)")
    outside = re.sub(r"`[^`]*`", "", text)
    assert "@" not in outside
    assert not re.search(r"<(?!/?(details|summary|sub)>)", outside)
    assert "](" not in re.sub(r"\\[\[\]()]", "", outside)
    assert "https://" not in outside
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line.startswith("#") and "Approved" in line and not line.startswith("### `")]
    assert "\n" not in mark(HOSTILE)
    assert "--" not in mark(HOSTILE)[4:-3].replace("plan: ", "") or mark(HOSTILE).count("-->") == 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["operation", "level", "create", "resource"]), inner),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(["changes", "resources", "diagnostics", "violations", "policyPacks", "policyLevels", "seconds"], ANYTHING)
    )
)
@example({"changes": {"create": "x"}})
@example({"resources": [{"operation": ["create"]}]})
def test_what_has_no_form_of_a_plan_keeps_no_other_plan_from_being_told(plan: dict[str, Any]) -> None:
    assert markdown(made(**plan)).startswith("### ")


@pytest.mark.parametrize("changes", [{"create": "x"}, ["create"], "create", {"create": 1, "delete": None}])
def test_counts_that_are_none_do_not_pass_for_no_change(changes: Any) -> None:
    text = markdown(made(changes=changes))
    assert "can't be told" in text
    assert "Nothing changes" not in text


def test_a_table_has_as_many_cells_in_every_row() -> None:
    text = markdown(made(violations=[violation("advisory", HOSTILE)], resources=[step("create", HOSTILE)]))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_a_comment_is_no_longer_than_github_takes() -> None:
    text = markdown(made(violations=[violation("advisory", "x" * 300, f"rule-{number}") for number in range(900)]))
    assert len(f"{mark('mine')}\n{text}") <= MAX_BODY
    assert text.endswith("Cut here: the job's log has the rest.\n")


def test_many_resources_are_cut_to_a_number_that_is_told() -> None:
    text = markdown(made(resources=[step("create", f"r{number}") for number in range(400)]))
    assert "<summary>400 resources</summary>" in text
    assert "250 more: the job's log has them." in text


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.json")))
def test_a_recorded_plan_is_told_whole(name: str) -> None:
    recorded = plan(name)
    text = markdown(recorded, commit="0123456789abcdef", link="https://github.example/octo/blueprints/actions/runs/1")
    for each in recorded["violations"]:
        assert f"`{each['rule']}`" in text
    for each in recorded["resources"]:
        assert f"`{each['name']}`" in text
    assert "of `0123456789ab`" in text
    assert "[the run](https://github.example/octo/blueprints/actions/runs/1)" in text
    assert "ciphertext" not in text

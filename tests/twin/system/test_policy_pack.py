"""The pack in the real engine on ready stacks: before the first `up`, where some values are not known, and after it, where all are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from policies.rules import RULES
from tests.conformance.stacks import STACKS, ReadyStack
from tests.support.deployment import Deployment
from tests.support.size import only_all

PACK = Path(__file__).resolve().parents[3] / "policies"
# What a rule says that could not run: for which value, of which resource. Never the stack's own config, which the engine has.
UNREAD = re.compile(r"can't run policy .*?: \S+: \S+ is not known before it is made")
# A preview of one stack in every run: each starts the engine, the program and the pack.
USUAL = "aws-lambda-events"
# What a preview knows of is another thing on each cloud.
ONE_OF_EACH = (USUAL, "gcp-cloud-run-api", "azure-container-apps-api")


def told(deployment: Deployment, *arguments: str) -> list[dict[str, Any]]:
    report = deployment.report(*arguments, "--policy-pack", str(PACK))
    assert report["result"] == "succeeded", report["diagnostics"]
    ids = {rule.id for rule in RULES}
    return [each for each in report["diagnostics"] if any(id_ in each["message"] for id_ in ids)]


@pytest.mark.parametrize(
    "ready", [pytest.param(each, marks=[] if each.name in ONE_OF_EACH else only_all) for each in STACKS], ids=lambda each: each.name
)
def test_a_preview_before_the_first_up_has_nothing_against_the_stack_and_names_what_it_cannot_know(
    deployment: Deployment, ready: ReadyStack
) -> None:
    found = told(deployment, "preview", ready.name, "--local")
    assert found, "something is never known before the first `up`"
    assert [each for each in found if each["severity"] != "warning"] == []
    assert [each["message"] for each in found if not UNREAD.search(each["message"])] == []


@only_all
@pytest.mark.parametrize("ready", STACKS, ids=lambda each: each.name)
def test_after_up_nothing_is_left_that_it_cannot_know(deployment: Deployment, ready: ReadyStack, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    kept = {"enforcementLevel": "mandatory", "dataRetention": ready.service.get("dataRetention", "keep")}
    config.write_text(json.dumps(dict.fromkeys(("data-is-protected", "data-can-be-restored"), kept)))
    assert deployment.up(ready.name)["result"] == "succeeded"
    analyze = ("policy", "analyze", "--stack", ready.name, "--policy-pack", str(PACK), "--policy-pack-config", str(config))
    said = deployment.pulumi(*analyze)
    assert "pilotlight@v" in said, said
    assert "can't run policy" not in said, said
    assert not any(rule.id in said for rule in RULES), said
    # The engine does not tell how many rules judged. That they do, one says that is asked for what no resource has.
    config.write_text(json.dumps({"tagged": {"enforcementLevel": "advisory", "keys": ["what-nobody-has"]}}))
    assert "what-nobody-has" in deployment.pulumi(*analyze)
    assert deployment.report("destroy", ready.name)["result"] == "succeeded"

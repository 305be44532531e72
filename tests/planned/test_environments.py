"""The environment of a pull request, planned: its names are short enough, and the policies have nothing against it."""

import shutil
from pathlib import Path

import pytest

from pilotlight.ci.environment import write
from pilotlight.planned import ROOT, config_of, plan_as, ready_stacks
from policies.rules import RULES
from policies.tests.harness import Pack
from tests.planned.test_policy_pack import DELETE, specs_of
from tests.support.size import only_all

# Of each cloud the one with the longest name.
USUAL = ("aws-sagemaker-events", "azure-container-apps-gpu-events", "gcp-cloud-run-gpu-events")
STACKS = [pytest.param(stack, marks=[] if stack in USUAL else only_all) for stack in ready_stacks()]


@pytest.mark.parametrize("stack", STACKS)
def test_an_environment_of_a_late_pull_request_passes_the_policies(stack: str, tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    shutil.copy(ROOT / f"stacks/Pulumi.{stack}.yaml", tmp_path / "stacks")
    # docs/ci.md: on Google Cloud a name longer than 21 characters leaves room for lower numbers only.
    name = write(tmp_path, 99 if stack == "gcp-cloud-run-gpu-events" else 99_999, stack)
    made = plan_as(name, config_of(name, tmp_path))
    assert len(made.resources) > 20
    assert Pack(RULES, DELETE).judge(specs_of(made.resources)) == []

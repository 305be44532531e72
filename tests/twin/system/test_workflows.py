"""The steps of the workflows, as their files have them, on the twin: a plan with its policies, an environment from `up` to its end.

What the twin replaces is the account: `.venv/bin/pilotlight` of this checkout says --local where the workflow's says nothing or --cloud.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployment import COMMAND, PATIENCE_S, Deployment
from tests.support.size import only_all

STACK = "aws-sagemaker-api"
SHIM = """#!/bin/sh
verb="$1"; stack="$2"
case "$verb" in
  preview|up) exec {command} "$@" --local ;;
  analyze) exec {command} analyze "$stack" --local ;;
esac
exec {command} "$@"
"""


def install(deployment: Deployment) -> None:
    """`.venv/bin`, as the action `setup` leaves it."""
    folder = deployment.checkout / ".venv" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "pilotlight": SHIM.format(command=shlex.quote(str(COMMAND))),
        "python": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n',
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def run_job(deployment: Deployment, workflow: str, job: str, told: dict[str, str], folder: Path) -> tuple[dict[str, str], str]:
    """Run the scripts of a job one after another, expressions replaced by what GitHub would put there. The outputs of its steps, and its
    summary. A failed step fails the test."""
    install(deployment)
    described = yaml.safe_load((deployment.checkout / f".github/workflows/{workflow}.yml").read_text())["jobs"][job]
    outputs, summary = folder / "outputs", folder / "summary.md"
    known = dict(told)
    for step in described["steps"]:
        if "run" not in step:
            continue
        values = {name: filled(str(value), known) for name, value in {**described.get("env", {}), **step.get("env", {})}.items()}
        files = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
        variables = {
            **deployment.environment,
            **deployment.variables(),
            **{name: value for name, value in values.items() if value},
            **files,
        }
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=deployment.checkout,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{step['name']}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        for line in outputs.read_text().splitlines() if outputs.exists() else []:
            name, value = line.split("=", 1)
            known[f"steps.{step.get('id', '')}.outputs.{name}"] = value
    return known, summary.read_text() if summary.exists() else ""


def filled(text: str, known: dict[str, str]) -> str:
    """An expression's value; a KeyError is one that this test does not know."""
    return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: known[match[1]], text)


def plan_of(deployment: Deployment, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((deployment.checkout / f"plans/{stack}.json").read_text())
    return found


def test_a_pull_requests_plan_is_judged_and_told(deployment: Deployment, tmp_path: Path) -> None:
    told = {"matrix.stack": STACK, "vars.PULUMI_BACKEND_URL": "", "inputs.drift": "false"}
    _, summary = run_job(deployment, "plan", "plan", told, tmp_path)
    plan = plan_of(deployment, STACK)
    assert (plan["result"], plan["policyPacks"]) == ("succeeded", ["pilotlight"])
    assert not [each for each in plan["violations"] if each["level"] == "mandatory"]
    assert f"**{plan['changes']['create']} to create**" in summary
    assert plan["changes"]["create"] > 90


def test_a_check_tells_every_stack_and_file_and_what_was_not_looked_at(deployment: Deployment) -> None:
    broken = deployment.checkout / "stacks/Pulumi.broken.yaml"
    broken.write_text((deployment.checkout / f"stacks/Pulumi.{STACK}.yaml").read_text().replace("memoryMb: 2048", "memoryMb: 3000"))
    try:
        checked = deployment.run("check", STACK, "broken", "--plans", "plans", "--json", code=1)
    finally:
        broken.unlink()
    told = json.loads(checked.stdout)
    found = {(each["check"], each["subject"]): each for each in told["checks"]}
    assert told["result"] == "fail"
    assert {key: each["status"] for key, each in found.items() if key[0] in ("settings", "plan")} == {
        ("settings", STACK): "ok",
        ("plan", STACK): "ok",
        ("settings", "broken"): "fail",
    }, checked.stderr
    assert any("memoryMb: 3000" in line for line in found["settings", "broken"]["problems"])
    assert any(note.startswith("decided after `up`, by `pilotlight analyze`: ") for note in found["plan", STACK]["notes"])
    assert found["hadolint", "containers/Dockerfile"]["status"] == "ok"
    assert all(
        each["status"] == "ok" or "is not installed" in each["notes"][0] for key, each in found.items() if key[1].startswith(".github")
    )
    assert plan_of(deployment, STACK)["policyPacks"] == ["pilotlight"]


@only_all
def test_a_plan_that_a_rule_refuses_fails_and_is_told_all_the_same(deployment: Deployment, tmp_path: Path) -> None:
    path = deployment.checkout / f"stacks/Pulumi.{STACK}.yaml"
    kept = path.read_text()
    deployment.configure(STACK, {"warming": [{"kind": "provisioned", "instances": 1}]})
    told = {"matrix.stack": STACK, "vars.PULUMI_BACKEND_URL": "", "inputs.drift": "false"}
    with pytest.raises(AssertionError, match="Preview: 1"):
        run_job(deployment, "plan", "plan", told, tmp_path)
    path.write_text(kept)
    plan = plan_of(deployment, STACK)
    assert [each["rule"] for each in plan["violations"] if each["level"] == "mandatory"] == ["floor-has-an-end"]
    command = [sys.executable, "-m", "pilotlight.ci", "summary", "plans"]
    text = subprocess.run(command, cwd=deployment.checkout, env=deployment.environment, capture_output=True, text=True, check=True).stdout
    assert "Policies: **1 mandatory**" in text
    assert "`floor-has-an-end`" in text


@only_all
def test_what_is_deployed_has_not_drifted_and_an_environment_beside_it_comes_and_goes(deployment: Deployment, tmp_path: Path) -> None:
    # It also leaves the account's role for access logs, which an environment does not make.
    deployment.up(STACK)
    told = {
        "matrix.stack": STACK,
        "vars.PULUMI_BACKEND_URL": "",
        "vars.PULUMI_SECRETS_PROVIDER": "",
        "vars.GOOGLE_ACCOUNT": "",
        "vars.AZURE_SUBSCRIPTION_ID": "",
        "github.event.pull_request.number": "7",
        "inputs.drift": "true",
    }
    run_job(deployment, "plan", "plan", told, tmp_path)
    assert set(plan_of(deployment, STACK)["changes"]) == {"unchanged"}
    known, summary = run_job(deployment, "environment", "up", told, tmp_path)
    name = known["steps.environment.outputs.stack"]
    assert name == f"pr-7-{STACK}"
    assert plan_of(deployment, name)["result"] == "succeeded"
    assert f"`{name}`: up succeeded" in summary
    run_job(deployment, "environment", "end", told, tmp_path)
    assert [each["name"] for each in json.loads(deployment.pulumi("stack", "ls", "--json"))] == [STACK]
    assert deployment.outputs(STACK)["url"]

"""`python -m pilotlight.ci`, as the workflows call it: outputs of a step, summaries, comments."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.ci.__main__ import ROOT, SIGNS_IN, main
from tests.unit.ci.api import REPOSITORY, TOKEN, World, github
from tests.unit.ci.test_selection import git

PLAN = {
    "stack": "mine",
    "operation": "preview",
    "result": "succeeded",
    "seconds": 2.0,
    "changes": {"unchanged": 3},
    "resources": [],
    "outputs": {},
    "diagnostics": [],
    "policyPacks": ["pilotlight"],
    "violations": [],
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with github() as made:
        monkeypatch.setenv("GITHUB_API_URL", made.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_REF_NAME", "main")
        yield made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a stack of each of two clouds, whose second commit changes one cloud's component."""
    root = tmp_path / "checkout"
    for path, text in {
        "stacks/Pulumi.one.yaml": "cloud: aws\n",
        "stacks/Pulumi.two.yaml": "cloud: gcp\n",
        "components/gcp/home.py": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    (root / "components/gcp/home.py").write_text("changed = True\n")
    git(root, "commit", "--quiet", "--all", "--message", "second")
    return root


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    file = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    monkeypatch.setenv("STACKS", "one two")

    def read() -> dict[str, str]:
        return dict(line.split("=", 1) for line in file.read_text().splitlines())

    return read


def commit(root: Path, name: str) -> str:
    return subprocess.run(["git", "rev-parse", name], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def told(outputs: Any) -> list[str]:
    return [each["stack"] for each in json.loads(outputs()["matrix"])["include"]]


def test_a_pull_request_concerns_what_differs_from_its_base(checkout: Path, outputs: Any) -> None:
    assert main(["--root", str(checkout), "stacks", "--base", "HEAD^1"]) == 0
    assert (told(outputs), outputs()["clouds"], outputs()["any"]) == (["two"], '["gcp"]', "true")


def test_nothing_that_concerns_a_stack_is_nothing_to_do(checkout: Path, outputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKS", "one")
    assert main(["--root", str(checkout), "stacks", "--base", "HEAD^1"]) == 0
    assert (told(outputs), outputs()["any"]) == ([], "false")


def test_without_a_base_every_stack_is_concerned(checkout: Path, outputs: Any) -> None:
    assert main(["--root", str(checkout), "stacks"]) == 0
    assert told(outputs) == ["one", "two"]


def test_a_deployment_concerns_what_no_run_has_brought_up_yet(checkout: Path, outputs: Any, world: World) -> None:
    since = ["--root", str(checkout), "stacks", "--since-run", "deploy.yml"]
    assert main(since) == 0
    assert told(outputs) == ["one", "two"], "no run has gone well"
    world.runs = [{"branch": "main", "status": "success", "head_sha": commit(checkout, "HEAD^1")}]
    assert main(since) == 0
    assert told(outputs) == ["two"]
    world.runs = [{"branch": "main", "status": "success", "head_sha": commit(checkout, "HEAD")}]
    assert main(since) == 0
    assert told(outputs) == []
    world.runs = [{"branch": "main", "status": "success", "head_sha": "f" * 40}]
    assert main(since) == 0
    assert told(outputs) == ["one", "two"], "that commit is gone"


def test_drift_concerns_what_was_there_when_a_run_went_well_last(
    checkout: Path, outputs: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    of_run = ["--root", str(checkout), "stacks", "--of-run", "deploy.yml"]
    assert main(of_run) == 0
    assert (told(outputs), outputs()["commit"]) == (["one", "two"], ""), "no run has gone well"
    deployed = commit(checkout, "HEAD")
    (checkout / "stacks/Pulumi.three.yaml").write_text("cloud: azure\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "third")
    world.runs = [{"branch": "main", "status": "success", "head_sha": deployed}]
    assert main([*of_run, "--wish", "one two three"]) == 0
    assert (told(outputs), outputs()["commit"]) == (["one", "two"], deployed)
    assert f"Not there at {deployed}, the last that deploy.yml has deployed: three." in capsys.readouterr().err
    world.runs = [{"branch": "main", "status": "success", "head_sha": "f" * 40}]
    assert main([*of_run, "--wish", "one two three"]) == 0
    assert (told(outputs), outputs()["commit"]) == (["one", "two", "three"], ""), "that commit is gone"


def test_a_name_that_there_is_no_stack_of_fails(checkout: Path, outputs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(checkout), "stacks", "--wish", "one three"]) == 1
    assert "There is no stack 'three': known are one, two." in capsys.readouterr().err


def write(folder: Path, **plans: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, plan in plans.items():
        (folder / f"{name}.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    return folder


def test_plans_become_a_comment_each_and_are_edited(tmp_path: Path, world: World) -> None:
    plans = write(tmp_path / "plans", mine=PLAN, other={**PLAN, "stack": "other"})
    arguments = ["comment", str(plans), "--number", "7", "--commit", "0123456789abcdef"]
    assert main(arguments) == 0
    write(plans, mine={**PLAN, "changes": {"create": 4}})
    assert main(arguments) == 0
    assert len(world.comments) == 2
    assert "**4 to create**" in world.comments[0]["body"]


def test_a_plan_that_is_none_hides_no_other(tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    plans = write(tmp_path / "plans", broken="", list="[]", mine=PLAN)
    assert main(["comment", str(plans), "--number", "7"]) == 1
    assert len(world.comments) == 1
    said = capsys.readouterr().err
    assert "broken.json is no plan" in said
    assert "list.json is no plan: it names no stack" in said


def test_an_earlier_plan_does_not_stand_for_one_that_failed(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    both = write(tmp_path / "both", mine=PLAN, other={**PLAN, "stack": "other"})
    assert main(["comment", str(both), "--number", "7"]) == 0
    monkeypatch.setenv("MATRIX", json.dumps({"include": [{"stack": each, "cloud": "aws"} for each in ("mine", "other", "new")]}))
    plans = write(tmp_path / "one", mine=PLAN, other="")
    assert main(["comment", str(plans), "--number", "7", "--commit", "0123456789abcdef", "--link", "https://github.example/run"]) == 1
    mine, other, new = (comment["body"] for comment in world.comments)
    assert "preview succeeded" in mine
    assert "### `other`: no plan" in other
    assert "preview succeeded" not in other
    assert "of `0123456789ab` · [the run](https://github.example/run)" in other
    assert "### `new`: no plan" in new


def test_an_earlier_plan_does_not_stand_for_a_change_that_no_longer_concerns_the_stack(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = write(tmp_path / "both", mine=PLAN, other={**PLAN, "stack": "other"})
    assert main(["comment", str(both), "--number", "7"]) == 0
    monkeypatch.setenv("STACKS", "mine other never")
    for concerned, bodies in (("mine", ["preview succeeded", "not concerned"]), ("", ["not concerned", "not concerned"])):
        monkeypatch.setenv("MATRIX", json.dumps({"include": [{"stack": each, "cloud": "aws"} for each in concerned.split()]}))
        # Where no stack is concerned nothing was downloaded.
        plans = write(tmp_path / "one", mine=PLAN) if concerned else tmp_path / "none"
        assert main(["comment", str(plans), "--number", "7", "--commit", "0123456789abcdef"]) == 0
        assert len(world.comments) == 2, "none where there was none"
        assert [said in comment["body"] for said, comment in zip(bodies, world.comments, strict=True)] == [True, True]
    assert "of `0123456789ab`" in world.comments[0]["body"]


@pytest.mark.parametrize(("cloud", "there"), [("aws", "true"), ("gcp", "false"), ("azure", "false")])
def test_a_cloud_is_signed_in_to_where_the_environment_says_who(
    cloud: str, there: str, outputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKS", "")
    monkeypatch.setenv(
        "VARIABLES", json.dumps({"AWS_ROLE": "arn:aws:iam::111122223333:role/r", "GOOGLE_PROVIDER": "p", "AZURE_CLIENT_ID": ""})
    )
    assert main(["signs-in", "--cloud", cloud]) == 0
    assert outputs()["any"] == there


@pytest.mark.parametrize(("variables", "status", "says"), [
    ({}, 1, "one: in aws, and the environment has no variable AWS_ROLE to sign in by: set it there."),
    ({"AWS_ROLE": "arn:aws:iam::111122223333:role/r"}, 0, "aws: signed in to by AWS_ROLE."),
])  # fmt: skip
def test_a_cloud_that_has_environments_and_nobody_to_end_them_is_a_failure(
    checkout: Path,
    outputs: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: Any,
    status: int,
    says: str,
) -> None:
    monkeypatch.setenv("VARIABLES", json.dumps(variables))
    assert main(["--root", str(checkout), "signs-in", "--cloud", "aws"]) == status
    assert says in capsys.readouterr().err


def test_a_stack_whose_file_is_gone_keeps_no_environment_from_being_ended(
    checkout: Path, outputs: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VARIABLES", json.dumps({"AWS_ROLE": "arn:aws:iam::111122223333:role/r"}))
    monkeypatch.setenv("STACKS", "gone one")
    assert main(["--root", str(checkout), "signs-in", "--cloud", "aws"]) == 0
    assert outputs()["any"] == "true"
    assert "There is no stack 'gone'" in capsys.readouterr().err


def test_without_a_matrix_no_other_stack_is_called_unconcerned(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = write(tmp_path / "plans", mine=PLAN, other={**PLAN, "stack": "other"})
    assert main(["comment", str(plans), "--number", "7"]) == 0
    monkeypatch.setenv("STACKS", "mine other")
    assert main(["comment", str(write(tmp_path / "one", mine=PLAN)), "--number", "7"]) == 0
    assert "not concerned" not in world.comments[1]["body"]


def test_what_signs_in_is_what_the_action_reads() -> None:
    action = (ROOT / ".github/actions/login/action.yml").read_text()
    assert all(f"fromJSON(inputs.variables).{name} " in action.replace("}}", " }}") for name in SIGNS_IN.values())


def test_no_plan_at_all_fails(tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comment", str(write(tmp_path / "plans")), "--number", "7"]) == 1
    assert "No plan in" in capsys.readouterr().err


def test_a_summary_goes_where_github_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert main(["summary", str(write(tmp_path / "plans", mine=PLAN))]) == 0
    assert (tmp_path / "summary.md").read_text().startswith("### `mine`: preview succeeded")


def test_without_githubs_variables_the_one_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert main(["comment", str(write(tmp_path / "plans", mine=PLAN)), "--number", "7"]) == 1
    assert "GITHUB_REPOSITORY is not set" in capsys.readouterr().err

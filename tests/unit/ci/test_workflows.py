"""The workflows as files: what they may do, what they run, and that what they name exists."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pilotlight.ci.__main__ import _parser
from pilotlight.ci.trust import ENVIRONMENTS, OF_THE_BRANCH, REVIEWED
from pilotlight.planned import ready_stacks

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".github"
# Those of a fork's own are what it makes them (docs/forking.md).
WORKFLOWS = sorted(path for path in (FOLDER / "workflows").glob("*.yml") if not path.name.startswith("own-"))
ACTIONS = sorted((FOLDER / "actions").glob("*/action.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
TOKEN_OF_CLOUDS = {"id-token": "write"}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    found: dict[str, Any] = workflow[True]
    return found


def jobs() -> list[Any]:
    return [pytest.param(path, name, job, id=f"{path.stem}-{name}") for path in WORKFLOWS for name, job in read(path)["jobs"].items()]


def steps() -> list[tuple[str, dict[str, Any]]]:
    """Every step of every workflow and action, with where it is."""
    of_jobs = [
        (f"{path.stem}/{name}", step) for path in WORKFLOWS for name, job in read(path)["jobs"].items() for step in job.get("steps", [])
    ]
    return of_jobs + [(path.parent.name, step) for path in ACTIONS for step in read(path)["runs"]["steps"]]


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_action_is_of_this_repository_or_pinned_by_its_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert [line for line in used if not line.startswith("./.github/") and not PINNED.fullmatch(line)] == []


def test_one_action_has_one_version_everywhere() -> None:
    used = {line for path in [*WORKFLOWS, *ACTIONS] for line in re.findall(r"uses: (\S+@.+)", path.read_text())}
    names = [line.split("@")[0] for line in used]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_nothing_by_itself_and_runs_beside_no_other_of_its_kind(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers(workflow))
    if "workflow_call" in triggers(workflow):
        return
    # One group for all, or one for each job that signs in somewhere.
    signing_in = [job for job in workflow["jobs"].values() if "id-token" in job["permissions"]]
    groups = [workflow["concurrency"]] if "concurrency" in workflow else [job["concurrency"] for job in signing_in]
    assert groups
    assert all(isinstance(each["cancel-in-progress"], bool) for each in groups)
    assert len({each["group"] for each in groups}) == len(groups)


def test_the_night_ends_environments_without_a_reviewer_and_beside_everything_else() -> None:
    found = read(FOLDER / "workflows/nightly.yml")
    sweep = found["jobs"]["sweep"]
    assert sweep["environment"] == "cleanup"
    assert "cleanup" not in REVIEWED
    assert "cleanup" in OF_THE_BRANCH
    assert "needs" not in sweep
    assert "concurrency" not in found
    # Of one group GitHub keeps one that waits: each cloud has its own.
    assert "${{ matrix.cloud }}" in sweep["concurrency"]["group"]
    assert sweep["concurrency"]["cancel-in-progress"] is False
    entered = [job.get("environment") for path in WORKFLOWS for job in read(path)["jobs"].values()]
    assert entered.count("cleanup") == 1, "no other job may enter it"


def test_drift_is_looked_for_in_what_was_deployed() -> None:
    found = read(FOLDER / "workflows/nightly.yml")["jobs"]
    (select,) = (step["run"] for step in found["select"]["steps"] if step.get("id") == "select")
    assert "--of-run deploy.yml" in select
    assert found["select"]["permissions"]["actions"] == "read"
    assert found["drift"]["with"]["commit"] == "${{ needs.select.outputs.commit }}"
    plan = read(FOLDER / "workflows/plan.yml")["jobs"]["plan"]
    (checkout,) = (step for step in plan["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["ref"] == "${{ inputs.commit }}"


def test_the_night_asks_the_public_checkers() -> None:
    scripts = [step.get("run") for job in read(FOLDER / "workflows/nightly.yml")["jobs"].values() for step in job.get("steps", [])]
    assert {"make test", "make test-security"} <= set(scripts)


def test_each_week_every_whole_stack_of_every_cloud_is_tried() -> None:
    (job,) = read(FOLDER / "workflows/weekly.yml")["jobs"].values()
    assert set(job["strategy"]["matrix"]["cloud"]) == {stack.partition("-")[0] for stack in ready_stacks()}
    assert job["strategy"]["fail-fast"] is False
    assert job["steps"][-1]["run"] == 'make test-large CLOUD="$CLOUD"'


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_says_what_it_may_and_when_it_is_over(path: Path, name: str, job: dict[str, Any]) -> None:
    writes = {key: value for key, value in job["permissions"].items() if value != "read"}
    if "uses" not in job:
        assert job["timeout-minutes"] <= 180
        assert job["runs-on"] == "ubuntu-24.04"
    # A token of the clouds only where an environment decides who may have it, and what writes on GitHub has none.
    assert writes in ({}, TOKEN_OF_CLOUDS, {"pull-requests": "write"})
    if writes == TOKEN_OF_CLOUDS and "uses" not in job:
        either = re.fullmatch(r"\$\{\{ inputs\.drift && '(.+)' \|\| '(.+)' \}\}", job["environment"])
        assert set(either.groups() if either else [job["environment"]]) <= set(ENVIRONMENTS)
    if "environment" in job:
        assert writes == TOKEN_OF_CLOUDS


def test_what_may_comment_runs_nothing_of_the_pull_request() -> None:
    comment = [job for path in WORKFLOWS for job in read(path)["jobs"].values() if job["permissions"].get("pull-requests") == "write"]
    assert comment
    for job in comment:
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step["with"]["ref"] for step in checkouts] == ["${{ github.event.pull_request.base.sha }}"]


def test_what_is_merged_is_deployed_after_its_plan_in_the_environment_that_is_approved() -> None:
    found = read(FOLDER / "workflows/deploy.yml")
    deploy = found["jobs"]["deploy"]
    assert (deploy["environment"], deploy["needs"]) == ("production", ["select", "plan"])
    # A condition that holds without its plan would let it run after one that failed.
    assert "if" not in deploy
    assert found["jobs"]["plan"]["uses"] == "./.github/workflows/plan.yml"
    assert triggers(found) == {"push": {"branches": ["main"]}, "workflow_dispatch": None}


def test_the_pack_judges_every_plan_and_every_up_and_then_what_is_there() -> None:
    seen = set()
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            scripts = [step.get("run", "") for step in job.get("steps", [])]
            lines = [line for script in scripts for line in script.splitlines()]
            runs = [number for number, line in enumerate(lines) if re.search(r"pilotlight (preview|up) ", line)]
            assert all("--policy-pack policies " in lines[number] for number in runs), f"{path.name}: {name}"
            ups = [number for number in runs if "pilotlight up " in lines[number]]
            judged = [number for number, line in enumerate(lines) if re.fullmatch(r'\.venv/bin/pilotlight analyze "\$STACK" --cloud', line)]
            assert [number for number in ups if not any(number < each for each in judged)] == [], f"{path.name}: {name}"
            seen |= {(path.stem, name)} if runs else set()
    assert seen == {("plan", "plan"), ("deploy", "deploy"), ("environment", "up")}


def test_a_pull_request_of_a_stranger_reaches_no_environment() -> None:
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    for path in WORKFLOWS:
        workflow = read(path)
        if "pull_request" in triggers(workflow):
            for name, job in workflow["jobs"].items():
                guarded = any(same in workflow["jobs"][each].get("if", "") for each in {name, *needed(workflow["jobs"], name)})
                assert guarded or job["permissions"] == {"contents": "read"}, f"{path.name}: {name}"


def needed(jobs_: dict[str, Any], name: str) -> set[str]:
    """The jobs without which this one does not run."""
    needs = jobs_[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(needed(jobs_, each) for each in direct))


def holds(condition: str, action: str, state: str, labels: tuple[str, ...], label: str = "") -> bool:
    """What GitHub makes of a job's `if` for an event of a pull request of this repository."""
    text = condition.replace("&&", " and ").replace("||", " or ").replace("pull_request.labels.*.name", "labels")
    head = SimpleNamespace(repo=SimpleNamespace(full_name="octo/blueprints"))
    pull = SimpleNamespace(state=state, head=head)
    event = SimpleNamespace(action=action, label=SimpleNamespace(name=label), labels=labels, pull_request=pull)
    names = {
        "github": SimpleNamespace(event=event, repository="octo/blueprints"),
        "vars": SimpleNamespace(ENVIRONMENT_STACKS="mine"),
        "needs": SimpleNamespace(select=SimpleNamespace(outputs=SimpleNamespace(any="true"))),
        "contains": lambda values, value: value in values,
    }
    return bool(eval(" ".join(text.split()), names))


@pytest.mark.parametrize(
    ("event", "does"),
    [
        (("labeled", "open", ("environment",), "environment"), ["select", "up"]),
        (("labeled", "open", ("bug",), "bug"), []),
        (("synchronize", "open", ("environment",)), ["select", "up"]),
        (("synchronize", "open", ()), []),
        (("unlabeled", "open", ("bug",), "environment"), ["select", "end"]),
        (("unlabeled", "open", ("environment",), "bug"), ["select", "up"]),
        (("closed", "closed", ("environment",)), ["select", "end"]),
        (("closed", "closed", ()), []),
        # A bot's label on what is merged already: by then the end may have been replaced in the queue.
        (("labeled", "closed", ("environment", "released"), "released"), ["select", "end"]),
        (("unlabeled", "closed", (), "environment"), ["select", "end"]),
    ],
)
def test_an_environment_is_made_for_what_is_open_and_ended_with_it(event: Any, does: list[str]) -> None:
    found = read(FOLDER / "workflows/environment.yml")["jobs"]
    selected = holds(found["select"]["if"], *event)
    assert [name for name, job in found.items() if selected and holds(job["if"], *event)] == does


@pytest.mark.parametrize(("where", "step"), steps(), ids=lambda each: each if isinstance(each, str) else "")
def test_a_script_has_no_expression_in_it(where: str, step: dict[str, Any]) -> None:
    """What GitHub puts into a script's text is run; a variable's value is not."""
    assert "${{" not in step.get("run", "")


def test_no_secret_is_stored() -> None:
    text = "".join(path.read_text() for path in [*WORKFLOWS, *ACTIONS])
    assert "secrets." not in text
    assert "secrets: inherit" not in text


def test_a_checkout_keeps_no_credentials() -> None:
    checkouts = [(where, step) for where, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) > len(WORKFLOWS)
    assert [where for where, step in checkouts if step["with"]["persist-credentials"] is not False] == []


def test_every_command_that_is_run_exists() -> None:
    """Each command line of `pilotlight.ci` is one that its parser takes; each verb and make target is there."""
    import typer

    from pilotlight.cli.main import app

    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    seen = set()
    for where, step in steps():
        for line in step.get("run", "").splitlines():
            words = [word.strip('"') for word in line.split(">")[0].split()]
            if "pilotlight.ci" in words:
                arguments = ["7" if word in ("$NUMBER", "$HOURS") else "aws" if word == "$CLOUD" else word for word in words[3:]]
                _parser().parse_args(arguments)
                seen.add(f"ci {arguments[0]}")
            elif words[:1] == [".venv/bin/pilotlight"]:
                command = commands[words[1]]
                known = {option for parameter in command.params for option in parameter.opts}
                assert {word for word in words[2:] if word.startswith("--")} <= known, f"{where}: {line}"
                seen.add(words[1])
            elif words[:1] == ["make"]:
                assert words[1] in targets, f"{where}: {line}"
                seen.add(f"make {words[1]}")
    assert {
        "ci stacks",
        "ci comment",
        "ci summary",
        "ci environment",
        "ci end",
        "ci sweep",
        "ci signs-in",
        "preview",
        "up",
        "analyze",
        "make check",
    } <= seen


def test_the_page_names_every_variable_that_is_read() -> None:
    text = "".join(path.read_text() for path in [*WORKFLOWS, *ACTIONS])
    read_ = set(re.findall(r"(?:\bvars|fromJSON\(inputs\.variables\))\.([A-Z_]+)", text))
    page = (ROOT / "docs/ci.md").read_text()
    assert {"STACKS", "AWS_ROLE", "PULUMI_BACKEND_URL"} <= read_
    assert [name for name in sorted(read_) if f"`{name}`" not in page] == []

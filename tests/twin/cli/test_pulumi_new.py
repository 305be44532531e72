"""The repository as a template of `pulumi new`, with the real command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pilotlight import toolchain
from pilotlight.cli import environment
from pilotlight.cli.project import find
from tests.support.deployment import copy_checkout

PATIENCE_S = 120


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return copy_checkout(tmp_path / "template")


def pulumi_new(template: Path, folder: Path, *arguments: str) -> Path:
    tools = toolchain.find()
    assert tools is not None, "run `make setup`"
    made = folder / "made"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    (folder / "state").mkdir()
    variables = {
        "PATH": environment.search_path(tools.path),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "for this test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    command = [tools.pulumi, "new", template, "--yes", "--dir", made, "--name", "my-models", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept | variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ".venv/bin/pilotlight init" in done.stdout
    return made


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_of_ones_own_is_the_repository_under_its_name(template: Path, tmp_path: Path) -> None:
    made = pulumi_new(template, tmp_path, "--generate-only")
    before, after = files_of(template), files_of(made)
    assert [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)] == ["Pulumi.yaml"]
    project = yaml.safe_load(after["Pulumi.yaml"])
    assert (project["name"], project.get("template")) == ("my-models", None)
    assert (project["main"], project["stackConfigDir"]) == ("stacks", "stacks")
    command = [sys.executable, "-P", "-m", "pilotlight.cli.main", "init", "mine", "--cloud", "gcp", "--yes"]
    told = subprocess.run(command, cwd=made, env=os.environ | {"PYTHONPATH": str(made)}, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert find(made).service("mine")["cloud"] == "gcp"


def test_what_it_asks_for_goes_into_a_stack_and_nothing_else(template: Path, tmp_path: Path) -> None:
    """With the stand-in for Pulumi's Python host, which installs nothing."""
    made = pulumi_new(template, tmp_path, "--stack", "dev", "--config", "gcp:project=my-own")
    assert find(made).stack_config("dev") == {"gcp:project": "my-own"}

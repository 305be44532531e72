"""The ready stacks on the real twin, by the commands that a user types."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.size import only_all

ROOT = Path(__file__).resolve().parents[3]
COMMAND = str(Path(sys.prefix) / "bin" / "pilotlight")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A twin of one's own; at the end it is down and nothing of it runs."""
    folder = tmp_path / "home"
    yield folder
    pilotlight(folder, "down")
    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            left.append(process.info["cmdline"])
    assert left == []


def pilotlight(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=ROOT / "stacks",
        env=environment | {"PILOTLIGHT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def tree() -> str:
    return subprocess.run(
        ["git", "status", "--porcelain", "stacks", "Pulumi.yaml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@only_all
@pytest.mark.parametrize("stack", ["aws-sagemaker-api", "aws-lambda-api"])
def test_a_ready_stack_comes_up_answers_is_looked_at_and_goes(home: Path, stack: str) -> None:
    before = tree()
    up = pilotlight(home, "up", stack, "--local", "--json")
    assert up.returncode == 0, up.stderr
    made = json.loads(up.stdout)
    assert set(made["changes"]) == {"create"}
    assert made["outputs"]["apiKey"] == "[secret]"

    answer = pilotlight(home, "invoke", stack, "--json", '{"inputs": "any sentence"}')
    assert answer.returncode == 0, answer.stderr
    vectors = json.loads(answer.stdout)["outputs"][0]
    assert {len(vector) for vector in vectors} == {384}
    refused = pilotlight(home, "invoke", stack, "--json", '{"inputs": 5}')
    assert refused.returncode == 4
    assert json.loads(refused.stdout)["status"] == 400

    status = json.loads(pilotlight(home, "status", stack, "--json").stdout)
    assert (status["where"], status["up"]) == ("local", True)
    # Who met the cold start: a call, or the ping that a new version of a function is sent.
    met = {"aws-sagemaker-api": '"event":"cold_start"', "aws-lambda-api": '"event":"ping"'}[stack]
    assert met in pilotlight(home, "logs", stack).stdout

    again = pilotlight(home, "up", stack, "--local")
    assert again.stdout.splitlines()[-1] == f"{made['changes']['create']} unchanged", again.stdout + again.stderr

    destroyed = pilotlight(home, "destroy", stack)
    assert destroyed.returncode == 0, destroyed.stderr
    assert pilotlight(home, "invoke", stack, "--json", "{}").returncode == 3
    assert tree() == before


def test_aws_clients_work_with_the_printed_environment(home: Path) -> None:
    printed = pilotlight(home, "env", "--local", "--json")
    assert printed.returncode == 0, printed.stderr
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    result = subprocess.run([sys.executable, "-c", code], env=json.loads(printed.stdout), capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "123456789012", result.stderr

"""A wrong config fails before any resource, with one message that names each key, the value and what is allowed."""

import re
from pathlib import Path

import pytest

from tests.support.deployment import Deployment

STACK = "aws-sagemaker-api"
# The engine counts the stack as a resource, and registers it before it runs the program.
STACK_ITSELF = 1
FILE = f"stacks/Pulumi.{STACK}.yaml"


@pytest.fixture(autouse=True)
def restored(deployment: Deployment) -> object:
    path = deployment.checkout / FILE
    kept = path.read_text()
    yield
    path.write_text(kept)


def refused(deployment: Deployment) -> str:
    result = deployment.run("preview", STACK, "--local", code=None)
    assert result.returncode != 0
    text = result.stdout + result.stderr
    assert "Traceback" not in text
    assert created(text) <= STACK_ITSELF
    return text


def created(text: str) -> int:
    """How many resources the engine would have created."""
    found = re.search(r"^(\d+) to create", text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_a_memory_size_that_the_platform_lacks(deployment: Deployment) -> None:
    deployment.edit(FILE, r"memoryMb: 2048", "memoryMb: 3000")
    text = refused(deployment)
    assert "memoryMb" in text
    assert "3000" in text
    assert "3072" in text


def test_a_misspelt_key_is_named_with_the_right_one(deployment: Deployment) -> None:
    deployment.edit(FILE, r"maxConcurrency: 10", "maxConcurency: 10")
    text = refused(deployment)
    assert "maxConcurency" in text
    assert "maxConcurrency" in text


def test_an_unknown_platform_is_answered_with_the_known_ones(deployment: Deployment) -> None:
    deployment.edit(FILE, r"platform: aws-sagemaker", "platform: aws-sagemakr")
    text = refused(deployment)
    assert "aws-sagemakr" in text
    assert "aws-lambda" in text


def test_three_mistakes_come_at_once(deployment: Deployment) -> None:
    deployment.edit(FILE, r"memoryMb: 2048", "memoryMb: 3000")
    deployment.edit(FILE, r"maxConcurrency: 10", "maxConcurrency: 5000")
    deployment.edit(FILE, r"pattern: api", "pattern: apy")
    text = refused(deployment)
    for part in ("memoryMb", "3000", "maxConcurrency", "5000", "pattern", "apy"):
        assert part in text


def test_a_missing_artifact_stops_before_any_resource_and_names_the_command(deployment: Deployment, tmp_path: Path) -> None:
    # A model that nobody packaged: a folder, which only this test knows.
    (tmp_path / "unpackaged").mkdir()
    deployment.edit(FILE, r"source: .*", f"source: {tmp_path / 'unpackaged'}")
    result = deployment.run("preview", STACK, "--local", code=None)
    assert result.returncode != 0
    text = result.stdout + result.stderr
    assert f"pilotlight package {STACK}" in text
    assert created(text) <= STACK_ITSELF

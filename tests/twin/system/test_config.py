"""A wrong config fails before any resource, with one message that names each key, the value and what is allowed."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment

STACK = "aws-sagemaker-api"
# The engine counts the stack as a resource, and registers it before it runs the program.
STACK_ITSELF = 1
FILE = f"stacks/Pulumi.{STACK}.yaml"


@pytest.fixture(autouse=True)
def restored(deployment: Deployment) -> object:
    edited = [*(deployment.checkout / "stacks").glob("*.yaml"), deployment.checkout / "components" / "capabilities.py"]
    kept = {path: path.read_text() for path in edited}
    yield
    for path, text in kept.items():
        path.write_text(text)


def refused(deployment: Deployment, stack: str = STACK) -> str:
    result = deployment.run("preview", stack, "--local", code=None)
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


WRONG_API = {
    "endpoint": {"memoryMb": 3000, "coldStartSeconds": 60, "maxBodyBytes": 5_000_000},
    "answers": None,
    "warming": [
        {"kind": "provisioned", "instances": 11},
        {"kind": "scheduled", "cron": "0 8 * * *", "until": "0 18 * * *", "instances": 2},
    ],
}
WRONG_EVENTS = {"endpoint": {"memoryMb": 3000}, "events": {"visibilitySeconds": 60, "maxObjectBytes": 100_000_000}}
MEMORY = (
    "endpoint.memoryMb: 3000",
    "use 1024, 2048, 3072, 4096, 5120 or 6144 MB",
    "SageMaker API reference, ProductionVariantServerlessConfig",
)


@pytest.mark.parametrize(
    ("stack", "changes", "told"),
    [
        (
            "aws-sagemaker-api",
            WRONG_API,
            [
                MEMORY,
                ("endpoint.maxBodyBytes: 5000000", "use 0 to 4194304 bytes", "SageMaker developer guide, invoke a serverless endpoint"),
                ("a cold start of 60 s", "27 s together, or answer later: answers: {async: true}", "API Gateway developer guide, quotas"),
                ("warming.0.instances: 11", "use 1 to 10", "SageMaker API reference, ProductionVariantServerlessConfig"),
                ("warming.1: 'scheduled'", "use a ping rule", "Application Auto Scaling API reference, RegisterScalableTarget"),
            ],
        ),
        (
            "aws-sagemaker-events",
            WRONG_EVENTS,
            [
                MEMORY,
                ("events.visibilitySeconds: 60", "use 768 to 43200 s", "Lambda developer guide, configuring a queue for Lambda"),
                ("events.maxObjectBytes: 100000000", "use 1 to 67108864 bytes", "Lambda developer guide, quotas"),
            ],
        ),
    ],
)
def test_whatever_is_wrong_comes_at_once_with_the_value_what_is_allowed_and_the_source(
    deployment: Deployment, stack: str, changes: dict[str, Any], told: list[tuple[str, str, str]]
) -> None:
    # Every platform of today has a scheduled floor; here is one that lacks it.
    row = r'(setting="warming.scheduled",\n +platforms=)\("aws-lambda", "aws-sagemaker", "gcp-cloud-run"\)'
    deployment.edit("components/capabilities.py", row, r'\1("aws-lambda",)')
    deployment.configure(stack, changes)
    text = refused(deployment, stack)
    lines = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    for value, allowed, source in told:
        [line] = {line for line in lines if value in line}
        assert allowed in line
        assert source in line
    assert f"has {len(told)} problems" in text


def test_a_missing_artifact_stops_before_any_resource_and_names_the_command(deployment: Deployment, tmp_path: Path) -> None:
    # A model that nobody packaged: a folder, which only this test knows.
    (tmp_path / "unpackaged").mkdir()
    deployment.edit(FILE, r"source: .*", f"source: {tmp_path / 'unpackaged'}")
    result = deployment.run("preview", STACK, "--local", code=None)
    assert result.returncode != 0
    text = result.stdout + result.stderr
    assert f"pilotlight package {STACK}" in text
    assert created(text) <= STACK_ITSELF

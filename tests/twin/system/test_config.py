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
    "answers": {"async": False, "stream": True},
    "warming": [
        {"kind": "provisioned", "instances": 11},
        {"kind": "scheduled", "cron": "0 8 * * *", "until": "0 18 * * *", "instances": 2},
    ],
}
WRONG_EVENTS = {"endpoint": {"memoryMb": 3000}, "events": {"visibilitySeconds": 60, "maxObjectBytes": 100_000_000}}
WRONG_GPU_API = {
    "endpoint": {"cpu": 2, "memoryMb": 8192, "maxBodyBytes": 32_000_001},
    "auth": {"burst": 40, "dailyQuota": 1000},
    "answers": {"stream": True},
}
RUN_GPU, QUOTAS = "Cloud Run documentation, GPU support for services", "API Gateway documentation (Google), quotas overview"
L4_REGIONS = "use asia-southeast1, europe-west1, europe-west4, us-central1 or us-east4 as gcp:region"
WHOLE = "leave it out, an answer comes as a whole"
SCALABLE = "Application Auto Scaling API reference, RegisterScalableTarget"
MEMORY = (
    "endpoint.memoryMb: 3000",
    "use 1024, 2048, 3072, 4096, 5120 or 6144 MB",
    "SageMaker API reference, ProductionVariantServerlessConfig",
)


@pytest.mark.parametrize(
    ("stack", "region", "changes", "told"),
    [
        (
            "aws-sagemaker-api",
            None,
            WRONG_API,
            [
                MEMORY,
                ("endpoint.maxBodyBytes: 5000000", "use 0 to 4194304 bytes", "SageMaker developer guide, invoke a serverless endpoint"),
                ("a cold start of 60 s", "27 s together, or answer later: answers: {async: true}", "API Gateway developer guide, quotas"),
                ("answers.stream: true: not in cloud 'aws' yet", WHOLE, "API Gateway developer guide, response transfer mode"),
                ("warming.0.instances: 11", "use 1 to 10", "SageMaker API reference, ProductionVariantServerlessConfig"),
                ("warming.1: 'scheduled'", "use a ping rule", SCALABLE),
            ],
        ),
        (
            "aws-sagemaker-events",
            None,
            WRONG_EVENTS,
            [
                MEMORY,
                ("events.visibilitySeconds: 60", "use 768 to 43200 s", "Lambda developer guide, configuring a queue for Lambda"),
                ("events.maxObjectBytes: 100000000", "use 1 to 67108864 bytes", "Lambda developer guide, quotas"),
            ],
        ),
        (
            "gcp-cloud-run-gpu-api",
            "europe-west2",
            WRONG_GPU_API,
            [
                ("endpoint.cpu: 2 with endpoint.gpu l4", "use 4, 6 or 8 vCPU", RUN_GPU),
                ("endpoint.memoryMb: 8192 with endpoint.gpu l4", "use 16384 to 32768 MiB", RUN_GPU),
                ("endpoint.gpu: 'l4': not in 'europe-west2'", L4_REGIONS, RUN_GPU),
                ("answers.stream: true: not in cloud 'gcp' yet", WHOLE, "API Gateway documentation (Google), configure streaming"),
                ("auth.burst: 40: not in cloud 'gcp'", "auth.requestsPerSecond bounds them", QUOTAS),
                ("auth.dailyQuota: 1000: not in cloud 'gcp'", "use auth.requestsPerSecond", QUOTAS),
                ("endpoint.maxBodyBytes: 32000001", "use 0 to 32000000 bytes", "quotas and limits (32 megabytes)"),
            ],
        ),
        (
            # A pipeline has no gateway, so its region may be any that has the GPU.
            "gcp-cloud-run-gpu-events",
            "europe-west3",
            {"endpoint": {"memoryMb": 8192}, "events": {"batchSize": 10}},
            [
                ("endpoint.memoryMb: 8192 with endpoint.gpu l4", "use 16384 to 32768 MiB", RUN_GPU),
                ("endpoint.gpu: 'l4': not in 'europe-west3'", L4_REGIONS, RUN_GPU),
                ("events.batchSize: 10: not in cloud 'gcp'", "leave it out", "Eventarc documentation, retry events"),
            ],
        ),
    ],
)
def test_whatever_is_wrong_comes_at_once_with_the_value_what_is_allowed_and_the_source(
    deployment: Deployment, stack: str, region: str | None, changes: dict[str, Any], told: list[tuple[str, str, str]]
) -> None:
    # Every platform of today has a scheduled floor; here is one that lacks it.
    row = r"^PLATFORM_SETTINGS: tuple\[OfPlatform, ...\] = \($"
    lacks = 'OfPlatform(setting="warming.scheduled", without=("aws-sagemaker",), instead="use a ping rule", source="%s")'
    deployment.edit("components/capabilities.py", row, rf"\g<0>\n    {lacks % SCALABLE},")
    deployment.configure(stack, changes)
    if region is not None:
        deployment.edit(f"stacks/Pulumi.{stack}.yaml", r"gcp:region: .*", f"gcp:region: {region}")
    assert_told(refused(deployment, stack), told)


def assert_told(text: str, told: list[tuple[str, str, str]]) -> None:
    """Of every problem one line with the value, what is allowed and the source, and of nothing else."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    for value, allowed, source in told:
        [line] = {line for line in lines if value in line}
        assert allowed in line
        assert source in line
    assert f"has {len(told)} problems" in text


WRONG_AZURE = {
    "endpoint": {"memoryMb": 3000, "gpu": "v100", "predictSeconds": 241},
    "auth": {"mode": "jwt", "issuer": "https://i.example", "audience": ["a"], "dailyQuota": 9, "burst": 5, "requestsPerSecond": None},
    "gateway": None,
}
TOLD_AZURE = [
    ("endpoint.memoryMb: 3000", "use 512, 1024, 1536", "Container Apps documentation, containers: combinations of vCPUs and memory"),
    ("endpoint.gpu: 'v100'", "use l4 or t4 or a100", "Container Apps documentation, workload profiles"),
    ("endpoint.predictSeconds: 241", "use 1 to 240 s", "Container Apps documentation, ingress: request timeout"),
    ("auth.dailyQuota: 9", "(quota-by-key): use auth.mode api-key", "API Management documentation, policy reference"),
    ("auth.burst: 5", "auth.requestsPerSecond bounds them", "API Management documentation, rate-limit policy"),
    ("gateway: missing", "publisherEmail, publisherName", "API Management REST API, ApiManagementService"),
    ("azure-native:location: missing", "`azure-native:location: westeurope`", "beside pilotlight:service"),
]


def test_what_azure_asks_for_and_what_it_lacks_comes_at_once(deployment: Deployment) -> None:
    stack = "azure-container-apps-api"
    deployment.configure(stack, WRONG_AZURE)
    deployment.edit(f"stacks/Pulumi.{stack}.yaml", r"^ +azure-native:location: .*\n", "")
    assert_told(refused(deployment, stack), TOLD_AZURE)


def test_a_missing_artifact_stops_before_any_resource_and_names_the_command(deployment: Deployment, tmp_path: Path) -> None:
    # A model that nobody packaged: a folder, which only this test knows.
    (tmp_path / "unpackaged").mkdir()
    deployment.edit(FILE, r"source: .*", f"source: {tmp_path / 'unpackaged'}")
    result = deployment.run("preview", STACK, "--local", code=None)
    assert result.returncode != 0
    text = result.stdout + result.stderr
    assert f"pilotlight package {STACK}" in text
    assert created(text) <= STACK_ITSELF

"""Each ready stack, from nothing to nothing, with the real engine: what a user does in its life."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.vectors import TEXTS, assert_agrees
from tests.twin.system.deployment import Deployment, post
from tests.twin.system.load import calling

# A second, the calls while a stack changes. A new version of a function begins cold, and the ready stack reserves a concurrency of
# 10: at 10 calls a second 50 of 132 were refused on the twin, at 5 a second 12 of 54, at 2 none (docs/first-contact.md).
RATES = {"aws-sagemaker-api": 10, "aws-lambda-api": 2}
# The calls go on for a while, so that the new one is called too.
AFTERWARDS_S = 6


@pytest.fixture(scope="module", params=["aws-sagemaker-api", "aws-lambda-api"])
def up(request: pytest.FixtureRequest, deployment: Deployment) -> tuple[Deployment, str, dict[str, Any]]:
    stack = str(request.param)
    report = deployment.up(stack)
    assert report["result"] == "succeeded"
    return deployment, stack, deployment.outputs(stack)


def changed(report: dict[str, Any]) -> dict[str, int]:
    return {operation: count for operation, count in report["changes"].items() if operation not in ("same", "unchanged") and count}


def endpoint_configurations(state: dict[str, Any]) -> list[str]:
    kinds = ("aws:sagemaker/endpointConfiguration:EndpointConfiguration", "aws:lambda/function:Function")
    return [resource["id"] for resource in state["deployment"]["resources"] if resource["type"] in kinds]


@pytest.mark.parametrize("name", TEXTS)
def test_answers_agree_with_transformers(up: tuple[Deployment, str, dict[str, Any]], name: str) -> None:
    _, _, outputs = up
    answer = post(outputs, {"inputs": TEXTS[name]["text"]})
    assert answer.status_code == 200, answer.text
    assert_agrees(name, answer.json()["outputs"])


def test_invoke_prints_the_body_and_nothing_else(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, _ = up
    printed = deployment.run("invoke", stack, "--json", json.dumps({"inputs": TEXTS["english"]["text"]})).stdout
    assert_agrees("english", json.loads(printed)["outputs"])


def test_a_second_up_changes_nothing_also_from_another_checkout(up: tuple[Deployment, str, dict[str, Any]], tmp_path: Path) -> None:
    deployment, stack, _ = up
    assert changed(deployment.up(stack)) == {}
    shutil.copytree(deployment.checkout, tmp_path / "another", ignore=shutil.ignore_patterns("__pycache__"))
    other = Deployment(checkout=tmp_path / "another", home=deployment.home)
    assert changed(other.up(stack)) == {}
    assert changed(deployment.up(stack)) == {}


def test_a_refresh_finds_no_drift_on_what_nobody_touched(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, _ = up
    assert changed(deployment.report("refresh", stack)) == {}


def test_the_exported_state_has_every_resource_and_no_secret_in_clear(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, outputs = up
    exported = deployment.pulumi("stack", "export", "-s", stack)
    resources = json.loads(exported)["deployment"]["resources"]
    assert len(resources) == len({resource["urn"] for resource in resources})
    assert len(resources) > 30
    assert outputs["apiKey"] not in exported
    for resource in resources:
        for registry in resource.get("inputs", {}).get("registries", []) or []:
            assert "password" not in registry or isinstance(registry["password"], dict), "a registry password lies in clear text"


def test_a_changed_memory_size_rolls_without_a_failed_request(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, outputs = up
    before = endpoint_configurations(json.loads(deployment.pulumi("stack", "export", "-s", stack)))
    deployment.edit(f"stacks/Pulumi.{stack}.yaml", r"memoryMb: 2048", "memoryMb: 3072")
    assert post(outputs, {"inputs": "warm"}).status_code == 200
    with calling(outputs, per_second=RATES[stack]) as calls:
        report = deployment.up(stack)
        time.sleep(AFTERWARDS_S)
    assert report["result"] == "succeeded"
    assert calls.failed == {}, f"{calls}\n{deployment.run('logs', stack, '--tail', '200').stdout}"
    assert calls.statuses[200] >= 8
    after = endpoint_configurations(json.loads(deployment.pulumi("stack", "export", "-s", stack)))
    if stack == "aws-sagemaker-api":
        assert before != after, "an endpoint configuration can't be changed, only replaced"


def test_a_changed_handler_changes_the_digest_and_rolls_without_a_failed_request(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, outputs = up

    def digest() -> str:
        state = json.loads(deployment.pulumi("stack", "export", "-s", stack))
        return next(
            str(resource["outputs"]["digest"])
            for resource in state["deployment"]["resources"]
            if resource["type"] == "docker-build:index:Image"
        )

    before = digest()
    source = deployment.checkout / "handlers" / "server" / "__init__.py"
    kept = source.read_bytes()
    source.write_bytes(kept + f"# changed for {stack}\n".encode())
    assert post(outputs, {"inputs": "warm"}).status_code == 200
    with calling(outputs, per_second=RATES[stack]) as calls:
        report = deployment.up(stack)
        time.sleep(AFTERWARDS_S)
    assert report["result"] == "succeeded"
    assert calls.failed == {}, f"{calls}\n{deployment.run('logs', stack, '--tail', '200').stdout}"
    assert calls.statuses[200] >= 8
    assert digest() != before


def test_destroy_leaves_neither_a_resource_nor_an_object(up: tuple[Deployment, str, dict[str, Any]]) -> None:
    deployment, stack, outputs = up
    assert deployment.report("destroy", stack)["result"] == "succeeded"
    assert deployment.run("status", stack, code=None).returncode == 3
    assert json.loads(deployment.pulumi("stack", "export", "-s", stack))["deployment"].get("resources", []) == []
    with pytest.raises(AssertionError, match=r"40[34]"):
        assert post(outputs, {"inputs": "anyone?"}).status_code == 200

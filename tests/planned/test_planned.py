"""A plan without an engine holds what the components' own tests see, with every value known."""

import asyncio
import os
from pathlib import Path

import pulumi
import pytest

from pilotlight.planned import plan, planned, ready_stacks

URNS = Path(__file__).parent / "urns"


@pytest.mark.parametrize("stack", ready_stacks())
def test_a_plan_holds_every_resource_of_the_stack(stack: str) -> None:
    assert [each.urn for each in planned(stack)] == (URNS / f"{stack}.txt").read_text().split("\n")[:-1]


def test_settings_change_the_plan_and_mistakes_are_told_as_the_program_tells_them() -> None:
    types = {each.type for each in planned("aws-sagemaker-api", {"alarms.email": "ops@example.com"})}
    assert "aws:sns/topic:Topic" in types
    with pytest.raises(pulumi.RunError, match="memoryMb: 3000"):
        planned("aws-sagemaker-api", {"endpoint.memoryMb": 3000})


def test_a_plan_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE", "/elsewhere")
    monkeypatch.delenv("PILOTLIGHT_NOW", raising=False)
    # Settings that nobody else asks for, so that the program runs.
    planned("aws-lambda-api", {"alarms.email": "mine@example.com"})
    assert (os.environ["PILOTLIGHT_CACHE"], os.environ.get("PILOTLIGHT_NOW")) == ("/elsewhere", None)


def test_a_plan_is_made_after_something_else_ended_the_threads_event_loop() -> None:
    asyncio.run(asyncio.sleep(0))  # leaves the thread without one
    assert planned("aws-lambda-api", {"alarms.email": "later@example.com"})


def test_a_plan_is_that_of_one_moment_whenever_it_is_made() -> None:
    rule = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin", "instances": 2}
    assert plan("aws-lambda-events", {"warming": [rule]}).outputs["floor"] == 2


def test_a_plan_holds_the_outputs_that_apply() -> None:
    outputs = plan("aws-lambda-api").outputs
    assert outputs["platform"] == "aws-lambda"
    assert outputs["url"].startswith("https://")
    assert "endpointName" not in outputs
    assert "endpointName" in plan("aws-sagemaker-api").outputs


def test_a_plan_says_what_each_input_was_taken_from() -> None:
    found = {each.name: each for each in planned("aws-sagemaker-api")}
    alias = found["api-function-live"]
    assert alias.taken_from["functionName"] == {found["api-function-function"].urn}
    assert found["api-function-function"].inputs["memorySize"] == 512
    assert isinstance(found["api-function-function"].inputs["memorySize"], int)

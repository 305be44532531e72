"""The components of programs in other languages make what a ready stack makes, resource by resource."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from pulumi.resource import DependencyProviderResource

from pilotlight.planned import ROOT, Plan, Planned, changed, config_of, plan, plan_by, ready_stacks
from stacks.remote import EventPipeline, InferenceApi
from stacks.remote_provider import Components

SETTINGS = "pilotlight:service"
OF_STACKS = {"pattern", "platform", "apiKeyCommand"}
# A checkout as seen from the folder that the program runs in: a stack's is `stacks/`.
CONTEXT = os.path.relpath(ROOT)
MORE: dict[str, Any] = {
    "warming": [{"kind": "ping", "everyMinutes": 5, "parallel": 2}, {"kind": "provisioned", "instances": 2}],
    "budget": {"monthlyUsd": 100.5, "email": "ops@example.com", "onExceeded": "drop-warming"},
    "dashboard": True,
    "tags": {"cost-center": "42"},
}


def remote(stack: str, changes: Mapping[str, Any]) -> Plan:
    """The plan of a program of one component with the inputs of a ready stack, whose name is its stack's and the component's."""
    config = config_of(stack)
    settings = changed(config[SETTINGS], changes)
    inputs = {key: value for key, value in settings.items() if key != "pattern"}
    around, _, name = stack.rpartition("-")
    kind = {"api": InferenceApi, "events": EventPipeline}[name]

    def program() -> None:
        provider = Components()
        made = provider.construct(name, f"pilotlight:index:{kind.__name__}", inputs, None)
        for output, value in made.state.items():
            pulumi.export(output, value)

    return plan_by(program, around, {**config, SETTINGS: settings})


def seen(each: Planned) -> dict[str, Any]:
    """Its inputs, with one name for the folder of the packaged model, which each plan makes anew."""
    text = re.sub(r'[^"]*/pilotlight-planned-[^/]*', "CACHE", json.dumps(each.inputs))
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(("stack", "changes"), [*((stack, {}) for stack in ready_stacks()), ("aws-sagemaker-api", MORE)])
def test_a_component_makes_what_the_stack_makes(stack: str, changes: Mapping[str, Any]) -> None:
    found, expected = remote(stack, changes), plan(stack, changes)
    resources = {(each.type, each.name): seen(each) for each in expected.resources}
    for (kind, _), inputs in resources.items():
        if kind == "docker-build:index:Image":
            assert inputs["context"]["location"] == ".."
            inputs["context"]["location"] = CONTEXT
            inputs["dockerfile"]["location"] = f"{CONTEXT}/containers/Dockerfile"
    assert {(each.type, each.name): seen(each) for each in found.resources} == resources
    assert dict(found.outputs) == {name: value for name, value in expected.outputs.items() if name not in OF_STACKS}


def test_a_provider_of_the_programs_own_is_refused() -> None:
    config = config_of("aws-lambda-api")
    inputs = {key: value for key, value in config[SETTINGS].items() if key != "pattern"}

    def program() -> None:
        mine = DependencyProviderResource("urn:pulumi:dev::mine::pulumi:providers:aws::europe::id")
        with pytest.raises(
            pulumi.InputPropertiesError, match=r"api: options.providers: aws: .*leave the option out.*pulumi config set aws:region"
        ):
            Components().construct("api", "pilotlight:index:InferenceApi", inputs, pulumi.ResourceOptions(providers={"aws": mine}))
        pulumi.export("refused", "yes")

    assert plan_by(program, "aws-lambda", config).resources == ()

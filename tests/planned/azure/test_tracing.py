"""Traces by setting: a component that takes no keys, whoever answers tells it as itself, and without the setting there is none of it."""

import pytest

from handlers.functions.azure.insights import CONNECTION
from tests.planned.azure.conftest import (
    API,
    APP,
    ASSIGNMENT,
    DIAGNOSTIC,
    EVENTS,
    IDENTITY,
    INSIGHTS,
    JOB,
    LATER,
    LOGGER,
    ROLES,
    STACK,
    WORKSPACE,
    plan_of,
    variables,
)

TRACED = {"tracing": True}
STACKS = (STACK, EVENTS, LATER)


@pytest.mark.parametrize("stack", STACKS)
def test_there_is_nothing_of_it_without_the_setting(stack: str) -> None:
    made = plan_of(stack=stack)
    assert [each for type_ in (INSIGHTS, LOGGER, DIAGNOSTIC) for each in made.all(type_)] == []
    assert [each.name for each in made.all(APP) if CONNECTION in variables(each)] == []
    assert "Monitoring Metrics Publisher" not in {ROLES.get(each.inputs["roleDefinitionId"][-36:]) for each in made.all(ASSIGNMENT)}


@pytest.mark.parametrize("stack", STACKS)
def test_the_component_is_on_the_workspace_and_takes_no_keys(stack: str) -> None:
    made = plan_of(TRACED, stack)
    component = made.one(INSIGHTS).inputs
    assert (component["disableLocalAuth"], component["ingestionMode"]) == (True, "LogAnalytics")
    assert component["workspaceResourceId"] == made.one(WORKSPACE).outputs["id"]


@pytest.mark.parametrize("stack", STACKS)
def test_whoever_answers_may_tell_it_and_is_told_where_it_is(stack: str) -> None:
    made = plan_of(TRACED, stack)
    component = made.one(INSIGHTS).outputs
    assert {variables(each)[CONNECTION] for each in made.all(APP)} == {component["connectionString"]}
    assert [each.name for each in made.all(JOB) if CONNECTION in variables(each)] == [], "a job answers nobody"
    granted = {each.inputs["principalId"] for each in made.all(ASSIGNMENT) if each.inputs["scope"] == component["id"]}
    by_id = {each.outputs["id"]: each.outputs["principalId"] for each in made.all(IDENTITY)}
    tellers = {by_id[each.inputs["identity"]["userAssignedIdentities"][0]] for each in made.all(APP)}
    gateway = {each.outputs["principalId"] for each in made.all(IDENTITY) if each.name.endswith("-gateway-identity")}
    assert granted == tellers | gateway
    assert len(gateway) == (0 if stack == EVENTS else 1)


def test_the_gateway_tells_of_every_request_and_hands_its_trace_on() -> None:
    made = plan_of(TRACED)
    logger, diagnostic = made.one(LOGGER), made.one(DIAGNOSTIC).inputs
    who = made.one(IDENTITY, "gateway-identity").outputs["clientId"]
    assert logger.inputs["loggerType"] == "applicationInsights"
    component = made.one(INSIGHTS).outputs
    assert logger.inputs["credentials"] == {"connectionString": component["connectionString"], "identityClientId": who}
    assert (diagnostic["loggerId"], diagnostic["apiId"]) == (logger.outputs["id"], made.one(API).inputs["apiId"])
    assert (diagnostic["httpCorrelationProtocol"], diagnostic["sampling"]) == ("W3C", {"samplingType": "fixed", "percentage": 100})
    assert (diagnostic["diagnosticId"], diagnostic["logClientIp"]) == ("applicationinsights", False)
    # Neither bodies nor headers, and no key in an address.
    hidden = {"request": {"dataMasking": {"queryParams": [{"mode": "Hide", "value": "x-api-key"}]}}}
    assert (diagnostic["frontend"], diagnostic["backend"]) == (hidden, hidden)

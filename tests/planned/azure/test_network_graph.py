"""An environment in a network of the customer's: what is declared, in which order, and what becomes another resource when it moves."""

import json
from typing import Any

import pytest

from docs.generate.options import judged
from tests.planned.azure.conftest import (
    APP,
    ASSIGNMENT,
    ENVIRONMENT,
    EVENTS,
    GROUP,
    GUARD,
    JOB,
    LATER,
    POLICY,
    SETTING,
    STACK,
    N,
    Plan,
    plan_of,
    variables,
)

NETWORK, SUBNET = f"{N}network:VirtualNetwork", f"{N}network:Subnet"
OWN: dict[str, Any] = {"network": {"addresses": "10.8.0.0/26"}}
WARM: dict[str, Any] = {"warming": [{"kind": "ping", "everyMinutes": 5}], "budget": {"monthlyUsd": 9, "email": "a@example.com"}}
# What lies in the environment, or is of what does.
INSIDE = (APP, ENVIRONMENT, GUARD, JOB, SETTING)


def test_the_environment_is_in_the_only_subnet_of_a_network_of_the_stacks_own() -> None:
    plan = plan_of(OWN)
    network, subnet, environment = plan.one(NETWORK), plan.one(SUBNET), plan.one(ENVIRONMENT)
    assert network.inputs["addressSpace"] == {"addressPrefixes": ["10.8.0.0/26"]}
    assert subnet.inputs["virtualNetworkName"] == network.outputs["name"]
    # Not `addressPrefixes`, of which Container Apps finds nothing.
    assert (subnet.inputs["addressPrefix"], "addressPrefixes" in subnet.inputs) == ("10.8.0.0/26", False)
    assert [each["serviceName"] for each in subnet.inputs["delegations"]] == ["Microsoft.App/environments"]
    assert environment.inputs["vnetConfiguration"] == {"infrastructureSubnetId": subnet.outputs["id"], "internal": False}
    assert {network.urn, subnet.urn} <= plan.before(environment)
    assert {each.inputs["resourceGroupName"] for each in (network, subnet, environment)} == {plan.one(GROUP).outputs["name"]}


def test_an_environment_in_a_subnet_that_is_there_makes_no_network() -> None:
    plan = plan_of(judged(EVENTS)["subnet"], EVENTS)
    assert plan.all(NETWORK) == plan.all(SUBNET) == []
    given = judged(EVENTS)["subnet"]["network"]["subnetId"]
    assert plan.one(ENVIRONMENT).inputs["vnetConfiguration"] == {"infrastructureSubnetId": given, "internal": False}


def test_without_the_setting_nothing_speaks_of_a_network() -> None:
    plan = plan_of()
    assert plan.all(NETWORK) == plan.all(SUBNET) == []
    assert {"vnetConfiguration", "infrastructureResourceGroup"}.isdisjoint(plan.one(ENVIRONMENT).inputs)


def test_who_reaches_whom_stays_as_it_was() -> None:
    """The gateway has no place in a network: the function stays open to it, and the endpoint to its environment alone."""
    plan = plan_of(OWN)
    ingress = {each.name.partition("-app")[0]: each.inputs["configuration"]["ingress"]["external"] for each in plan.all(APP)}
    assert ingress == {"api-endpoint": False, "api-function": True}
    function = next(each for each in plan.all(APP) if "function" in each.name)
    assert variables(function)["ENDPOINT_URL"].startswith("https://endpoint-")
    assert plan.one(GUARD).inputs["containerAppName"] == function.outputs["name"]
    assert {plan.one(GUARD).urn} <= plan.before(plan.one(POLICY))


def test_the_groups_name_of_the_platforms_parts_is_one_that_a_group_may_have() -> None:
    """The platform's own, `ME_ENVIRONMENT_GROUP_LOCATION`, could be longer."""
    for stack in (STACK, EVENTS, LATER):
        name = plan_of(OWN, stack).one(ENVIRONMENT).inputs["infrastructureResourceGroup"]
        assert name.endswith("-apps")
        assert len(name) <= 90
        assert name != plan_of(OWN, stack).one(GROUP).outputs["name"]


def names(plan: Plan) -> dict[str, str]:
    """Every resource of Azure's by its logical name, with its id."""
    return {each.name: each.outputs["id"] for each in plan.resources if each.type.startswith(N)}


@pytest.mark.parametrize("stack", [STACK, EVENTS, LATER])
def test_what_moves_is_another_resource_beside_the_old_one_and_everything_else_stays(stack: str) -> None:
    """Azure's provider would delete what has a given name before it makes what replaces it, and a function's guard with it."""
    here, there, elsewhere = (plan_of({**WARM, **each}, stack) for each in ({}, OWN, {"network": {"addresses": "10.9.0.0/26"}}))
    inside = {each.name for plan in (here, there, elsewhere) for each in plan.resources if each.type in INSIDE}
    assert len([each for each in there.resources if each.type in INSIDE]) >= 5
    for one, other in ((here, there), (there, elsewhere)):
        before, after = names(one), names(other)
        assert set(before) & set(after) & inside == set()
        assert set(before.values()) & set(after.values()) & {before[each] for each in before.keys() & inside} == set()
        network = {each.name for plan in (one, other) for each in plan.resources if each.type in (NETWORK, SUBNET)}
        assert set(before) ^ set(after) <= inside | network
        kept = set(before) & set(after)
        assert {each: before[each] for each in kept} == {each: after[each] for each in kept}


def test_grants_stay_as_they_are() -> None:
    def grants(changes: dict[str, Any]) -> dict[str, str]:
        return {each.name: json.dumps(each.inputs, sort_keys=True) for each in plan_of(changes, LATER).all(ASSIGNMENT)}

    assert grants(WARM) == grants({**WARM, **OWN})

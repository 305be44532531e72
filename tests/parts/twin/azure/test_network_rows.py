"""Virtual networks, their subnets, and the environments in them: what is made, and what Azure refuses of it."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin import azure, schema
from pilotlight.twin.azure import types
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.test_resource_manager import ask

SUBNET_ID = f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/net/subnets/apps"
APPS = [{"name": "apps", "serviceName": "Microsoft.App/environments"}]
PROFILES = {"workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}]}
INVALID = "ManagedEnvironmentInvalidNetworkConfiguration: The environment network configuration is invalid: "


def network(account: Account, name: str = "net", **more: Any) -> Resource:
    given = {**IN_GROUP, "virtualNetworkName": name, "addressSpace": {"addressPrefixes": ["10.8.0.0/16"]}, **more}
    return account.make(types.VIRTUAL_NETWORK, name, given)


def subnet_of(name: str = "apps", **more: Any) -> dict[str, Any]:
    given = {**IN_GROUP, "virtualNetworkName": "net", "subnetName": name, "addressPrefix": "10.8.0.0/27", "delegations": APPS}
    return {name: value for name, value in (given | more).items() if value is not None}


def environment_in(subnet: str = SUBNET_ID, **more: Any) -> dict[str, Any]:
    return {**IN_GROUP, **PROFILES, "environmentName": "env", "vnetConfiguration": {"infrastructureSubnetId": subnet}, **more}


@pytest.fixture
def made(account: Account) -> dict[str, Resource]:
    """A group, a network, its subnet, and an environment in that."""
    found = {"group": account.group(), "network": network(account), "subnet": account.make(types.SUBNET, "apps", subnet_of())}
    found["environment"] = account.make(types.ENVIRONMENT, "env", environment_in())
    return found


def test_ids_names_and_outputs_are_those_of_resource_manager(made: dict[str, Resource]) -> None:
    assert made["subnet"].id == SUBNET_ID
    assert (made["subnet"]["type"], made["subnet"]["name"]) == ("Microsoft.Network/virtualNetworks/subnets", "apps")
    assert (made["network"]["location"], made["network"]["provisioningState"]) == ("westeurope", "Succeeded")
    for name in ("network", "subnet"):
        declared = schema.sdk_type(made[name].token)
        assert declared is not None
        left = {output for output in declared.settled if made[name].outputs.get(output) is None}
        assert left <= azure.rows()[made[name].token].absent, name


def test_nothing_has_drifted_that_nobody_has_changed(account: Account, made: dict[str, Resource]) -> None:
    for one in made.values():
        _, inputs = account.life.read(one.token, one.id, one.urn, one.inputs) or ({}, {})
        assert inputs == one.inputs, one.token
        assert not account.life.diff(one.token, one.id, one.outputs, one.inputs, one.inputs, account.settings).any


@pytest.mark.parametrize(
    ("token", "given", "problem"),
    [
        (types.VIRTUAL_NETWORK, {}, "addressSpace.addressPrefixes: is missing"),
        (types.VIRTUAL_NETWORK, {"addressSpace": {"addressPrefixes": ["10.8.0.1/16"]}}, "'10.8.0.1/16' is no range of IPv4 addresses"),
        (
            types.VIRTUAL_NETWORK,
            {"addressSpace": {"addressPrefixes": ["10.8.0.0/16", "10.8.4.0/24"]}},
            "10.8.0.0/16 and 10.8.4.0/24 overlap",
        ),
        (
            types.VIRTUAL_NETWORK,
            {"addressSpace": {"addressPrefixes": ["10.8.0.0/16"]}, "subnets": [{"name": "a", "addressPrefix": "10.8.0.0/24"}]},
            "subnets: the local twin does not model it: leave it out. Subnets are resources of their own here",
        ),
        (types.SUBNET, {"virtualNetworkName": "net"}, "addressPrefix: use either it or addressPrefixes"),
        (types.SUBNET, {"virtualNetworkName": "net", "addressPrefix": "10.8.0.0/30"}, "'10.8.0.0/30' is no range for a subnet: use one as"),
        (
            types.SUBNET,
            {"virtualNetworkName": "net", "addressPrefix": "10.8.0.0/27", "natGateway": {"id": "x"}},
            "natGateway: the local twin does not model it: leave it out.",
        ),
        (
            types.SUBNET,
            {"virtualNetworkName": "net", "addressPrefix": "10.8.0.0/27", "delegations": [{"name": "a"}]},
            "delegations[0].serviceName: is missing and required.",
        ),
    ],
)
def test_a_network_and_a_subnet_are_ones_that_can_be(account: Account, token: str, given: dict[str, Any], problem: str) -> None:
    (said,) = account.check(token, "one", {**IN_GROUP, **given})[1]
    assert problem in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"addressPrefix": "10.9.0.0/27"},
            "NetcfgSubnetRangeOutsideVnet: Subnet 'other' is not valid because its IP address range is outside",
        ),
        ({"addressPrefix": "10.8.0.0/24"}, "NetcfgSubnetRangesOverlap: Subnet 'other' is not valid because its IP address range overlaps"),
        ({"virtualNetworkName": "none"}, "ParentResourceNotFound"),
    ],
)
def test_a_subnet_is_a_part_of_its_network_of_its_own(
    account: Account, made: dict[str, Resource], given: dict[str, Any], said: str
) -> None:
    assert said in account.refused(types.SUBNET, subnet_of("other", **given))


@pytest.mark.parametrize(
    ("subnet", "given", "said"),
    [
        (
            {},
            {"vnetConfiguration": {"infrastructureSubnetId": f"{SUBNET_ID}2"}},
            INVALID + "The subnet and its addressPrefix could not be found.",
        ),
        (
            {},
            {"vnetConfiguration": {"infrastructureSubnetId": SUBNET_ID.replace("/net/", "/none/")}},
            INVALID + "Invalid vnet resource ID provided, or the virtual network could not be found.",
        ),
        (
            {},
            {"vnetConfiguration": {"infrastructureSubnetId": SUBNET_ID.replace(SUBSCRIPTION, "00000000-0000-0000-0000-0000000000ff")}},
            INVALID + "Invalid vnet resource ID provided",
        ),
        (
            {"addressPrefix": None, "addressPrefixes": ["10.8.0.0/27"]},
            {},
            INVALID + "The subnet and its addressPrefix could not be found.",
        ),
        ({}, {"location": "northeurope"}, INVALID + "The virtual network net is in westeurope"),
        (
            {"delegations": None},
            {},
            "ManagedEnvironmentSubnetDelegationError: The subnet of the environment must be delegated to the service",
        ),
        (
            {"delegations": [{"name": "web", "serviceName": "Microsoft.Web/serverFarms"}]},
            {},
            "ManagedEnvironmentSubnetDelegationError: The subnet of the environment must be delegated to the service "
            "'Microsoft.App/environments'.",
        ),
        ({}, {"workloadProfiles": []}, "ManagedEnvironmentV1SubnetDelegationNotAllowed: "),
        ({"addressPrefix": "10.8.0.0/28"}, {}, INVALID + "Provided subnet must have a size of at least /27."),
        (
            {"addressPrefix": "10.8.0.0/24", "delegations": None},
            {"workloadProfiles": []},
            INVALID + "Provided subnet must have a size of at least /23.",
        ),
    ],
)
def test_an_environment_is_in_no_subnet_that_azure_refuses(
    account: Account, subnet: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    account.group()
    network(account)
    account.make(types.SUBNET, "apps", subnet_of(**subnet))
    assert said in account.refused(types.ENVIRONMENT, environment_in(**given))


def test_an_environment_without_profiles_has_a_subnet_that_nobody_is_given(account: Account) -> None:
    account.group()
    network(account)
    account.make(types.SUBNET, "apps", subnet_of(addressPrefix="10.8.0.0/23", delegations=None))
    assert account.make(types.ENVIRONMENT, "env", environment_in(workloadProfiles=None))["name"] == "env"


def test_a_range_that_the_platform_keeps_is_none_for_a_subnet(account: Account) -> None:
    account.group()
    network(account, addressSpace={"addressPrefixes": ["172.16.0.0/12"]})
    account.make(types.SUBNET, "apps", subnet_of(addressPrefix="172.30.4.0/24"))
    assert INVALID + "The subnet 172.30.4.0/24 overlaps 172.30.0.0/16" in account.refused(types.ENVIRONMENT, environment_in())


def test_a_subnet_is_one_environments_alone(account: Account, made: dict[str, Resource]) -> None:
    said = account.refused(types.ENVIRONMENT, environment_in(environmentName="second"))
    assert said.startswith(f"{INVALID}The subnet is in use by {made['environment'].id}")
    assert account.change(made["environment"], {"tags": {"a": "b"}})["tags"] == {"a": "b"}


def test_an_environment_does_not_move_from_one_subnet_to_another(account: Account, made: dict[str, Resource]) -> None:
    one, other = made["environment"], account.make(types.SUBNET, "other", subnet_of("other", addressPrefix="10.8.1.0/27"))
    given = {**one.inputs, "vnetConfiguration": {"infrastructureSubnetId": other.id}}
    found = account.life.diff(one.token, one.id, one.outputs, one.inputs, given, account.settings)
    assert (found.replaces, found.delete_first) == ({"vnetConfiguration.infrastructureSubnetId"}, True)


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("subnet", {"addressPrefix": "10.8.0.0/26"}, "InUseSubnetCannotBeUpdated: Subnet apps is in use and cannot be updated"),
        ("subnet", {"delegations": []}, "SubnetMissingRequiredDelegation: "),
        ("network", {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}}, "InUsePrefixCannotBeDeleted: IpPrefix 10.8.0.0/27 on Vnet net"),
    ],
)
def test_what_an_environment_is_in_stays_as_it_is(
    account: Account, made: dict[str, Resource], what: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        account.change(made[what], given)
    assert said in str(refused.value)
    account.delete(made["environment"])
    if what == "subnet":
        account.change(made[what], given)


def test_a_network_goes_when_nobody_is_in_it(account: Account, made: dict[str, Resource]) -> None:
    for what in ("subnet", "network"):
        with pytest.raises(Refusal, match=r"InUseSubnetCannotBeDeleted: Subnet apps is in use by .*legionservicelink and cannot"):
            account.delete(made[what])
    account.delete(made["environment"])
    account.delete(made["network"])
    assert account.world.find(types.SUBNET) == account.world.find(types.VIRTUAL_NETWORK) == []


def test_a_subscription_is_registered_for_what_an_environment_leans_on(account: Account) -> None:
    account.group()
    network(account)
    account.make(types.SUBNET, "apps", subnet_of())
    account.twin.faults.set({"account": {"unregistered": ["Microsoft.ContainerService"]}})
    said = account.refused(types.ENVIRONMENT, environment_in())
    assert "SubscriptionIsNotRegistered" in said
    assert account.make(types.ENVIRONMENT, "own", IN_GROUP)["name"].startswith("own")


def test_resource_manager_tells_of_both_and_of_who_is_in_the_subnet(account: Account, made: dict[str, Resource]) -> None:
    status, told = ask(account, SUBNET_ID)
    assert (status, told["id"], told["type"]) == (200, SUBNET_ID, "Microsoft.Network/virtualNetworks/subnets")
    assert told["properties"]["addressPrefix"] == "10.8.0.0/27"
    assert told["properties"]["delegations"] == [{"name": "apps", "properties": {"serviceName": "Microsoft.App/environments"}}]
    [link] = told["properties"]["serviceAssociationLinks"]
    assert link["properties"]["link"] == made["environment"].id
    assert ask(account, SUBNET_ID.rsplit("/", 2)[0])[1]["location"] == "westeurope"
    account.delete(made["environment"])
    assert ask(account, SUBNET_ID)[1]["properties"]["serviceAssociationLinks"] == []
    account.delete(made["subnet"])
    status, told = ask(account, SUBNET_ID)
    assert (status, told["error"]["code"]) == (404, "ResourceNotFound")
    assert "'Microsoft.Network/virtualNetworks/subnets/apps' under resource group 'tried'" in told["error"]["message"]

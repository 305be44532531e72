"""Names and places that the provider makes up where a program gives none, and what Azure's rules say of both."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure import types
from pilotlight.twin.azure.settings import CONFIGURATION
from pilotlight.twin.values import UNKNOWN
from tests.parts.twin.azure.account import IN_GROUP, REGION, Account


def test_a_name_of_its_own_is_the_resources_and_eight_digits(account: Account) -> None:
    first, problems = account.check(types.WORKSPACE, "logs", IN_GROUP)
    assert problems == []
    assert first["workspaceName"].removeprefix("logs").isalnum()
    assert len(first["workspaceName"]) == len("logs") + 8
    assert account.check(types.WORKSPACE, "logs", IN_GROUP, first)[0]["workspaceName"] == first["workspaceName"]


def test_a_child_copies_its_name_and_an_assignment_gets_a_uuid(account: Account) -> None:
    container, _ = account.check(types.CONTAINER, "models", {**IN_GROUP, "accountName": "tried"})
    assert container["containerName"] == "models"
    assert container.get("__defaults") is None
    given = {"scope": "/subscriptions/s", "principalId": "p", "roleDefinitionId": "r"}
    assignment, _ = account.check(types.ROLE_ASSIGNMENT, "reads", given)
    assert [len(part) for part in assignment["roleAssignmentName"].split("-")] == [8, 4, 4, 4, 12]


def test_a_name_that_does_not_fit_is_explained_by_the_resources_own(account: Account) -> None:
    _, problems = account.check(types.REGISTRY, "my-images", {**IN_GROUP, "sku": {"name": "Basic"}})
    (said,) = problems
    assert said.startswith("registryName: the generated name 'my-images")
    assert said.endswith("does not match [A-Za-z0-9]+: rename the resource, or set registryName.")
    _, problems = account.check(types.STORAGE_ACCOUNT, "a" * 20, {**IN_GROUP, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}})
    assert "use a resource name of at most 16 characters, or set accountName." in problems[0]


@pytest.mark.parametrize(
    ("token", "field", "name", "allowed"),
    [
        (types.GROUP, "resourceGroupName", "ends.", "no period at the end"),
        (types.GROUP, "resourceGroupName", "a" * 91, "use 1 to 90"),
        (types.REGISTRY, "registryName", "abc", "use 5 to 50 letters and digits."),
        (types.WORKSPACE, "workspaceName", "-logs", "no hyphen at an end"),
        (types.ENVIRONMENT, "environmentName", "a", "use 2 to 60"),
        (types.IDENTITY, "resourceName", "_x_", "a letter or digit first"),
        (types.APP, "containerAppName", "two--hyphens", "single hyphens"),
        (types.STORAGE_ACCOUNT, "accountName", "Models", "lower-case letters and digits"),
        (types.CONTAINER, "containerName", "in", "use 3 to 63"),
    ],
)
def test_a_name_that_azure_refuses_is_refused_in_the_preview(account: Account, token: str, field: str, name: str, allowed: str) -> None:
    _, problems = account.check(token, "x", {**IN_GROUP, field: name})
    (said,) = [one for one in problems if one.startswith(f"{field}:")]
    assert repr(name) in said
    assert allowed in said


@pytest.mark.parametrize("name", ["$root", "$web", "a-b-c", "1a2"])
def test_a_container_may_be_called_so(account: Account, name: str) -> None:
    _, problems = account.check(types.CONTAINER, "x", {**IN_GROUP, "accountName": "tried", "containerName": name})
    assert problems == []


def test_the_place_comes_from_before_the_configuration_and_the_group(account: Account) -> None:
    def place(inputs: dict[str, Any], olds: dict[str, Any] | None = None) -> object:
        return account.check(types.WORKSPACE, "logs", inputs, olds)[0].get("location")

    assert place(IN_GROUP) == REGION
    assert place({**IN_GROUP, "location": "northeurope"}) == "northeurope"
    assert place(IN_GROUP, {"location": "eastus"}) == "eastus"
    account.make(types.GROUP, "g", {"resourceGroupName": "elsewhere", "location": "Sweden Central"})
    account.settings = CONFIGURATION.settings({})
    assert place({"resourceGroupName": "elsewhere"}) == "swedencentral"
    assert place({"resourceGroupName": UNKNOWN}) == UNKNOWN
    _, problems = account.check(types.WORKSPACE, "logs", {"resourceGroupName": "none"})
    assert problems == ["location: is missing: set it, or the provider's with `pulumi config set azure-native:location westeurope`."]


def test_a_place_that_azure_has_not_is_refused_with_one_like_it(account: Account) -> None:
    _, problems = account.check(types.GROUP, "g", {"location": "west-europe"})
    assert problems == ["location: 'west-europe' is no location of Azure's public cloud: did you mean 'westeurope'?"]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({f"t{number}": "x" for number in range(51)}, "tags: there are 51: use at most 50."),
        ({"a/b": "x"}, "tags: the name 'a/b' is not allowed: use 1 to 512 characters without < > % & \\ ? /."),
        ({"a": "x" * 257}, 'tags["a"]: has 257 characters: use at most 256.'),
    ],
)
def test_tags_have_limits(account: Account, tags: dict[str, str], said: str) -> None:
    assert account.check(types.GROUP, "g", {"tags": tags})[1] == [said]

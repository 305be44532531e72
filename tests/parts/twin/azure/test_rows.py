"""Every type of Azure that the twin knows: its row against the SDK, its id, its name, what a preview may know."""

from __future__ import annotations

import pytest

from pilotlight.twin import azure, schema
from pilotlight.twin.azure import arm, naming, types
from pilotlight.twin.azure.account import SUBSCRIPTION, TENANT
from pilotlight.twin.values import UNKNOWN
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.people import identity

ROWS = azure.rows()
BELOW = f"{GROUP_ID}/providers"


@pytest.fixture
def made(account: Account) -> dict[str, Resource]:
    """A group, logs, an environment whose logs go there, a registry that acts as somebody."""
    found = {"group": account.group(), "who": identity(account, "endpoint")}
    found["logs"] = account.make(types.WORKSPACE, "logs", {**IN_GROUP, "retentionInDays": 30})
    found["apps"] = account.make(
        types.ENVIRONMENT,
        "apps",
        {
            **IN_GROUP,
            "environmentName": "apps",
            "appLogsConfiguration": {
                "destination": "log-analytics",
                "logAnalyticsConfiguration": {"customerId": found["logs"]["customerId"], "sharedKey": "a-key"},
            },
            "identity": {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": [found["who"].id]},
        },
    )
    found["sent"] = account.make(
        types.DIAGNOSTIC_SETTING,
        "sent",
        {
            "resourceUri": found["apps"].id,
            "workspaceId": found["logs"].id,
            "logs": [{"category": "ContainerAppConsoleLogs", "enabled": True}],
        },
    )
    found["images"] = account.make(types.REGISTRY, "images", {**IN_GROUP, "registryName": "Images", "sku": {"name": "Basic"}})
    found["insights"] = account.make(types.COMPONENT, "insights", {**IN_GROUP, "kind": "web", "workspaceResourceId": found["logs"].id})
    return found


@pytest.mark.parametrize("token", sorted(ROWS))
def test_every_row_names_what_the_sdk_has(token: str) -> None:
    row, declared = ROWS[token], schema.sdk_type(token)
    assert declared is not None
    assert set(arm.parameters(token)) <= set(declared.fields)
    assert {path.split(".")[0] for path in row.replaces} - {"location"} <= set(declared.fields)
    assert row.secrets <= declared.outputs
    assert row.name is None or row.name.field == naming.field_of(token)
    assert schema.api_version(token) is not None or "azureApiVersion" not in declared.outputs


@pytest.mark.parametrize("token", sorted(naming.RULES))
def test_what_a_rule_says_of_lengths_its_pattern_allows(token: str) -> None:
    rule = naming.RULES[token]
    if rule.low == rule.high:
        return
    assert rule.problems("name", "a" * rule.low) == rule.problems("name", "a" * rule.high) == []
    for size in (rule.low - 1, rule.high + 1):
        assert rule.problems("name", "a" * size) == [f"name: {'a' * size!r} is not allowed: use {rule.low} to {rule.high} {rule.text}."]


def test_ids_have_the_form_that_programs_compose_with(made: dict[str, Resource]) -> None:
    names = {name: one["name"] for name, one in made.items()}
    assert {name: one.id for name, one in made.items()} == {
        "group": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/tried",
        "who": f"{BELOW}/Microsoft.ManagedIdentity/userAssignedIdentities/endpoint",
        "logs": f"{BELOW}/Microsoft.OperationalInsights/workspaces/{names['logs']}",
        "apps": f"{BELOW}/Microsoft.App/managedEnvironments/apps",
        "sent": f"{BELOW}/Microsoft.App/managedEnvironments/apps/providers/Microsoft.Insights/diagnosticSettings/{names['sent']}",
        "images": f"{BELOW}/Microsoft.ContainerRegistry/registries/Images",
        "insights": f"{BELOW}/Microsoft.Insights/components/{names['insights']}",
    }
    assert made["sent"]["type"] == "Microsoft.Insights/diagnosticSettings"
    assert arm.kind_of(types.CONTAINER) == "Microsoft.Storage/storageAccounts/blobServices/containers"
    assert arm.parent_of(types.CONTAINER) == types.STORAGE_ACCOUNT
    assert arm.parent_of(types.API_OPERATION) == types.API
    assert arm.parent_of(types.WORKSPACE) is None


def test_every_output_that_the_sdk_promises_is_there_or_is_known_to_be_left_out(made: dict[str, Resource]) -> None:
    for name, one in made.items():
        declared = schema.sdk_type(one.token)
        assert declared is not None
        assert {output for output in declared.settled if one.outputs.get(output) is None} <= ROWS[one.token].absent, name


def test_programs_find_what_they_compose_with(made: dict[str, Resource]) -> None:
    assert made["images"]["loginServer"] == "127.0.0.1:20443/acr/images"
    assert made["apps"]["defaultDomain"].endswith(".westeurope.azurecontainerapps.io")
    assert made["insights"]["instrumentationKey"] in made["insights"]["connectionString"]
    assert made["group"]["azureApiVersion"] == "2024-03-01"


def test_who_a_resource_acts_as_is_answered_as_a_map_and_its_own_principal_stays(account: Account, made: dict[str, Resource]) -> None:
    before, who = made["apps"]["identity"], made["who"]
    assert before["userAssignedIdentities"] == {who.id: {"clientId": who["clientId"], "principalId": who["principalId"]}}
    assert before["tenantId"] == TENANT
    after = account.change(made["apps"], {"tags": {"team": "search"}})
    assert after["identity"] == before
    alone = account.change(made["apps"], {"identity": {"type": "UserAssigned", "userAssignedIdentities": [who.id]}})
    assert "principalId" not in alone["identity"]


def test_nothing_has_drifted_that_nobody_has_changed(account: Account, made: dict[str, Resource]) -> None:
    for one in made.values():
        _, inputs = account.life.read(one.token, one.id, one.urn, one.inputs) or ({}, {})
        assert inputs == one.inputs, one.token
        assert not account.life.diff(one.token, one.id, one.outputs, one.inputs, one.inputs, account.settings).any


def test_a_key_that_azure_never_tells_is_in_no_output_and_is_no_drift(account: Account, made: dict[str, Resource]) -> None:
    told = made["apps"]["appLogsConfiguration"]
    assert told == {"destination": "log-analytics", "logAnalyticsConfiguration": {"customerId": made["logs"]["customerId"]}}
    account.set(made["apps"], appLogsConfiguration={"destination": "none"})
    _, inputs = account.life.read(types.ENVIRONMENT, made["apps"].id, made["apps"].urn, made["apps"].inputs) or ({}, {})
    assert inputs["appLogsConfiguration"] == {"destination": "none"}


def test_a_preview_knows_what_was_given_and_calls_the_rest_unknown(account: Account) -> None:
    given = {**IN_GROUP, "environmentName": "apps", "location": "West Europe", "appLogsConfiguration": {"destination": "none"}}
    seen = account.life.preview_create(types.ENVIRONMENT, {**given, "identity": {"type": "SystemAssigned"}}, account.settings)
    assert seen["identity"] == {"type": "SystemAssigned", "principalId": UNKNOWN, "tenantId": UNKNOWN, "userAssignedIdentities": UNKNOWN}
    assert seen["appLogsConfiguration"] == {"destination": "none", "logAnalyticsConfiguration": UNKNOWN}
    assert (seen["name"], seen["defaultDomain"], seen["tags"], seen["location"]) == (UNKNOWN, UNKNOWN, UNKNOWN, "West Europe")
    assert "resourceGroupName" not in seen


def test_the_preview_of_an_update_knows_the_name_and_the_place(account: Account, made: dict[str, Resource]) -> None:
    one = made["apps"]
    seen = account.life.preview_update(one.token, one.outputs, {**one.inputs, "tags": {"a": "b"}}, account.settings)
    assert (seen["name"], seen["location"], seen["tags"]) == ("apps", "westeurope", {"a": "b"})
    assert seen["defaultDomain"] == seen["identity"]["principalId"] == UNKNOWN


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({"location": "West Europe"}, None),
        ({"location": "northeurope"}, {"location"}),
        ({"environmentName": "other"}, {"environmentName"}),
        ({"vnetConfiguration": {"internal": False}}, {"vnetConfiguration"}),
        ({"customDomainConfiguration": {"certificatePassword": "x"}}, set()),
        ({"zoneRedundant": False}, set()),
    ],
)
def test_what_makes_another_environment(
    account: Account, made: dict[str, Resource], change: dict[str, object], replaced: set[str] | None
) -> None:
    one = made["apps"]
    found = account.life.diff(one.token, one.id, one.outputs, one.inputs, {**one.inputs, **change}, account.settings)
    assert found.any == (replaced is not None)
    assert found.replaces == (replaced or set())
    assert found.delete_first == bool(replaced)


def test_a_nested_field_can_replace_alone(account: Account, made: dict[str, Resource]) -> None:
    one = made["apps"]
    olds = {**one.inputs, "customDomainConfiguration": {"dnsSuffix": "a.example", "certificatePassword": "x"}}
    for field, expected in (("dnsSuffix", {"customDomainConfiguration.dnsSuffix"}), ("certificatePassword", set())):
        news = {**olds, "customDomainConfiguration": {**olds["customDomainConfiguration"], field: "b.example"}}
        assert account.life.diff(one.token, one.id, one.outputs, olds, news, account.settings).replaces == expected

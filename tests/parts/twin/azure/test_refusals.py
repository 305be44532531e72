"""What Azure refuses of groups, registries, environments and logs: in the preview where it can be seen there, else at creation."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure import registry, types
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.people import identity

BASIC = {**IN_GROUP, "sku": {"name": "Basic"}}
NOBODY = f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nobody"


def test_nothing_is_made_without_its_group(account: Account) -> None:
    said = account.refused(types.WORKSPACE, {"resourceGroupName": "none"})
    assert said == "ResourceGroupNotFound: Resource group 'none' could not be found: make it first, or mend the name."
    account.group()
    assert account.make(types.WORKSPACE, "logs", {"resourceGroupName": "TRIED"})["name"].startswith("logs")


def test_a_child_needs_its_parent_and_what_extends_something_that(account: Account) -> None:
    account.group()
    assert "ParentResourceNotFound" in account.refused(types.CONTAINER, {**IN_GROUP, "accountName": "nothere"})
    logs = account.make(types.WORKSPACE, "logs", IN_GROUP)
    given = {"workspaceId": logs.id, "metrics": [{"enabled": True}]}
    gone = f"{GROUP_ID}/providers/Microsoft.App/managedEnvironments/none"
    assert f"ResourceNotFound: resourceUri: '{gone}' was not found" in account.refused(
        types.DIAGNOSTIC_SETTING, {**given, "resourceUri": gone}
    )
    said = account.refused(types.DIAGNOSTIC_SETTING, {**given, "resourceUri": "/subscriptions/other/resourceGroups/tried"})
    assert f"is no id below the subscription {SUBSCRIPTION}" in said


def test_a_resource_can_only_be_somebody_who_is_there(account: Account) -> None:
    account.group()
    given = {**IN_GROUP, "identity": {"type": "UserAssigned", "userAssignedIdentities": [NOBODY]}}
    assert account.refused(types.ENVIRONMENT, given).startswith(
        f"FailedIdentityOperation: Identity operation failed: the identity {NOBODY!r}"
    )
    identity(account, "nobody")
    assert account.make(types.ENVIRONMENT, "apps", given)["identity"]["userAssignedIdentities"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "SystemAssigned", "userAssignedIdentities": [NOBODY]}, "'SystemAssigned' is not allowed with userAssignedIdentities"),
        ({"type": "UserAssigned", "userAssignedIdentities": []}, "identity.userAssignedIdentities: is empty: name an identity's id"),
        ({"type": "Mine"}, "identity.type: 'Mine' is not allowed: use one of None, SystemAssigned"),
    ],
)
def test_an_identity_is_of_a_kind_that_fits(account: Account, given: dict[str, Any], said: str) -> None:
    (problem,) = account.check(types.ENVIRONMENT, "apps", {**IN_GROUP, "identity": given})[1]
    assert said in problem


def test_a_registrys_name_is_the_only_one_in_the_world(account: Account) -> None:
    account.group()
    account.make(types.GROUP, "other", {"resourceGroupName": "other"})
    account.make(types.REGISTRY, "images", {**BASIC, "registryName": "images"})
    said = account.refused(types.REGISTRY, {**BASIC, "resourceGroupName": "other", "registryName": "IMAGES"})
    assert said.startswith("AlreadyInUse: registryName: the name 'IMAGES' is taken")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sku": {"name": "Basics"}}, "sku.name: 'Basics' is not allowed: use one of Classic, Basic, Standard, Premium."),
        ({"sku": {"name": "Classic"}}, "sku.name: 'Classic' is not allowed: it is retired, use one of Basic, Standard, Premium."),
        ({"anonymousPullEnabled": True}, "anonymousPullEnabled: is not in the tier Basic: use Standard or Premium, or leave it out."),
        ({"publicNetworkAccess": "Disabled"}, "publicNetworkAccess: is not in the tier Basic: use Premium, or leave it out."),
        ({"zoneRedundancy": "Enabled"}, "zoneRedundancy: is not in the tier Basic: use Premium, or leave it out."),
        ({"adminUserEnable": False}, "adminUserEnable: is not known: did you mean 'adminUserEnabled'?"),
        ({"loginServer": "x"}, "loginServer: is an output, it cannot be set: remove it."),
        (
            {"sku": {"name": "Premium"}, "policies": {"retentionPolicy": {"days": 400, "status": "enabled"}}},
            "policies.retentionPolicy.days: 400 is out of range: use 0 to 365.",
        ),
    ],
)
def test_a_registry_has_what_its_tier_has(account: Account, given: dict[str, Any], problem: str) -> None:
    assert account.check(types.REGISTRY, "images", {**BASIC, **given})[1] == [problem]


def test_a_registry_gets_another_tier_and_stays_where_it_is(account: Account) -> None:
    account.group()
    made = account.make(types.REGISTRY, "images", {**BASIC, "registryName": "images"})
    for tier in ("Premium", "Basic"):
        changed = account.change(made, {"sku": {"name": tier}})
        assert (changed.id, changed["loginServer"], changed["sku"]) == (made.id, made["loginServer"], {"name": tier, "tier": tier})


def test_what_is_missing_is_named(account: Account) -> None:
    assert account.check(types.REGISTRY, "images", {})[1] == [
        "resourceGroupName: is missing and required.",
        "sku: is missing and required.",
    ]
    assert account.check(types.REGISTRY, "images", {**IN_GROUP, "sku": {}})[1] == ["sku.name: is missing and required."]


def consumption(**more: Any) -> dict[str, Any]:
    return {"workloadProfiles": [{"name": "one", "workloadProfileType": "Consumption", **more}]}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"appLogsConfiguration": {"destination": "azure"}},
            "destination: 'azure' is not allowed: use one of log-analytics, azure-monitor, none.",
        ),
        (
            {"appLogsConfiguration": {"destination": "log-analytics", "logAnalyticsConfiguration": {"customerId": "c"}}},
            "logAnalyticsConfiguration.sharedKey: is missing and required with log-analytics.",
        ),
        (
            {"appLogsConfiguration": {"destination": "azure-monitor", "logAnalyticsConfiguration": {"customerId": "c"}}},
            "logAnalyticsConfiguration: is for the destination log-analytics alone: remove it.",
        ),
        ({"zoneRedundant": True}, "vnetConfiguration.infrastructureSubnetId: is missing and required where zoneRedundant is true."),
        *(
            (
                {"location": "swedencentral", **consumption(workloadProfileType=type_, **{count: 1})},
                f"{count}: is not for {type_}, which has no machines of its own: remove it (WorkloadProfilePropertyNotSupported, "
                "hashicorp/terraform-provider-azurerm issue 31763).",
            )
            for type_ in ("Consumption", "Consumption-GPU-NC8as-T4", "Consumption-GPU-NC24-A100")
            for count in ("minimumCount", "maximumCount")
        ),
        *(
            (
                consumption(workloadProfileType=type_),
                f"workloadProfileType: {type_!r} is not allowed: use one of Consumption, Consumption-GPU-NC8as-T4, "
                "Consumption-GPU-NC24-A100, D4, D8, D16, D32, E4, E8, E16, E32, NC24-A100, NC48-A100, NC96-A100 (Container Apps "
                "documentation, workload profiles, 2025-11).",
            )
            for type_ in ("D5", "Consumption-GPU-NC24-T4", "Consumption-GPU-NC8as-A100", "consumption-gpu-nc8as-t4")
        ),
        (consumption(workloadProfileType="D4", minimumCount=1), "maximumCount: is missing: D4 has machines of its own."),
        (consumption(workloadProfileType="D4", minimumCount=3, maximumCount=1), "minimumCount: 3 is more than maximumCount, 1."),
        (
            {"location": "northeurope", **consumption(workloadProfileType="Consumption-GPU-NC24-A100")},
            "Consumption-GPU-NC24-A100 is not in 'northeurope': use one of australiaeast",
        ),
    ],
)
def test_an_environment_is_one_that_container_apps_has(account: Account, given: dict[str, Any], problem: str) -> None:
    (said,) = account.check(types.ENVIRONMENT, "apps", {**IN_GROUP, **given})[1]
    assert problem in said


def test_profiles_have_names_of_their_own(account: Account) -> None:
    twice = {"workloadProfiles": [{"name": "one", "workloadProfileType": "Consumption"}] * 2}
    assert account.check(types.ENVIRONMENT, "apps", {**IN_GROUP, **twice})[1] == [
        "workloadProfiles: the name 'one' is there twice: names are unique."
    ]


@pytest.mark.parametrize(
    ("token", "given", "problem"),
    [
        (types.WORKSPACE, {"retentionInDays": 29}, "retentionInDays: 29 is out of range: use 30 to 730 days."),
        (
            types.WORKSPACE,
            {"sku": {"name": "Free"}},
            "sku.name: 'Free' is not allowed: that tier is retired for new workspaces, use PerGB2018.",
        ),
        (types.WORKSPACE, {"workspaceCapping": {"dailyQuotaGb": 0.01}}, "dailyQuotaGb: 0.01 is out of range: use 0.023 or more, or -1"),
        (types.COMPONENT, {"kind": "web"}, "workspaceResourceId: is missing: components without a workspace are retired, name one's id."),
        (
            types.COMPONENT,
            {"kind": "web", "workspaceResourceId": "w", "retentionInDays": 31},
            "retentionInDays: 31 is not allowed: use one of 30",
        ),
        (types.COMPONENT, {"kind": "web", "workspaceResourceId": "w", "samplingPercentage": 0}, "samplingPercentage: 0 is out of range"),
    ],
)
def test_logs_are_kept_as_azure_monitor_keeps_them(account: Account, token: str, given: dict[str, Any], problem: str) -> None:
    (said,) = account.check(token, "x", {**IN_GROUP, **given})[1]
    assert problem in said


def setting(account: Account, **more: Any) -> dict[str, Any]:
    account.group()
    logs = account.make(types.WORKSPACE, "logs", IN_GROUP)
    apps = account.make(types.ENVIRONMENT, "apps", IN_GROUP)
    return {"resourceUri": apps.id, "workspaceId": logs.id, "logs": [{"category": "ContainerAppConsoleLogs", "enabled": True}], **more}


def test_only_what_there_is_can_be_sent_and_only_to_what_is_there(account: Account) -> None:
    given = setting(account)
    said = account.refused(types.DIAGNOSTIC_SETTING, {**given, "logs": [{"category": "GatewayLogs", "enabled": True}]})
    assert "Category 'GatewayLogs' is not supported: Microsoft.App/managedEnvironments has AppEnvSessionConsoleLogs," in said
    assert "'none' is not supported" in account.refused(
        types.DIAGNOSTIC_SETTING, {**given, "logs": [{"categoryGroup": "none", "enabled": True}]}
    )
    said = account.refused(types.DIAGNOSTIC_SETTING, {**given, "workspaceId": given["resourceUri"]})
    assert "is no Microsoft.OperationalInsights/workspaces that is there" in said
    assert account.make(types.DIAGNOSTIC_SETTING, "sent", {**given, "logs": [{"categoryGroup": "allLogs", "enabled": True}]})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"workspaceId": None}, "workspaceId or storageAccountId or eventHubAuthorizationRuleId or marketplacePartnerId: none is given"),
        ({"logs": None}, "logs or metrics: none is given: a setting must send something."),
        ({"logs": [{"enabled": True}]}, "logs[0].category, logs[0].categoryGroup: use exactly one of them."),
    ],
)
def test_a_setting_sends_something_somewhere(account: Account, change: dict[str, Any], problem: str) -> None:
    given = {key: value for key, value in {**setting(account), **change}.items() if value is not None}
    (said,) = account.check(types.DIAGNOSTIC_SETTING, "sent", given)[1]
    assert said.startswith(problem)


def app(account: Account, environment: Resource) -> Resource:
    """As the world holds a container app."""
    id_ = f"{GROUP_ID}/providers/Microsoft.App/containerApps/one"
    made = Resource(token=types.APP, id=id_, urn="", outputs={"name": "one", "environmentId": environment.id})
    account.world.put(made)
    return made


def test_an_environment_with_apps_stays_and_a_group_takes_all_with_it(account: Account) -> None:
    group = account.group()
    logs = account.make(types.WORKSPACE, "logs", IN_GROUP)
    environment = account.make(types.ENVIRONMENT, "apps", IN_GROUP)
    images = account.make(types.REGISTRY, "images", {**BASIC, "registryName": "images"})
    registry.PUSHED.push(account.twin, images.id, "server", "one", f"sha256:{'1' * 64}", "x")
    app(account, environment)
    with pytest.raises(Refusal, match=r"ManagedEnvironmentHasContainerApps: .* still contains 1 apps or jobs: one. Delete them first."):
        account.delete(environment)
    account.make(types.GROUP, "other", {"resourceGroupName": "tried2"})
    account.delete(group)
    assert [one.id for one in account.world.all()] == [f"/subscriptions/{SUBSCRIPTION}/resourceGroups/tried2"]
    account.delete(logs)


def test_what_open_enumerations_list_is_all_that_is_allowed(account: Account) -> None:
    given = {**IN_GROUP, "publicNetworkAccess": "Sometimes"}
    assert account.check(types.ENVIRONMENT, "apps", given)[1] == [
        "publicNetworkAccess: 'Sometimes' is not allowed: use one of Enabled, Disabled."
    ]
    problems = account.check(types.APP, "one", {**IN_GROUP, "kind": "functionapp"})[1]
    assert not any(problem.startswith("kind:") for problem in problems)

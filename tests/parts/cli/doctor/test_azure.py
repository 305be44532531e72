"""Every check of `doctor` on Azure with the fault that it is for: recorded answers of Resource Manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.args import NetworkArgs
from components.azure.names import names_of
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.azure import account, providers, quotas, region, rights
from pilotlight.doctor.azure.deleted import deleted
from pilotlight.doctor.azure.rights_table import ASSIGN, DEFINE, needed
from pilotlight.doctor.azure.subnet import subnet
from pilotlight.doctor.checks import checks_of
from pilotlight.doctor.findings import Finding, ok
from pilotlight.doctor.run import examine
from pilotlight.doctor.subject import AzureApis, cloud_of
from tests.parts.cli.azure_subscription import (
    AT_ONCE,
    EVENTS,
    OID,
    PLACE,
    PROVIDERS,
    REGION,
    START,
    SUBSCRIPTION,
    T4,
    TENANT,
    AzureSubscription,
)
from tests.parts.cli.doctor.looking import one
from tests.parts.cli.subjects import checkout

NAMES = names_of("pilotlight", "demo", SUBSCRIPTION)
OTHER = "44444444-4444-4444-8444-444444444444"
PERMISSIONS, SKUS, DELETED = (
    f"{PROVIDERS}/{name}"
    for name in ("Microsoft.Authorization/permissions", "Microsoft.ApiManagement/skus", "Microsoft.ApiManagement/deletedservices")
)


# Which cloud, where


@pytest.mark.parametrize(
    "config", [{"pilotlight:service": {"cloud": "azure"}}, {"azure-native:location": "westeurope", "pilotlight:service": {"cloud": "azur"}}]
)
def test_a_stack_is_examined_in_its_cloud(root: Path, config: dict[str, Any]) -> None:
    assert cloud_of(checkout(root, config), "demo") == "azure"


@pytest.mark.parametrize(
    ("location", "status", "said"),
    [
        (REGION, "ok", REGION),
        ("West Europe", "ok", REGION),
        ("westeurop", "fail", "did you mean 'westeurope'?"),
        ("", "fail", "no location is set"),
    ],
)
def test_the_region_is_set_and_known(azure: AzureSubscription, root: Path, location: str, status: str, said: str) -> None:
    found = one(region.region(azure.subject(root, config={"azure-native:location": location})))
    assert found.status == status
    assert said in found.found
    assert status == "ok" or "azure-native:location" in found.mend


# The subscription


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"upn": "dev@example.com"}, "dev@example.com"),
        ({"unique_name": "live.com#dev@example.com"}, "live.com#dev@example.com"),
        ({"appid": "an-app"}, "application an-app"),
    ],
)
def test_credentials_tell_whose_they_are(azure: AzureSubscription, root: Path, claims: dict[str, str], who: str) -> None:
    azure.signed_in(**claims)
    found, identity = account.credentials(azure.subject(root))
    assert found == ok("credentials", f"subscription {SUBSCRIPTION}, {who}")
    assert identity is not None
    assert (identity.account, identity.arn) == (SUBSCRIPTION, OID)
    local, _ = account.credentials(azure.subject(root, where="local"))
    assert local.found == f"subscription {SUBSCRIPTION}, the twin's developer"


def test_without_a_subscription_there_is_nothing_to_ask(azure: AzureSubscription, root: Path) -> None:
    found, identity = account.credentials(azure.subject(root, config={"azure-native:subscriptionId": ""}))
    assert (found.status, found.found, identity) == ("fail", "no subscription is set", None)
    shell = {"ARM_SUBSCRIPTION_ID": OTHER}
    found, identity = account.credentials(azure.subject(root, config={"azure-native:subscriptionId": ""}, variables=shell))
    assert (found.status, identity and identity.account) == ("ok", OTHER)


def described(**changed: str) -> dict[str, str]:
    """Resource Manager API, Subscription."""
    return {"id": START, "subscriptionId": SUBSCRIPTION, "displayName": "Mine", "state": "Enabled", "tenantId": TENANT, **changed}


@pytest.mark.parametrize(("state", "status"), [("Enabled", "ok"), ("Warned", "warn"), ("PastDue", "warn"), ("Disabled", "fail")])
def test_a_subscription_is_open(azure: AzureSubscription, root: Path, state: str, status: str) -> None:
    azure.says(START, described(state=state))
    found = one(account.subscription(azure.subject(root, config={"azure-native:tenantId": TENANT.upper()})))
    assert found.status == status
    assert found.found == (f"Mine ({SUBSCRIPTION})" if status == "ok" else f"Mine is {state}")


def test_a_subscription_of_another_tenant_is_told(azure: AzureSubscription, root: Path) -> None:
    azure.says(START, described(tenantId=OTHER))
    assert one(account.subscription(azure.subject(root))).status == "ok", "no tenant is configured"
    found = one(account.subscription(azure.subject(root, variables={"ARM_TENANT_ID": TENANT})))
    assert (found.status, found.found) == ("fail", f"Mine is of tenant {OTHER}, and {TENANT} is configured")
    assert found.mend == f"pulumi config set azure-native:tenantId {OTHER} --stack demo, or export ARM_TENANT_ID={OTHER}"


@pytest.mark.parametrize(
    ("status", "code"), [(404, "SubscriptionNotFound"), (401, "InvalidAuthenticationTokenTenant"), (403, "AuthorizationFailed")]
)
def test_a_subscription_out_of_sight_is_a_failure(azure: AzureSubscription, root: Path, status: int, code: str) -> None:
    azure.refuses(START, status, code, "The access token is from the wrong issuer.")
    found = one(account.subscription(azure.subject(root)))
    assert (found.status, "from the wrong issuer" in found.found) == ("fail", True)
    assert found.mend.startswith("az login --tenant")


# Resource providers and rights


def test_resource_providers_are_registered(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root)
    count = azure.registered(subject)
    assert one(providers.providers(subject)) == ok("providers", f"all {count} are registered")
    assert {f"{PROVIDERS}/Microsoft.{name}" for name in ("App", "ApiManagement", "ContainerRegistry", "Storage")} < {
        path for _, path, _, _ in azure.asked
    }
    azure.registered(subject, App="NotRegistered", Storage="Unregistered", Insights="Registering")
    found = one(providers.providers(subject))
    assert (found.status, found.found) == ("fail", "the subscription is not registered for Microsoft.App, Microsoft.Storage")
    assert found.mend == " && ".join(
        f"az provider register --namespace Microsoft.{name} --subscription {SUBSCRIPTION} --wait" for name in ("App", "Storage")
    )
    azure.registered(subject, Insights="Registering")
    assert one(providers.providers(subject)).status == "warn"


def test_an_event_pipeline_needs_event_grid_and_no_gateway(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, EVENTS)
    azure.registered(subject, EventGrid="NotRegistered")
    assert one(providers.providers(subject)).found == "the subscription is not registered for Microsoft.EventGrid"
    assert f"{PROVIDERS}/Microsoft.ApiManagement" not in {path for _, path, _, _ in azure.asked}
    granted(azure, (["*"], ["Microsoft.EventGrid/systemTopics/*"]))
    assert one(rights.rights(subject)).found == (
        "these credentials may not Microsoft.EventGrid/systemTopics/write, Microsoft.EventGrid/systemTopics/eventSubscriptions/write"
    )


def granted(azure: AzureSubscription, *roles: tuple[list[str], list[str]]) -> None:
    """Authorization API, Permission: actions and what is taken out of them, of each role."""
    azure.says(PERMISSIONS, {"value": [{"actions": given, "notActions": taken} for given, taken in roles]})


def test_rights_are_those_of_all_roles_together(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root)
    assert subject.settings is not None
    granted(azure, (["*"], ["Microsoft.Authorization/*/Write"]), (["microsoft.authorization/roleAssignments/*"], []))
    assert one(rights.rights(subject)) == ok("rights", f"all {len(needed(subject.settings))} actions are granted on the subscription")
    granted(azure, (["*"], ["Microsoft.Authorization/*/Write"]))
    found = one(rights.rights(subject))
    assert (found.status, found.found) == ("fail", f"these credentials may not {ASSIGN}")
    command = f'az role assignment create --assignee {OID} --role "Role Based Access Control Administrator" --scope {START}'
    assert found.mend == f"{command} # by who may"
    granted(azure, (["*/read"], []))
    found = one(rights.rights(subject))
    assert "Microsoft.App/containerApps/write" in found.found
    assert '--role "Contributor"' in found.mend
    assert '--role "Role Based' in found.mend


def test_who_lets_a_budget_drop_the_floor_may_define_roles(azure: AzureSubscription, root: Path) -> None:
    """Which the role that hands out roles may not."""
    budget = {"monthlyUsd": 9, "email": "a@example.com", "onExceeded": "drop-warming"}
    subject = azure.subject(root, {"budget": budget, "warming": [{"kind": "provisioned"}]})
    granted(azure, (["*"], ["Microsoft.Authorization/*/Write"]), (["microsoft.authorization/roleAssignments/*"], []))
    found = one(rights.rights(subject))
    assert found.found == f"these credentials may not {DEFINE}"
    assert found.mend == f'az role assignment create --assignee {OID} --role "User Access Administrator" --scope {START} # by who may'
    assert azure.registered(subject) == azure.registered(azure.subject(root)) + 1, "Microsoft.Consumption"


def test_rights_come_in_pages(azure: AzureSubscription, root: Path) -> None:
    further = "/further"
    azure.says(PERMISSIONS, {"value": [{"actions": ["*/read"]}], "nextLink": f"{azure.address}{further}"})
    azure.says(further, {"value": [{"actions": ["*"]}]})
    assert one(rights.rights(azure.subject(root))).status == "ok"


# The region


def there(azure: AzureSubscription, *apps: str, tiers: list[dict[str, Any]] | None = None) -> None:
    """Where Container Apps is; the tiers of API Management."""
    types = [{"resourceType": name, "locations": list(apps)} for name in ("containerApps", "managedEnvironments")]
    azure.says(f"{PROVIDERS}/Microsoft.App", {"registrationState": "Registered", "resourceTypes": types})
    azure.says(SKUS, {"value": tiers if tiers is not None else [tier("West Europe")]})


def tier(*places: str, name: str = "Consumption", **more: Any) -> dict[str, Any]:
    """API Management API, ApiManagementSku."""
    return {"resourceType": "service", "name": name, "locations": list(places), **more}


def test_what_the_stack_is_made_of_is_in_the_region(azure: AzureSubscription, root: Path) -> None:
    there(azure, "North Europe", "West Europe")
    subject = azure.subject(root)
    assert one(region.services(subject)) == ok("region.services", f"{REGION} has Container Apps and API Management (Consumption)")
    there(azure, "North Europe")
    found = one(region.services(subject))
    assert found.status == "fail"
    assert found.found == (
        f"{REGION} lacks Microsoft.App/managedEnvironments (in northeurope); Microsoft.App/containerApps (in northeurope)"
    )


@pytest.mark.parametrize(
    "tiers",
    [
        [tier("North Europe"), tier("West Europe", name="Developer")],
        [tier("West Europe", restrictions=[{"type": "Location"}])],
        [],
    ],
)
def test_a_region_without_the_consumption_tier_is_a_failure(azure: AzureSubscription, root: Path, tiers: list[dict[str, Any]]) -> None:
    there(azure, "West Europe", tiers=tiers)
    found = one(region.services(azure.subject(root)))
    assert (found.status, "API Management's tier Consumption" in found.found) == ("fail", True)


def test_the_tier_that_is_asked_for_is_looked_for(azure: AzureSubscription, root: Path) -> None:
    there(azure, "West Europe", tiers=[tier("West Europe", name="StandardV2")])
    found = one(
        region.services(azure.subject(root, {"gateway": {"publisherEmail": "a@b.example", "publisherName": "A", "tier": "standard-v2"}}))
    )
    assert found == ok("region.services", f"{REGION} has Container Apps and API Management (StandardV2)")


def test_a_provider_that_is_not_registered_is_told_of_once(azure: AzureSubscription, root: Path) -> None:
    there(azure, "West Europe")
    azure.refuses(SKUS, 409, "MissingSubscriptionRegistration")
    azure.refuses(DELETED, 409, "MissingSubscriptionRegistration")
    assert one(region.services(azure.subject(root))).status == "ok"
    assert list(deleted(azure.subject(root))) == []
    azure.refuses(SKUS, 500, "InternalServerError")
    with pytest.raises(ApiError):
        list(region.services(azure.subject(root)))


def test_the_profile_of_a_gpu_is_in_the_region(azure: AzureSubscription, root: Path) -> None:
    path = f"{PLACE}/availableManagedEnvironmentsWorkloadProfileTypes"
    azure.says(path, {"value": [{"name": "Consumption"}, {"name": "Consumption-GPU-NC8as-T4"}]})
    assert one(region.profile(azure.subject(root, T4))) == ok("profile.gpu", f"Consumption-GPU-NC8as-T4 is in {REGION}")
    azure.says(path, {"value": [{"name": "Consumption"}, {"name": "Consumption-GPU-NC24-A100"}]})
    found = one(region.profile(azure.subject(root, T4)))
    assert (found.status, found.allowed) == ("fail", "Consumption, Consumption-GPU-NC24-A100")
    assert "swedencentral" in found.mend
    assert list(region.profile(azure.subject(root))) == [], "no GPU, no question"


# Quotas


def test_there_is_room_for_the_environment(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root)
    azure.usages(ManagedEnvironmentCount=(14, 15))
    assert one(quotas.environments(subject)) == ok("environments", f"14 of 15 environments in {REGION}")
    azure.usages(ManagedEnvironmentCount=(15, 15))
    assert one(quotas.environments(subject)).status == "fail"
    own = f"{START}/resourceGroups/{NAMES.group}/providers/Microsoft.App/managedEnvironments/{NAMES.environment}"
    azure.says(own, {"name": NAMES.environment})
    assert one(quotas.environments(subject)).status == "ok", "it is the stack's own"
    azure.usages()
    assert one(quotas.environments(subject)).status == "warn"


@pytest.mark.parametrize(
    ("usage", "status", "said"),
    [
        ((0, 3), "ok", "2 and one for an update, of 3 T4 GPUs"),
        ((0, 2), "warn", "the endpoint may run 2 replicas, all of the 2 T4 GPUs granted in westeurope"),
        ((0, 1), "fail", "the endpoint may run 2 replicas, 1 T4 GPUs are granted"),
        ((1, 2), "warn", "1 of 2 T4 GPUs in westeurope are in use"),
    ],
)
def test_gpus_are_granted(azure: AzureSubscription, root: Path, usage: tuple[int, int], status: str, said: str) -> None:
    azure.usages(SubscriptionConsumptionT4Gpus=usage, SubscriptionConsumptionNCA100Gpus=(0, 0))
    found = one(quotas.gpu(azure.subject(root, T4)))
    assert (found.status, said in found.found) == (status, True), found
    scope = f"--scope {START}/providers/Microsoft.App/locations/westeurope"
    wanted = f"az quota update --resource-name SubscriptionConsumptionT4Gpus {scope} --limit-object value=3 limit-object-type=LimitValue"
    assert status == "ok" or found.mend == f"{wanted}, or lower endpoint.maxConcurrency"
    assert status != "fail" or found.allowed == "at most 1 replicas, which is maxConcurrency of 8"
    assert list(quotas.gpu(azure.subject(root))) == [], "no GPU, no question"


# The subnet

NETWORK = f"{START}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/spoke"
SUBNET = f"{NETWORK}/subnets/models"
PLACED: dict[str, Any] = {"network": {"subnetId": SUBNET}}
APPS = [{"name": "apps", "properties": {"serviceName": "Microsoft.App/environments"}}]
WEB = [{"name": "web", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}]


def placed(azure: AzureSubscription, location: str = REGION, **properties: Any) -> None:
    """Network API, VirtualNetwork and Subnet: one that is right, but for what is said."""
    azure.says(NETWORK, {"id": NETWORK, "name": "spoke", "location": location})
    azure.says(SUBNET, {"id": SUBNET, "name": "models", "properties": {"addressPrefix": "10.8.0.0/27", "delegations": APPS, **properties}})


def test_a_subnet_that_a_stack_names_is_looked_at(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, PLACED)
    found = one(subnet(subject))
    assert (found.status, found.found) == ("fail", f"{SUBNET} is not there")
    placed(azure, "West Europe")
    assert one(subnet(subject)) == ok("subnet", "10.8.0.0/27, room for 70 replicas")
    azure.refuses(SUBNET, 403, "AuthorizationFailed")
    with pytest.raises(ApiError):
        list(subnet(subject))
    for settings in ({}, {"network": {"addresses": "10.8.0.0/26"}}):
        assert list(subnet(azure.subject(root, settings))) == [], "nothing to look at"


LINKED = [{"name": "legionservicelink", "properties": {"link": "/environments/another"}}]


@pytest.mark.parametrize(
    ("told", "said", "mend"),
    [
        ({"location": "northeurope"}, "its network is in northeurope", "name another one, or use network.addresses"),
        ({"addressPrefix": "10.8.0.0/28"}, "10.8.0.0/28 is too small", "name another one, or use network.addresses"),
        ({"addressPrefix": None, "addressPrefixes": ["10.8.0.0/27"]}, "it has a list of prefixes, of which Container Apps finds", ""),
        ({"addressPrefix": "172.31.4.0/24"}, "172.31.4.0/24 overlaps 172.31.0.0/16, which Container Apps keeps", ""),
        ({"delegations": []}, "it is delegated to no service", f"subnet update --ids {SUBNET} --delegations Microsoft.App/environments"),
        ({"delegations": WEB}, "it is delegated to Microsoft.Web/serverFarms", "name another one, or use network.addresses"),
        ({"serviceAssociationLinks": LINKED}, "it is in use by /environments/another", "name another one"),
        ({"ipConfigurations": [{"id": "x"}]}, "it is in use", "name another one"),
    ],
)
def test_a_subnet_that_can_t_take_the_environment_is_told(
    azure: AzureSubscription, root: Path, told: dict[str, Any], said: str, mend: str
) -> None:
    placed(azure, **told)
    found = one(subnet(azure.subject(root, PLACED)))
    assert (found.status, found.found.startswith(said), mend in found.mend) == ("fail", True, True), found
    assert found.allowed.startswith("an empty subnet of /27 or larger in westeurope, delegated to Microsoft.App/environments")


def test_a_subnet_has_room_for_the_replicas_and_may_be_the_stacks_own_already(azure: AzureSubscription, root: Path) -> None:
    placed(azure, serviceAssociationLinks=LINKED)
    large = {**PLACED, "endpoint": {"platform": "azure-container-apps", "maxConcurrency": 142, **AT_ONCE}}
    found = one(subnet(azure.subject(root, large)))
    assert found.found == "10.8.0.0/27 has room for 70 replicas, and the stack may have 89; it is in use by /environments/another"
    names = names_of("pilotlight", "demo", SUBSCRIPTION, NetworkArgs(subnet_id=SUBNET))
    own = f"{START}/resourceGroups/{names.group}/providers/Microsoft.App/managedEnvironments/{names.environment}"
    azure.says(own, {"name": names.environment})
    assert one(subnet(azure.subject(root, PLACED))).status == "ok"


def test_a_quota_that_is_not_told_is_no_pass(azure: AzureSubscription, root: Path) -> None:
    azure.usages(ManagedEnvironmentCount=(0, 15))
    found = one(quotas.gpu(azure.subject(root, T4)))
    assert (found.status, "SubscriptionConsumptionT4Gpus" in found.found) == ("warn", True)


# What a destroyed stack left


def test_deleted_services_of_the_stack_are_told_and_others_are_not(azure: AzureSubscription, root: Path) -> None:
    def service(name: str, group: str) -> dict[str, Any]:
        id_ = f"{START}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service/{name}"
        return {"name": name, "location": "West Europe", "properties": {"serviceId": id_, "scheduledPurgeDate": "2026-11-03T12:00:00Z"}}

    azure.says(DELETED, {"value": [service("gateway0a1b2c3d", NAMES.group.upper()), service("other", "others")]})
    found = one(deleted(azure.subject(root)))
    assert (found.status, found.found.partition(",")[0]) == ("ok", "gateway0a1b2c3d")
    assert "2026-11-03T12:00:00Z" in found.found
    assert found.mend == 'az apim deletedservice purge --service-name gateway0a1b2c3d --location "West Europe"'


# What can't be seen, and all of it


def test_what_can_t_be_seen_is_told_as_that(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root)

    def examined() -> Finding:
        checks = [check for check in checks_of("azure").every if check.id == "rights"]
        return examine(subject, lambda one: (ok("credentials", ""), one.identity), checks)[1]

    azure.refuses(PERMISSIONS, 403, "AuthorizationFailed")
    granted = f'az role assignment create --assignee {OID} --role "Reader" --scope {START} # by who may'
    assert (examined().status, examined().mend) == ("warn", granted)
    azure.refuses(PERMISSIONS, 500, "InternalServerError")
    assert (examined().status, examined().mend) == ("warn", "try again")


def test_every_problem_is_told_at_once(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, T4, tools=None)
    azure.says(START, described(state="Disabled"))
    azure.registered(subject, Storage="NotRegistered")
    granted(azure, (["*"], [ASSIGN]))
    there(azure, "North Europe")
    azure.registered(subject, Storage="NotRegistered")
    azure.says(f"{PLACE}/availableManagedEnvironmentsWorkloadProfileTypes", {"value": []})
    azure.usages(ManagedEnvironmentCount=(15, 15), SubscriptionConsumptionT4Gpus=(0, 0))
    checks = checks_of("azure")
    found = {finding.id: finding for finding in examine(subject, checks.who, checks.before_up)}
    failed = {"subscription", "providers", "rights", "region.services", "profile.gpu", "environments", "quota.gpu", "pulumi"}
    assert failed <= {id_ for id_, finding in found.items() if finding.status == "fail"}
    assert all(found[id_].mend for id_ in failed)
    assert "model" not in found


def test_what_a_twin_does_not_serve_is_no_pass(azure: AzureSubscription, root: Path) -> None:
    subject = azure.subject(root, T4, where="local")
    subject = azure.subject(root, T4, where="local", clients=AzureApis({}, subject.clients.given), identity=None)
    checks = checks_of(subject.cloud)
    found = {finding.id: finding for finding in examine(subject, checks.who, checks.every)}
    assert found["credentials"].found == "can't be seen: The local twin does not serve management.azure.com."
    assert (found["credentials"].status, found["credentials"].mend.partition(",")[0]) == ("warn", "pilotlight down")
    assert "rights" not in found
    assert found["region"].status == "ok"


def test_the_page_of_the_command_names_every_check() -> None:
    page = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
    assert all(f"`{check.id}`" in page for check in checks_of("azure").every)

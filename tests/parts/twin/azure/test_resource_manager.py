"""Resource Manager on the twin: what is asked about a subscription before anything is in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.asgi import Request
from pilotlight.twin.azure import account as developer
from pilotlight.twin.azure.account import SUBSCRIPTION, TENANT
from pilotlight.twin.azure.resource_manager import ResourceManager
from pilotlight.twin.azure.types import API_MANAGEMENT, ENVIRONMENT, ROLE_ASSIGNMENT
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, NAME, REGION, Account
from tests.parts.twin.azure.people import identity

START = f"/subscriptions/{SUBSCRIPTION}"
PROVIDERS = f"{START}/providers"
PLACE = f"{PROVIDERS}/Microsoft.App/locations/{REGION}"
PERMISSIONS = f"{PROVIDERS}/Microsoft.Authorization/permissions"
DELETED = f"{PROVIDERS}/Microsoft.ApiManagement/deletedservices"
SERVICE = {"publisherEmail": "a@example.com", "publisherName": "A", "sku": {"name": "Consumption", "capacity": 0}}
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
MANAGER = "https://management.azure.com"


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.world.close()


def ask(
    account: Account,
    path: str,
    *,
    who: tuple[str, str] | None = (developer.PRINCIPAL, developer.CLIENT),
    resource: str = MANAGER,
    version: str | None = "2022-12-01",
    method: str = "GET",
    body: bytes = b"",
) -> tuple[int, Any]:
    """The answer's status and JSON, for the developer, another principal (object id, client id), or nobody."""
    token = account.twin.azure.tokens(account.twin).access(*who, resource) if who else ""
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    got: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        got.append(message)

    query = f"api-version={version}".encode() if version is not None else b""
    scope = {"method": method, "raw_path": f"/_azure/arm{path}".encode(), "query_string": query, "headers": headers}
    asyncio.run(ResourceManager(account.twin).handle(Request.of(scope, receive), send))
    return got[0]["status"], json.loads(got[1]["body"])


def said(account: Account, path: str) -> Any:
    status, content = ask(account, path)
    assert status == 200, content
    return content


def code(account: Account, path: str, **how: Any) -> tuple[int, str]:
    status, content = ask(account, path, **how)
    return status, content["error"]["code"]


def fault(account: Account, **what: Any) -> None:
    account.twin.faults.set({"account": what})


def environment(account: Account, name: str = "here") -> None:
    account.make(ENVIRONMENT, name, {**IN_GROUP, "environmentName": name})


def test_a_subscription_is_there_and_in_the_state_that_a_test_asks_for(account: Account) -> None:
    found = said(account, START)
    assert (found["id"], found["state"], found["tenantId"]) == (START, "Enabled", TENANT)
    fault(account, subscription="Disabled")
    assert said(account, START)["state"] == "Disabled"
    assert code(account, "/subscriptions/mine") == (400, "InvalidSubscriptionId")


def test_who_asks_is_known_by_a_token_for_resource_manager(account: Account) -> None:
    assert code(account, START, who=None) == (401, "AuthenticationFailed")
    assert code(account, START, resource="https://storage.azure.com") == (401, "InvalidAuthenticationToken")
    assert ask(account, START, resource="https://management.core.windows.net/")[0] == 200
    account.group()
    someone = identity(account, "someone")
    who = (someone["principalId"], someone["clientId"])
    assert code(account, START, who=who) == (403, "AuthorizationFailed")
    assert code(account, PERMISSIONS, who=who) == (403, "AuthorizationFailed")
    fault(account, denied=["Microsoft.Resources/subscriptions/read"])
    assert code(account, START) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(("version", "word"), [(None, "MissingApiVersionParameter"), ("latest", "InvalidApiVersionParameter")])
def test_every_request_names_a_version(account: Account, version: str | None, word: str) -> None:
    assert code(account, START, version=version) == (400, word)


def test_resource_providers_are_registered_but_those_that_a_test_takes_out(account: Account) -> None:
    found = said(account, f"{PROVIDERS}/microsoft.app")
    assert (found["namespace"], found["registrationState"]) == ("Microsoft.App", "Registered")
    places = {one["resourceType"]: one["locations"] for one in found["resourceTypes"]}
    assert {"containerApps", "managedEnvironments", "jobs", "containerApps/authConfigs"} == set(places)
    assert REGION in places["managedEnvironments"]
    assert said(account, f"{PROVIDERS}/microsoft.insights")["registrationState"] == "Registered"
    fault(account, unregistered=["Microsoft.App", "Microsoft.ApiManagement"], lacking=["Microsoft.App/jobs"])
    found = said(account, f"{PROVIDERS}/Microsoft.App")
    assert found["registrationState"] == "NotRegistered"
    assert {one["resourceType"]: one["locations"] for one in found["resourceTypes"]}["jobs"] == []
    assert said(account, f"{PROVIDERS}/Microsoft.Storage")["registrationState"] == "Registered"
    for path in (f"{PLACE}/usages", f"{PROVIDERS}/Microsoft.ApiManagement/skus", DELETED):
        assert code(account, path) == (409, "MissingSubscriptionRegistration")
    assert code(account, f"{PROVIDERS}/Microsoft.Nothing") == (404, "InvalidResourceNamespace")


def test_permissions_are_those_of_who_asks(account: Account) -> None:
    fault(account, denied=["Microsoft.Authorization/roleAssignments/write", "iam:CreateRole"])
    [owner] = said(account, PERMISSIONS)["value"]
    assert (owner["actions"], owner["notActions"]) == (["*"], ["Microsoft.Authorization/roleAssignments/write"])
    account.group()
    someone = identity(account, "someone")
    grant = {
        "scope": START,
        "principalId": someone["principalId"],
        "principalType": "ServicePrincipal",
        "roleDefinitionId": f"{PROVIDERS}/Microsoft.Authorization/roleDefinitions/{READER}",
        "roleAssignmentName": "55555555-5555-4555-8555-555555555555",
    }
    account.make(ROLE_ASSIGNMENT, "reads", grant)
    status, content = ask(account, PERMISSIONS, who=(someone["principalId"], someone["clientId"]))
    assert (status, [one["actions"] for one in content["value"]]) == (200, [["*/read"]])


def test_environments_are_counted_and_gpus_are_granted_by_region(account: Account) -> None:
    def usages(place: str = PLACE) -> dict[str, tuple[int, int]]:
        found = said(account, f"{place}/usages")["value"]
        return {one["name"]["value"]: (one["currentValue"], one["limit"]) for one in found}

    assert usages() == {
        "ManagedEnvironmentCount": (0, 15),
        "SubscriptionConsumptionT4Gpus": (0, 2),
        "SubscriptionConsumptionNCA100Gpus": (0, 2),
    }
    account.group()
    environment(account)
    fault(account, quotas={f"SubscriptionConsumptionT4Gpus:{REGION}": 0, "ManagedEnvironmentCount": 1})
    assert usages()["ManagedEnvironmentCount"] == (1, 1)
    assert usages()["SubscriptionConsumptionT4Gpus"] == (0, 0)
    elsewhere = usages(PLACE.replace(REGION, "northeurope"))
    assert (elsewhere["ManagedEnvironmentCount"], elsewhere["SubscriptionConsumptionT4Gpus"]) == ((0, 1), (0, 2))


def test_workload_profiles_are_those_of_the_region(account: Account) -> None:
    def names(place: str) -> set[str]:
        path = f"{PROVIDERS}/Microsoft.App/locations/{place}/availableManagedEnvironmentsWorkloadProfileTypes"
        return {one["name"] for one in said(account, path)["value"]}

    t4, a100 = "Consumption-GPU-NC8as-T4", "Consumption-GPU-NC24-A100"
    assert names("swedencentral") >= {"Consumption", "D4", t4, a100}
    assert names(REGION) & {t4, a100} == {t4}
    fault(account, lacking=[t4])
    assert names(REGION) & {t4, a100} == set()


def test_the_tier_is_everywhere_unless_a_test_takes_it_out(account: Account) -> None:
    path = f"{PROVIDERS}/Microsoft.ApiManagement/skus"
    assert REGION in {place for one in said(account, path)["value"] for place in one["locations"] if one["name"] == "Consumption"}
    fault(account, lacking=["Consumption"])
    assert "Consumption" not in {one["name"] for one in said(account, path)["value"]}


def test_deleted_services_are_told_for_two_days(account: Account) -> None:
    account.group()
    made = account.make(API_MANAGEMENT, "one", {**IN_GROUP, **SERVICE, "serviceName": "one-service"})
    assert said(account, DELETED)["value"] == []
    account.delete(made)
    [found] = said(account, DELETED)["value"]
    assert (found["name"], found["type"]) == ("one-service", "Microsoft.ApiManagement/deletedservices")
    assert found["properties"]["serviceId"] == f"{GROUP_ID}/providers/Microsoft.ApiManagement/service/one-service"
    assert found["properties"]["deletionDate"] < found["properties"]["scheduledPurgeDate"]
    assert said(account, DELETED.replace(SUBSCRIPTION, TENANT))["value"] == []
    account.twin.clock.advance(48 * 3600)
    assert said(account, DELETED)["value"] == []


def test_an_environment_is_there_or_not(account: Account) -> None:
    path = f"{START}/resourceGroups/{NAME}/providers/Microsoft.App/managedEnvironments/here"
    assert code(account, path) == (404, "ResourceNotFound")
    account.group()
    environment(account)
    assert said(account, path)["name"] == "here"


def test_whatever_else_is_asked_is_refused_and_an_outage_is_one(account: Account) -> None:
    assert code(account, f"{START}/resourceGroups") == (501, "NotImplemented")
    assert code(account, START, method="DELETE") == (501, "NotImplemented")
    account.twin.faults.set({"outages": ["arm"]})
    assert code(account, START) == (503, "ServiceUnavailable")

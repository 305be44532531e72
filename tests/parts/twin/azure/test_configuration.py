"""What the provider reads of a program's configuration and its shell, and what its functions tell with it."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin import azure
from pilotlight.twin.azure.account import CLIENT, PRINCIPAL, SUBSCRIPTION, TENANT
from pilotlight.twin.azure.settings import CONFIGURATION
from pilotlight.twin.azure.types import GROUP
from pilotlight.twin.values import UNKNOWN
from tests.parts.twin.azure.account import Account

MINE, OURS = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-000000000000"


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ({"subscriptionId": "a"}, {"ARM_SUBSCRIPTION_ID": "b"}, {"subscriptionId": "a"}),
        ({}, {"ARM_SUBSCRIPTION_ID": "b", "ARM_TENANT_ID": "t"}, {"subscriptionId": "b", "tenantId": "t"}),
        ({"subscriptionId": "", "location": "westeurope"}, {}, {"location": "westeurope"}),
        ({}, {"ARM_ENVIRONMENT": "public"}, {"environment": "public"}),
    ],
)
def test_the_configuration_comes_first_then_the_shell(config: dict[str, Any], environment: dict[str, str], expected: Any) -> None:
    assert dict(CONFIGURATION.completed(config, environment)) == expected


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"subscriptionId": "mine"}, "subscriptionId: 'mine' is no id: use the GUID that `az account show` tells."),
        ({"tenantId": "ours.onmicrosoft.com"}, "tenantId: 'ours.onmicrosoft.com' is no id: use the GUID that `az account show` tells."),
        ({"environment": "china"}, "environment: 'china' is not known to the local twin: it stands in for 'public'."),
        ({"location": "europe"}, "location: 'europe' is no location of Azure's public cloud: did you mean 'westeurope'?"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(config: dict[str, Any], problem: str) -> None:
    assert CONFIGURATION.problems(config) == [problem]


def test_what_is_not_known_yet_or_left_out_is_right() -> None:
    assert CONFIGURATION.problems(dict.fromkeys(("subscriptionId", "tenantId", "location"), UNKNOWN)) == []
    assert CONFIGURATION.problems({}) == []
    assert CONFIGURATION.settings({}).context == {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT}


def answer(account: Account, function: str, **args: Any) -> dict[str, Any]:
    settings = account.settings
    found: dict[str, Any] = azure.invokes()[f"azure-native:{function}"].answer(
        account.twin, {**settings.filled, **settings.context, **args}
    )
    return found


def test_functions_tell_who_deploys_and_where(account: Account) -> None:
    account.settings = CONFIGURATION.settings({"subscriptionId": MINE, "tenantId": OURS, "location": "westeurope"})
    assert answer(account, "authorization:getClientConfig") == {
        "clientId": CLIENT,
        "objectId": PRINCIPAL,
        "subscriptionId": MINE,
        "tenantId": OURS,
    }
    assert account.make(GROUP, "g", {"resourceGroupName": "g"}).id == f"/subscriptions/{MINE}/resourceGroups/g"


@pytest.mark.parametrize(
    ("asked", "audience"),
    [({}, "https://management.azure.com/"), ({"endpoint": "https://storage.azure.com"}, "https://storage.azure.com")],
)
def test_a_token_of_the_developer_is_for_whom_it_was_asked(account: Account, asked: dict[str, str], audience: str) -> None:
    token = answer(account, "authorization:getClientToken", **asked)["token"]
    claims = account.twin.azure.tokens(account.twin).verify(token, [audience])
    assert claims is not None
    assert (claims["oid"], claims["tid"]) == (PRINCIPAL, TENANT)
    assert account.twin.azure.tokens(account.twin).verify(token, ["https://vault.azure.net"]) is None

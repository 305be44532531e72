"""Whose credentials are taken on Azure, and what is said of those that are none: texts as Entra and `az` write them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from azure import identity

from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.azure.clients import MANAGER, ResourceManager
from pilotlight.cli.azure.logins import Given, LoginError, credential_of, refused
from pilotlight.doctor.azure import account
from pilotlight.doctor.subject import AzureApis
from tests.parts.cli.azure_subscription import START, SUBSCRIPTION, TENANT, AzureSubscription

APP = {"ARM_CLIENT_ID": "an-app", "ARM_TENANT_ID": TENANT}
# Azure/azure-cli issues 16641 and 16209; the others in the form of Entra's error codes.
IDLE = (
    "ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-25T17:51:10.1022630Z and was "
    "inactive for 12:00:00. Trace ID: f22e591-3c03 Correlation ID: d29923fb-f57f Timestamp: 2026-01-26 17:38:18Z"
)
FREQUENCY = (
    "AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.\r\nTrace ID: 3e9b4470"
)
SECRET = "AADSTS7000222: The provided client secret keys for app 'an-app' are expired."


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, identity.AzureCliCredential),
        ({"ARM_USE_MSI": "true"}, identity.ManagedIdentityCredential),
        ({**APP, "ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN": "t"}, identity.ClientAssertionCredential),
        ({**APP, "ARM_USE_OIDC": "true", "ARM_CLIENT_SECRET": "s", "ARM_USE_MSI": "true"}, identity.ClientSecretCredential),
        ({**APP, "ARM_CLIENT_SECRET": "s", "ARM_USE_DEFAULT_AZURE_CREDENTIAL": "true"}, identity.DefaultAzureCredential),
    ],
)
def test_the_first_way_that_is_told_is_taken(variables: dict[str, str], kind: type) -> None:
    assert type(credential_of(Given({}, variables))) is kind


def test_the_stacks_file_counts_more_than_the_shell() -> None:
    given = Given({"azure-native:subscriptionId": SUBSCRIPTION}, {"ARM_SUBSCRIPTION_ID": "other", "ARM_TENANT_ID": TENANT})
    assert (given.subscription, given.tenant) == (SUBSCRIPTION, TENANT)


@pytest.mark.parametrize(
    ("config", "variables", "said", "mend"),
    [
        ({}, {"ARM_CLIENT_SECRET": "s"}, "ARM_TENANT_ID and ARM_CLIENT_ID is missing", "export ARM_TENANT_ID=… ARM_CLIENT_ID=…"),
        ({"azure-native:clientSecret": {"secure": "v1:x"}}, APP, "is encrypted in the stack's file", "export ARM_CLIENT_SECRET=…"),
        ({}, {**APP, "ARM_CLIENT_CERTIFICATE_PATH": "/nowhere.pem"}, "/nowhere.pem: ", "export ARM_CLIENT_CERTIFICATE_PATH=FILE"),
    ],
)
def test_a_way_that_is_told_in_part_is_refused(config: dict[str, Any], variables: dict[str, str], said: str, mend: str) -> None:
    with pytest.raises(LoginError) as caught:
        credential_of(Given(config, variables))
    assert said in str(caught.value)
    assert caught.value.mend.startswith(mend)


@pytest.mark.parametrize(
    ("text", "told", "mend"),
    [
        (IDLE, "was inactive for 12:00:00", "az login, once more"),
        (FREQUENCY, "by conditional access", "az login, once more"),
        (SECRET, "are expired", "az ad app credential reset --id an-app, and ARM_CLIENT_SECRET anew"),
        ("AADSTS50076: you must use multi-factor authentication", "multi-factor authentication", "az login --tenant TENANT"),
        ("Please run 'az login' to set up an account", "to set up an account", "az login"),
    ],
)
def test_what_entra_says_is_told_with_the_way_out(text: str, told: str, mend: str) -> None:
    found = refused(Exception(text), "an-app")
    assert str(found).endswith(told)
    assert found.mend.startswith(mend)
    assert "Trace ID" not in str(found)


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the `az` that azure-identity runs."""

    def write(script: str) -> None:
        file = tmp_path / "az"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return write


def test_az_is_asked_once_for_a_token_of_the_subscription(az: Any, tmp_path: Path) -> None:
    az(f'echo "$@" >> {tmp_path}/asked\necho \'{{"accessToken": "t", "expires_on": 99999999999, "subscription": "s"}}\'')
    manager = ResourceManager(None, Given({"azure-native:subscriptionId": SUBSCRIPTION}, {}))
    assert [manager.token(), manager.token()] == ["t", "t"]
    [asked] = (tmp_path / "asked").read_text().splitlines()
    assert f"--subscription {SUBSCRIPTION}" in asked
    assert MANAGER in asked


def test_a_login_that_is_over_is_a_finding(az: Any, tmp_path: Path) -> None:
    subscription = AzureSubscription()
    try:
        given = Given({"azure-native:subscriptionId": SUBSCRIPTION}, {})
        subject = subscription.subject(tmp_path / "checkout", clients=AzureApis(None, given))
        az(f"cat >&2 <<'E'\n{IDLE}\nE\nexit 1")
        found, who = account.credentials(subject)
        assert (found.status, found.mend, who) == ("fail", "az login, once more", None)
        assert "AADSTS700082" in found.found
        az("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1")
        subject = subscription.subject(tmp_path / "checkout", clients=AzureApis(None, given))
        found, who = account.credentials(subject)
        assert (found.status, found.mend, who) == ("fail", "az login", None)
    finally:
        subscription.close()


def test_a_refusal_is_told_in_the_words_of_the_api() -> None:
    subscription = AzureSubscription()
    try:
        manager = ResourceManager(subscription.variables, Given({}, {}))
        subscription.refuses(START, 409, "MissingSubscriptionRegistration", "The subscription is not registered.")
        with pytest.raises(ApiError, match=r"^The subscription is not registered\.$") as caught:
            manager.ask(START, "2022-12-01")
        assert (caught.value.status, caught.value.reason) == (409, "MissingSubscriptionRegistration")
        assert subscription.asked[-1][2] == [("api-version", "2022-12-01")]
        subscription.answers["GET", START, ""] = 502, "<html>"
        with pytest.raises(ApiError, match=r"^502 Bad Gateway"):
            manager.ask(START, "2022-12-01")
    finally:
        subscription.close()
    with pytest.raises(ApiError, match="can't be asked"):
        manager.ask(START, "2022-12-01")

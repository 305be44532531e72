"""Easy Auth: who may come in by a token of a managed identity, and what the container is told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.asgi import Request
from pilotlight.twin.azure.account import TENANT
from pilotlight.twin.azure.easy_auth import EasyAuth, Verdict, issued_by
from pilotlight.twin.azure.tokens import Tokens

AUDIENCE = "https://management.azure.com/"
GATEWAY, OTHER, CLIENT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "gateway-client"
REGISTRATION = {"clientId": "registered", "openIdIssuer": f"https://sts.windows.net/{TENANT}/"}
POLICY = {"allowedPrincipals": {"identities": [GATEWAY]}}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("tokens"))


def judged(tokens: Tokens, token: str | None, path: str = "/predict", *, entra: Any = None, **validation: Any) -> Verdict:
    provider = {
        "registration": REGISTRATION,
        "validation": {"allowedAudiences": [AUDIENCE], "defaultAuthorizationPolicy": POLICY},
        **(entra or {}),
    }
    config = {
        "globalValidation": {"unauthenticatedClientAction": "Return401", **validation},
        "identityProviders": {"azureActiveDirectory": provider},
    }
    return EasyAuth(config, tokens).judge(request(token), path)


def request(token: str | None) -> Request:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Request(method="POST", raw_path="/", raw_query="", headers=headers, header_pairs=[], source_ip="127.0.0.1", receive=_nothing)


async def _nothing() -> dict[str, Any]:
    return {}


def gateway(tokens: Tokens, principal: str = GATEWAY, audience: str = AUDIENCE) -> str:
    return tokens.access(principal, CLIENT, audience)


def test_the_named_identity_comes_in_and_nobody_else(tokens: Tokens) -> None:
    assert judged(tokens, gateway(tokens)).status is None
    assert judged(tokens, gateway(tokens, OTHER)).status == 403
    assert judged(tokens, gateway(tokens, audience="https://storage.azure.com")).status == 401
    assert judged(tokens, "x.y.z").status == 401
    refused = judged(tokens, None)
    assert (refused.status, dict(refused.headers)) == (401, {"www-authenticate": 'Bearer realm=""'})


def test_the_container_learns_who_came(tokens: Tokens) -> None:
    headers = dict(judged(tokens, gateway(tokens)).headers)
    assert (headers["x-ms-client-principal-id"], headers["x-ms-client-principal-idp"]) == (GATEWAY, "aad")
    principal = json.loads(base64.b64decode(headers["x-ms-client-principal"]))
    claims = {one["typ"]: one["val"] for one in principal["claims"]}
    assert principal["auth_typ"] == "aad"
    assert claims["http://schemas.microsoft.com/identity/claims/objectidentifier"] == GATEWAY
    assert (claims["appid"], claims["aud"]) == (CLIENT, AUDIENCE)


def test_applications_are_named_as_identities_are(tokens: Tokens) -> None:
    def policy(*applications: str) -> dict[str, Any]:
        return {"validation": {"allowedAudiences": [AUDIENCE], "defaultAuthorizationPolicy": {"allowedApplications": list(applications)}}}

    assert judged(tokens, gateway(tokens), entra=policy(CLIENT)).status is None
    assert judged(tokens, gateway(tokens), entra=policy("another")).status == 403


def test_a_policy_that_names_nobody_lets_everybody_of_the_tenant_in(tokens: Tokens) -> None:
    assert judged(tokens, gateway(tokens, OTHER), entra={"validation": {"allowedAudiences": [AUDIENCE]}}).status is None


def test_the_application_is_an_audience_itself(tokens: Tokens) -> None:
    own = {"registration": {**REGISTRATION, "clientId": AUDIENCE}, "validation": {"defaultAuthorizationPolicy": POLICY}}
    assert judged(tokens, gateway(tokens), entra=own).status is None
    assert judged(tokens, gateway(tokens), entra={"validation": {"defaultAuthorizationPolicy": POLICY}}).status == 401


def test_tokens_are_of_the_version_that_the_issuers_address_has(tokens: Tokens) -> None:
    assert issued_by(f"https://login.microsoftonline.com/{TENANT}/v2.0") == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert issued_by(f"https://login.microsoftonline.com/{TENANT}") == issued_by(f"https://sts.windows.net/{TENANT}/")
    for address, status in ((f"https://login.microsoftonline.com/{TENANT}/v2.0", 401), ("https://sts.windows.net/another/", 401)):
        assert judged(tokens, gateway(tokens), entra={"registration": {**REGISTRATION, "openIdIssuer": address}}).status == status


@pytest.mark.parametrize(
    ("path", "open_"), [("/health", True), ("/health/ready", False), ("/open/a/b", True), ("/open", True), ("/opened", False)]
)
def test_excluded_paths_are_open_and_no_others(tokens: Tokens, path: str, open_: bool) -> None:
    assert (judged(tokens, None, path, excludedPaths=["/health", "/open/*"]).status is None) is open_
    assert judged(tokens, gateway(tokens, OTHER), path, excludedPaths=["/health", "/open/*"]).status == 403


def test_what_becomes_of_the_unknown_is_the_apps_to_say(tokens: Tokens) -> None:
    assert judged(tokens, None, unauthenticatedClientAction="AllowAnonymous") == Verdict()
    assert judged(tokens, None, unauthenticatedClientAction="Return403").status == 403
    sent = judged(tokens, None, unauthenticatedClientAction="RedirectToLoginPage")
    assert (sent.status, dict(sent.headers)["location"]) == (302, "/.auth/login/aad?post_login_redirect_uri=%2Fpredict")


def test_it_can_be_turned_off(tokens: Tokens, tmp_path: Path) -> None:
    assert not EasyAuth({"platform": {"enabled": False}}, tokens).enabled
    assert EasyAuth({}, tokens).enabled

"""The identity endpoint asked by azure-identity, unchanged, in processes of an app; and by hand for what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from pilotlight.twin.azure.account import PRINCIPAL
from pilotlight.twin.azure.types import APP
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, Account
from tests.parts.twin.azure.front import served
from tests.parts.twin.azure.people import identity

STORAGE = "https://storage.azure.com"
OWN = "44444444-4444-4444-8444-444444444444"
VERSION = {"api-version": "2019-08-01"}
# In a process of its own, with nothing but the variables: tokens by both credentials that programs use.
CLIENT = f"""
import json, sys
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential

def token(credential):
    try:
        return credential.get_token({STORAGE + "/.default"!r}).token
    except (ClientAuthenticationError, CredentialUnavailableError) as error:
        return "refused: " + str(error)

found = [token(DefaultAzureCredential()), token(ManagedIdentityCredential())]
print(json.dumps(found + [token(ManagedIdentityCredential(client_id=client)) for client in sys.argv[1:]]))
"""


@pytest.fixture(autouse=True)
def front(account: Account, tmp_path: Path) -> Iterator[str]:
    with served(account, tmp_path) as address:
        account.group()
        yield address


def app(name: str, *identities: Resource, own: bool = False) -> Resource:
    """As the row of a container app gives it to its plane, which is before it is in the world."""
    assigned = {one.id: {"principalId": one["principalId"], "clientId": one["clientId"]} for one in identities}
    answered: dict[str, Any] = {"userAssignedIdentities": assigned, **({"principalId": OWN, "tenantId": "t"} if own else {})}
    return Resource(token=APP, id=f"{GROUP_ID}/providers/Microsoft.App/containerApps/{name}", urn="", outputs={"identity": answered})


def variables(account: Account, resource: Resource) -> dict[str, str]:
    return dict(account.twin.azure.identities.variables(account.twin, resource))


def oid(account: Account, token: str) -> str:
    claims = account.twin.azure.tokens(account.twin).verify(token, [STORAGE])
    return str(claims["oid"]) if claims else token


def credentials(account: Account, environment: dict[str, str], *clients: str) -> list[str]:
    """Whose tokens an app's process gets: by default, as the app itself, and as each of those clients."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "IDENTITY_", "MSI_"))}
    command = [sys.executable, "-c", CLIENT, *clients]
    done = subprocess.run(command, env={**alone, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [oid(account, token) for token in json.loads(done.stdout)]


def ask(environment: dict[str, str], **query: str) -> httpx.Response:
    headers = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]}
    return httpx.get(environment["IDENTITY_ENDPOINT"], params={**VERSION, "resource": STORAGE, **query}, headers=headers, trust_env=False)


def test_azure_identity_unchanged_gets_tokens_of_the_identity_that_it_names(account: Account) -> None:
    mine, other = identity(account, "mine"), identity(account, "other")
    environment = {**variables(account, app("one", mine)), "AZURE_CLIENT_ID": mine["clientId"]}
    by_default, itself, named, stranger = credentials(account, environment, mine["clientId"], other["clientId"])
    assert (by_default, named) == (mine["principalId"], mine["principalId"])
    for refused in (itself, stranger):
        assert "Unable to load the proper Managed Identity" in refused, refused


def test_an_app_with_an_identity_of_its_own_needs_no_client_id(account: Account) -> None:
    mine = identity(account, "mine")
    by_default, itself, named = credentials(account, variables(account, app("one", mine, own=True)), mine["clientId"])
    assert (by_default, itself, named) == (OWN, OWN, mine["principalId"])


def test_the_developers_programs_are_the_developer(account: Account) -> None:
    account.twin.iam = SimpleNamespace(deployer=SimpleNamespace(secret_access_key="secret"))
    environment = dict(account.twin.azure.identities.developer(account.twin))
    assert credentials(account, environment) == [PRINCIPAL, PRINCIPAL]
    assert dict(account.twin.azure.identities.developer(account.twin)) == environment, "the same, so that a shell goes on"
    assert ask({**environment, "IDENTITY_HEADER": "another"}).status_code == 401
    account.twin.iam.deployer.secret_access_key = "of another twin"
    assert account.twin.azure.identities.developer(account.twin)["IDENTITY_HEADER"] != environment["IDENTITY_HEADER"]


def test_the_answer_is_that_of_the_documentation(account: Account) -> None:
    mine = identity(account, "mine")
    answer = ask(variables(account, app("one", mine)), client_id=mine["clientId"].upper()).json()
    claims = account.twin.azure.tokens(account.twin).verify(answer.pop("access_token"), [STORAGE])
    assert abs(int(answer.pop("expires_on")) - claims["exp"]) <= 1
    assert answer == {"resource": STORAGE, "token_type": "Bearer", "client_id": mine["clientId"]}


@pytest.mark.parametrize(
    ("parameter", "output"), [("client_id", "clientId"), ("principal_id", "principalId"), ("object_id", "principalId")]
)
def test_an_identity_is_chosen_by_any_of_its_ids(account: Account, parameter: str, output: str) -> None:
    mine, other = identity(account, "mine"), identity(account, "other")
    answer = ask(variables(account, app("one", mine, other)), **{parameter: other[output]})
    assert oid(account, answer.json()["access_token"]) == other["principalId"]
    answer = ask(variables(account, app("one", mine, other)), mi_res_id=other.id)
    assert oid(account, answer.json()["access_token"]) == other["principalId"]


def test_each_app_has_a_secret_of_its_own_and_is_what_it_declares_now(account: Account) -> None:
    mine, other = identity(account, "mine"), identity(account, "other")
    one, two = variables(account, app("one", mine)), variables(account, app("two", other))
    assert one["IDENTITY_HEADER"] != two["IDENTITY_HEADER"]
    assert ask(one, client_id=other["clientId"]).status_code == 400
    assert variables(account, app("one", other)) == one, "a process that is there already finds the same"
    assert ask(one, client_id=other["clientId"]).status_code == 200
    assert ask(one, client_id=mine["clientId"]).status_code == 400
    assert variables(account, app("none")) == {}


def test_an_identity_that_is_gone_gets_no_token(account: Account) -> None:
    mine = identity(account, "mine")
    environment = variables(account, app("one", mine))
    account.delete(mine)
    assert ask(environment, client_id=mine["clientId"]).status_code == 400


@pytest.mark.parametrize(
    ("query", "headers", "status", "said"),
    [
        ({}, {"X-IDENTITY-HEADER": "made up"}, 401, "X-IDENTITY-HEADER"),
        ({}, {"X-IDENTITY-HEADER": ""}, 401, "X-IDENTITY-HEADER"),
        ({"api-version": "2017-09-01"}, {}, 400, "use 2019-08-01"),
        ({"resource": ""}, {}, 400, "resource is missing"),
        ({"resource": "api://predict"}, {}, 400, "AADSTS500011"),
        ({"mi_res_id": "x"}, {}, 400, "client_id, mi_res_id: an identity is chosen by one of them"),
    ],
)
def test_what_is_refused(account: Account, query: dict[str, str], headers: dict[str, str], status: int, said: str) -> None:
    mine = identity(account, "mine")
    environment = variables(account, app("one", mine))
    given = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"], **headers}
    asked = {**VERSION, "resource": STORAGE, "client_id": mine["clientId"], **query}
    answer = httpx.get(environment["IDENTITY_ENDPOINT"], params=asked, headers=given, trust_env=False)
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
    assert said in answer.json()["message"]
    assert httpx.post(environment["IDENTITY_ENDPOINT"], headers=given, trust_env=False).status_code == 405

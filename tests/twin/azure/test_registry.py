"""Registries of Azure: tokens exchanged at their login servers over TLS, and images that only those let in."""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from pilotlight.twin import docker_build, registries
from pilotlight.twin.aws import ecr
from pilotlight.twin.azure import registry, types
from pilotlight.twin.azure.account import CLIENT, PRINCIPAL, TENANT
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.gcp import registry as google
from pilotlight.twin.rows import Refusal
from pilotlight.twin.signing import SigningKey
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP
from tests.parts.twin.azure.people import assignment, identity
from tests.twin.azure.test_tls import Fronted

MANAGER = "https://management.azure.com/"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
OCI = "application/vnd.oci.image.manifest.v1+json"


class Login(Fronted):
    """An account with one registry, whose login server is reached over TLS."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.twin.wait = self.loop.wait
        self.cloud.planes = azure_planes({types.REGISTRY: "registry_plane:RegistryPlane"})
        self.account.group()
        self.registry = self.make("images")

    def make(self, name: str, **more: Any) -> Resource:
        return self.account.make(types.REGISTRY, name, {**IN_GROUP, "registryName": name, "sku": {"name": "Basic"}, **more})

    def token(self, audience: str = MANAGER, principal: str = PRINCIPAL) -> str:
        return str(self.cloud.tokens(self.twin).access(principal, CLIENT, audience))

    def exchange(self, to: Resource | None = None, **change: str | None) -> httpx.Response:
        server = (to or self.registry)["loginServer"]
        form = {"grant_type": "access_token", "service": server, "tenant": TENANT, "access_token": self.token()} | change
        trusting = ssl.create_default_context(cafile=str(self.cloud.ca_file(self.twin)))
        given = {key: value for key, value in form.items() if value is not None}
        return httpx.post(f"https://{server}/oauth2/exchange", data=given, verify=trusting)

    def password(self, to: Resource | None = None, **change: str) -> str:
        return str(self.exchange(to, **change).raise_for_status().json()["refresh_token"])

    @property
    def place(self) -> tuple[str, str]:
        """Host and name of an image of the registry."""
        host, _, path = self.registry["loginServer"].partition("/")
        return host, f"{path}/server"


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Login]:
    made = Login(tmp_path)
    yield made
    made.close()


def test_a_host_name_tells_whose_registry_it_is(login: Login) -> None:
    assert registries.of(login.place[0]) is registry
    assert registries.of("images.azurecr.io") is registry
    assert registries.of("europe-west1-docker.pkg.dev") is google
    assert registries.of("123456789012.dkr.ecr.us-east-1.amazonaws.com") is ecr


def test_a_token_of_the_developer_is_exchanged_for_one_that_opens_this_registry(login: Login) -> None:
    password = login.password()
    claims = jwt.decode(password, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"], claims["grant_type"]) == (login.registry["loginServer"], PRINCIPAL, "refresh_token")
    assert claims["exp"] - claims["iat"] == registry.TOKEN_S
    registry.authorize(login.twin, login.registry, registry.USER, password)
    other = login.make("others")
    with pytest.raises(Refusal, match=r"authentication required: log in to 127\.0\.0\.1:.*/acr/others as 00000000-"):
        registry.authorize(login.twin, other, registry.USER, password)
    with pytest.raises(Refusal, match="authentication required"):
        registry.authorize(login.twin, login.registry, "AWS", password)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"access_token": "x"}, 401, "access_token: use one of this twin for https://containerregistry.azure.net or"),
        ({"access_token": None}, 401, "access_token: use one of this twin"),
        ({"service": "images.azurecr.io"}, 401, "service: 'images.azurecr.io' is not this registry: use 127.0.0.1:"),
        ({"tenant": "11111111-2222-4333-8444-555555555555"}, 401, f"is not the token's: use {TENANT}."),
        ({"grant_type": "refresh_token"}, 400, "grant_type: 'refresh_token' is not served: use access_token."),
    ],
)
def test_what_is_not_right_is_not_exchanged(login: Login, change: dict[str, str | None], status: int, said: str) -> None:
    answer = login.exchange(**change)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert said in error["message"]


def test_only_tokens_for_azure_or_for_registries_are_exchanged(login: Login) -> None:
    assert login.exchange(access_token=login.token("https://containerregistry.azure.net")).status_code == 200
    assert login.exchange(access_token=login.token("https://storage.azure.com")).status_code == 401
    strict = login.make("strict", policies={"azureADAuthenticationAsArmPolicy": {"status": "disabled"}})
    assert login.exchange(strict).status_code == 401
    assert login.exchange(strict, access_token=login.token("https://containerregistry.azure.net")).status_code == 200


def test_other_requests_and_registries_are_answered_as_such(login: Login) -> None:
    trusting = ssl.create_default_context(cafile=str(login.cloud.ca_file(login.twin)))
    root = f"https://{login.cloud.host(login.twin)}/acr"
    assert httpx.get(f"{root}/images/v2/", verify=trusting).status_code == 404
    assert httpx.post(f"{root}/none/oauth2/exchange", verify=trusting).json()["errors"][0]["code"] == "NAME_UNKNOWN"
    assert httpx.post(f"{root}/images/oauth2/exchange", json={}, verify=trusting).status_code == 415
    large = urllib.parse.urlencode({"access_token": "x" * 70_000})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(f"{root}/images/oauth2/exchange", content=large, headers=headers, verify=trusting).status_code == 413


def test_an_identity_pushes_as_soon_as_its_role_lets_it(login: Login) -> None:
    who = identity(login.account, "builder")
    password = login.password(access_token=login.token(principal=who["principalId"]))
    with pytest.raises(Refusal, match="DENIED: requested access to the resource is denied: "):
        registry.authorize(login.twin, login.registry, registry.USER, password)
    given = assignment(who, "AcrPull", login.registry.id)
    login.account.make(types.ROLE_ASSIGNMENT, "pulls", given)
    with pytest.raises(Refusal, match="DENIED"):
        registry.authorize(login.twin, login.registry, registry.USER, password)
    login.account.make(types.ROLE_ASSIGNMENT, "pushes", assignment(who, "AcrPush", login.registry.id))
    registry.authorize(login.twin, login.registry, registry.USER, password)


def test_a_password_that_has_ended_or_that_others_made_opens_nothing(login: Login, tmp_path: Path) -> None:
    claims = {"iss": "Azure Container Registry", "aud": login.registry["loginServer"], "sub": PRINCIPAL}
    ours, theirs = SigningKey(login.twin.home / "azure-tokens.pem"), SigningKey(tmp_path / "others.pem")
    registry.authorize(login.twin, login.registry, registry.USER, ours.sign(claims, 60))
    for password in (ours.sign(claims, -1), theirs.sign(claims, 60), ours.sign({**claims, "iss": "x"}, 60), login.token(), ""):
        with pytest.raises(Refusal, match="authentication required"):
            registry.authorize(login.twin, login.registry, registry.USER, password)


def test_an_image_is_found_by_tag_and_by_digest_and_its_tag_moves(login: Login) -> None:
    host, name = login.place
    assert registry.repository(login.twin, host, name).id == login.registry.id
    for digest in (ONE, TWO):
        registry.push(login.twin, login.registry, host, name, "latest", digest, OCI)
    world = login.account.world
    for uri, digest in (
        (f"{host}/{name}", TWO),
        (f"{host}/{name}:latest", TWO),
        (f"{host}/{name}@{ONE}", ONE),
        (f"{host}/{name}:x@{TWO}", TWO),
    ):
        found = registry.image(world, uri)
        assert found is not None
        assert found["digest"] == digest
    for uri in (f"{host}/{name}:other", f"{host}/{name}x", f"{host}/acr/none/server", "server:latest"):
        assert registry.image(world, uri) is None
    assert registry.holds(login.twin, host, name, ONE)
    registry.remove(login.twin, host, name, ONE)
    assert not registry.holds(login.twin, host, name, ONE)
    login.account.delete(login.registry)
    assert not registry.holds(login.twin, host, name, TWO)


@pytest.mark.parametrize("uri", ["images.azurecr.io/server", "127.0.0.1:1/acr/images/server"])
def test_a_push_to_where_no_registry_is_says_how_to_address_one(login: Login, uri: str) -> None:
    host, _, name = uri.partition("/")
    with pytest.raises(Refusal, match="no such registry: begin the tag with the output `loginServer` of one"):
        registry.repository(login.twin, host, name)


def test_of_two_registries_at_one_host_each_is_opened_by_its_own_login(login: Login) -> None:
    other = login.make("others")
    entries = [
        {"address": one["loginServer"], "username": registry.USER, "password": login.password(one)} for one in (other, login.registry)
    ]
    host, name = login.place
    inputs = {"push": True, "tags": [f"{host}/{name}:one"], "registries": entries}
    ((found, _),) = docker_build._targets(login.twin, inputs)
    assert found.id == login.registry.id
    with pytest.raises(Refusal, match="authentication required"):
        docker_build._targets(login.twin, {**inputs, "registries": entries[:1]})
    with pytest.raises(Refusal, match="No credentials for 127"):
        docker_build._targets(login.twin, {**inputs, "registries": []})

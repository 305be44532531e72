"""Tokens of identities: what is in them, who may verify them, and how anybody finds the keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from pilotlight.twin.azure.account import TENANT
from pilotlight.twin.azure.entra import NAME
from pilotlight.twin.azure.identity_plane import IdentityPlane
from pilotlight.twin.azure.tokens import Tokens, issuer
from pilotlight.twin.jwks import Jwks
from pilotlight.twin.rows import Refusal
from tests.parts.twin.azure.account import PORT, Account
from tests.parts.twin.azure.front import served

WHO, CLIENT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
STORAGE = "https://storage.azure.com"
OTHER_TENANT = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
def front(account: Account, tmp_path: Path) -> Iterator[str]:
    asyncio.run(IdentityPlane(account.twin).start())
    with served(account, tmp_path) as address:
        yield f"{address}/_azure/{NAME}"


def test_a_token_says_whose_it_is_and_whom_it_is_for(tokens: Tokens) -> None:
    token = tokens.access(WHO, CLIENT, STORAGE)
    claims = tokens.verify(token, (STORAGE, f"{STORAGE}/"))
    assert claims is not None
    assert {name: claims[name] for name in ("iss", "aud", "oid", "sub", "appid", "tid", "ver", "idtyp")} == {
        "iss": f"https://sts.windows.net/{TENANT}/",
        "aud": STORAGE,
        "oid": WHO,
        "sub": WHO,
        "appid": CLIENT,
        "tid": TENANT,
        "ver": "1.0",
        "idtyp": "app",
    }
    assert claims["exp"] - claims["iat"] == tokens.lifetime_s == 86_400
    assert claims["nbf"] == claims["iat"]
    assert tokens.verify(tokens.access(WHO, CLIENT, f"{STORAGE}/"), [f"{STORAGE}/"]) is not None, "the audience is as it was asked for"
    assert tokens.verify(tokens.access(WHO, CLIENT, f"{STORAGE}/"), [STORAGE]) is None


def test_a_token_is_for_one_key_one_audience_and_a_day(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.access(WHO, CLIENT, STORAGE)
    assert Tokens(tmp_path).verify(token, [STORAGE]) is not None, "the key is kept"
    assert tokens.verify(token, ["https://vault.azure.net"]) is None
    assert tokens.verify(token, []) is None
    assert tokens.verify(token[:-4] + "AAAA", [STORAGE]) is None
    assert tokens.verify("", [STORAGE]) is None
    (tmp_path / "elsewhere").mkdir()
    assert Tokens(tmp_path / "elsewhere").verify(token, [STORAGE]) is None
    past = time.time() - tokens.lifetime_s - 1
    monkeypatch.setattr(time, "time", lambda: past)
    assert tokens.verify(tokens.access(WHO, CLIENT, STORAGE), [STORAGE]) is None
    assert (tmp_path / "azure-tokens.pem").stat().st_mode & 0o777 == 0o600


def test_each_tenant_has_its_issuer_and_no_token_is_of_two(tokens: Tokens) -> None:
    claims = tokens.verify(tokens.access(WHO, CLIENT, STORAGE, OTHER_TENANT), [STORAGE])
    assert claims is not None
    assert (claims["iss"], claims["tid"]) == (issuer(OTHER_TENANT), OTHER_TENANT)
    now = int(time.time())
    mixed = {**claims, "tid": TENANT, "iat": now, "exp": now + 60}
    assert tokens.verify(tokens._key.sign(mixed, 60), [STORAGE]) is None


@pytest.mark.parametrize("resource", [STORAGE, "https://management.azure.com/", "https://tried.blob.core.windows.net"])
def test_what_every_tenant_knows(tokens: Tokens, resource: str) -> None:
    assert tokens.verify(tokens.access(WHO, CLIENT, resource), [resource]) is not None


@pytest.mark.parametrize("resource", ["api://predict", "https://storage.azure.com.evil", "", "https://storage.azure.com/.default"])
def test_a_resource_that_no_tenant_knows_is_refused(tokens: Tokens, resource: str) -> None:
    with pytest.raises(Refusal, match="AADSTS500011") as refused:
        tokens.access(WHO, CLIENT, resource)
    assert refused.value.status == 400


def test_anybody_verifies_a_token_by_what_the_tenant_tells(account: Account, front: str) -> None:
    token = account.twin.azure.tokens(account.twin).access(WHO, CLIENT, STORAGE)
    told = httpx.get(f"{front}/{TENANT}/.well-known/openid-configuration", trust_env=False).json()
    jwks = Jwks(keep_s=60, fetch_s=10, ask_again_s=60)
    keys = asyncio.run(jwks.keys(f"{front}/{TENANT}", None))
    assert asyncio.run(jwks.keys("anybody", None, told["jwks_uri"])).keys() == keys.keys()
    found = jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["RS256"], audience=STORAGE, issuer=told["issuer"])
    assert found["oid"] == WHO


def test_keys_are_at_the_front_that_was_asked(front: str) -> None:
    def keys_at(host: str) -> str:
        path = f"{front}/{TENANT}/.well-known/openid-configuration"
        return str(httpx.get(path, headers={"Host": host}, trust_env=False).json()["jwks_uri"])

    assert keys_at(f"127.0.0.1:{PORT}") == f"https://127.0.0.1:{PORT}/entra/{TENANT}/discovery/keys"
    assert keys_at("127.0.0.1:1") == f"{front}/{TENANT}/discovery/keys"


def test_version_2_names_another_issuer(front: str) -> None:
    told = httpx.get(f"{front}/{TENANT}/v2.0/.well-known/openid-configuration", trust_env=False).json()
    assert told["issuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert len(httpx.get(f"{front}/{TENANT}/discovery/v2.0/keys", trust_env=False).json()["keys"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"/{TENANT}/discovery/keys", 405),
        ("GET", "/contoso/discovery/keys", 400),
        ("GET", f"/{TENANT}/oauth2/token", 404),
        ("GET", "", 400),
    ],
)
def test_what_entra_refuses(front: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{front}{path}", trust_env=False)
    assert answer.status_code == status
    assert answer.json()["error_description"]

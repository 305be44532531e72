"""The metadata server asked by Google's own client, and the tokens that it gives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from pilotlight.twin import signing
from pilotlight.twin.gcp import tokens as tokens_module
from pilotlight.twin.gcp.metadata import Identity, MetadataServer
from pilotlight.twin.gcp.tokens import Tokens
from tests.parts.twin.gcp.google_ports import Loop

RUNNER = Identity(email="runner@tried-project.iam.gserviceaccount.com", project="tried-project", region="europe-west1")
OTHER = Identity(email="other@tried-project.iam.gserviceaccount.com", project="tried-project", region="europe-west1")
AUDIENCE = "http://127.0.0.1:1/_gcp/run/tried-project/europe-west1/endpoint"
FLAVOR = {"Metadata-Flavor": "Google"}
# google-auth unchanged, in a process of its own: it reads the variables when it is imported.
CLIENT = f"""
import json, google.auth, google.auth.transport.requests as transport
from google.oauth2 import id_token
credentials, project = google.auth.default()
request = transport.Request()
credentials.refresh(request)
identity = id_token.fetch_id_token(request, {AUDIENCE!r})
print(json.dumps([project, credentials.service_account_email, credentials.token, identity, credentials.universe_domain]))
"""


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def server(tokens: Tokens, loop: Loop) -> Iterator[MetadataServer]:
    async def made() -> MetadataServer:
        return MetadataServer(tokens)

    opened = loop.wait(made())
    yield opened
    loop.wait(opened.close())


def test_googles_client_finds_its_account_and_gets_both_tokens(server: MetadataServer, loop: Loop, tokens: Tokens) -> None:
    for identity in (RUNNER, OTHER):
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], env=loop.wait(server.variables(identity)), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        project, email, access, token, universe = json.loads(done.stdout)
        assert (project, email, universe) == ("tried-project", identity.email, "googleapis.com")
        assert tokens.account_of(access) == identity.email
        assert tokens.verify(token, AUDIENCE) == identity.email


def test_an_id_token_is_for_one_audience_one_key_and_one_hour(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.identity(RUNNER.email, AUDIENCE)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["email_verified"], claims["exp"] - claims["iat"]) == ("https://accounts.google.com", True, 3600)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    assert tokens.verify(token, AUDIENCE) == RUNNER.email
    assert Tokens(tmp_path).verify(token, AUDIENCE) == RUNNER.email, "the key is kept"
    assert tokens.verify(token, AUDIENCE + "2") is None
    assert tokens.verify(tokens.access(RUNNER.email), AUDIENCE) is None
    assert tokens.account_of(token) is None
    assert tokens.account_of("ya29." + token) is None, "an ID token is no access token"
    (tmp_path / "elsewhere").mkdir()
    assert Tokens(tmp_path / "elsewhere").verify(token, AUDIENCE) is None
    past = time.time() - 3601
    monkeypatch.setattr(tokens_module.time, "time", lambda: past)
    assert tokens.verify(Tokens(tmp_path).identity(RUNNER.email, AUDIENCE), AUDIENCE) is None


def test_an_id_token_is_given_again_for_a_while(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    first, now = tokens.identity(RUNNER.email, AUDIENCE), time.time()
    others = {tokens.identity(RUNNER.email, AUDIENCE + "2"), tokens.identity("other@p.iam.gserviceaccount.com", AUDIENCE)}
    monkeypatch.setattr(tokens_module.time, "time", lambda: now + tokens_module.REUSED_S - 2)
    assert tokens.identity(RUNNER.email, AUDIENCE) == first
    assert len({first, *others}) == 3
    monkeypatch.setattr(tokens_module.time, "time", lambda: now + tokens_module.REUSED_S + 2)
    assert tokens.identity(RUNNER.email, AUDIENCE) != first


def test_what_was_accepted_is_accepted_until_it_ends_and_little_is_remembered(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "REMEMBERED", 2)
    monkeypatch.setattr(tokens_module, "LIFETIME_S", 2)
    token = tokens.identity(RUNNER.email, AUDIENCE)
    assert [tokens.verify(token, AUDIENCE) for _ in range(2)] == [RUNNER.email] * 2
    assert tokens.verify(token, AUDIENCE + "2") is None
    time.sleep(2.1)
    assert tokens.verify(token, AUDIENCE) is None
    for number in range(4):
        assert tokens.verify(tokens.identity(RUNNER.email, f"{AUDIENCE}{number}"), f"{AUDIENCE}{number}") == RUNNER.email
    assert (len(tokens._given), len(tokens._accepted)) == (2, 2)


def test_the_key_is_the_users_alone(tokens: Tokens, tmp_path: Path) -> None:
    assert (tmp_path / "google-tokens.pem").stat().st_mode & 0o777 == 0o600


def ask(server: MetadataServer, loop: Loop, path: str, headers: dict[str, str] = FLAVOR) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{loop.wait(server.port(RUNNER))}{path}", headers=headers, trust_env=False)


def test_the_routes(server: MetadataServer, loop: Loop) -> None:
    def text(path: str) -> str:
        answer = ask(server, loop, f"/computeMetadata/v1/{path}")
        assert (answer.status_code, answer.headers["Metadata-Flavor"]) == (200, "Google"), answer.text
        return answer.text

    assert ask(server, loop, "/", {}).status_code == 200
    assert text("project/project-id") == "tried-project"
    assert text("instance/region") == f"projects/{text('project/numeric-project-id')}/regions/europe-west1"
    assert text("instance/service-accounts/").split() == ["default/", f"{RUNNER.email}/"]
    assert text("instance/service-accounts/default/email") == RUNNER.email
    assert json.loads(text(f"instance/service-accounts/{RUNNER.email}/?recursive=true"))["aliases"] == ["default"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/computeMetadata/v1/project/project-id", {}, 403),
        ("/computeMetadata/v1/project/project-id", {**FLAVOR, "X-Forwarded-For": "1.2.3.4"}, 403),
        ("/computeMetadata/v1/project/none", FLAVOR, 404),
        ("/latest/meta-data", FLAVOR, 404),
        ("/computeMetadata/v1/instance/service-accounts/other@x.y/token", FLAVOR, 404),
        ("/computeMetadata/v1/instance/service-accounts/default/identity", FLAVOR, 400),
    ],
)
def test_what_is_refused(server: MetadataServer, loop: Loop, path: str, headers: dict[str, str], status: int) -> None:
    assert ask(server, loop, path, headers).status_code == status

"""Who a gateway lets in: quotas of consumers, API keys, keys of issuers."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pilotlight.twin import jwks
from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.gateway_backend import Backends
from pilotlight.twin.gcp.gateway_document import Api, read
from pilotlight.twin.gcp.gateway_keys import Keys
from pilotlight.twin.gcp.gateway_quota import Quotas
from pilotlight.twin.gcp.types import API, API_KEY, ENABLED
from pilotlight.twin.rows import Refusal
from tests.parts.twin.gcp.account import Account

ISSUER = "https://issuer.example.com"
CLIENT = httpx.AsyncClient


def api(costs: dict[str, int], limits: dict[str, int], **more: Any) -> Api:
    operation = {"operationId": "predict", "x-google-quota": {"metricCosts": costs}}
    management = {
        "metrics": [{"name": name} for name in {**costs, **limits}],
        "quota": {
            "limits": [
                {"name": f"{name}-limit", "metric": name, "unit": "1/min/{project}", "values": {"STANDARD": value}}
                for name, value in limits.items()
            ]
        },
    }
    return read(
        {
            "swagger": "2.0",
            "x-google-backend": {"address": "https://one.example.com"},
            "x-google-management": management,
            "paths": {"/predict": {"post": operation}},
            **more,
        }
    )


class Counted:
    """How often calls are let in at moments that the test gives."""

    def __init__(self, api: Api) -> None:
        self.api, self.now = api, 120.0
        self.quotas = Quotas(lambda: self.now)

    def takes(self, consumer: str = "1", service: str = "s") -> bool:
        try:
            self.quotas.take(self.api, self.api.operations[0], service, consumer)
        except Refusal as refusal:
            return refusal.status != 429
        return True


def test_a_limit_holds_for_a_minute_of_a_project_and_a_service() -> None:
    counted = Counted(api({"calls": 2}, {"calls": 5}))
    assert [counted.takes() for _ in range(3)] == [True, True, False]
    assert counted.takes(consumer="2")
    assert counted.takes(service="other")
    counted.now = 179.9
    assert not counted.takes()
    counted.now = 180.0
    assert counted.takes()


def test_nothing_is_counted_of_a_call_that_is_not_let_in() -> None:
    counted = Counted(api({"calls": 1, "letters": 10}, {"calls": 3, "letters": 10}))
    assert [counted.takes() for _ in range(3)] == [True, False, False]
    counted.api = api({"calls": 1}, {"calls": 3})
    assert [counted.takes() for _ in range(3)] == [True, True, False]


def test_what_has_no_limit_is_not_limited() -> None:
    counted = Counted(api({"calls": 1000}, {}))
    assert all(counted.takes() for _ in range(10))


Asks = Callable[..., str | None]


@pytest.fixture
def asks(account: Account) -> Asks:
    """Asks as a client with these headers: the id of the key that lets it in, None where none is needed, or what it is refused with."""
    account.enable("apigateway", "apikeys")
    service = account.make(API, "api", {"apiId": "api"})["managedService"]
    account.make(ENABLED, "managed", {"service": service})

    def ask(headers: dict[str, str], source_ip: str = "127.0.0.1", optional: bool = False, **restrictions: Any) -> str | None:
        given = {"apiTargets": [{"service": service}], **restrictions}
        key = account.make(API_KEY, "key", {"name": f"key-{len(account.world.find(API_KEY))}", "restrictions": given})
        headers = {name: value.replace("KEY", key["keyString"]) for name, value in headers.items()}
        wanted: list[dict[str, Any]] = [{"key": []}, {}] if optional else [{"key": []}]
        scheme = {"type": "apiKey", "name": "X-API-Key", "in": "header"}
        operation = api({}, {}, security=wanted, securityDefinitions={"key": scheme}).operations[0]
        request = _request(headers, source_ip)
        try:
            found = Keys(account.world).consumer(request, operation, service)
        except Refusal as refusal:
            return f"{refusal.status} {refusal.message}"
        assert found is None or found.id == key.id
        return "in" if found else None

    return ask


def _request(headers: dict[str, str], source_ip: str) -> Request:
    async def receive() -> dict[str, Any]:
        raise AssertionError("a body is not needed here")

    pairs = list(headers.items())
    return Request(
        method="POST", raw_path="/predict", raw_query="", headers=headers, header_pairs=pairs, source_ip=source_ip, receive=receive
    )


ANDROID = {"packageName": "com.example.app", "sha1Fingerprint": "AB:CD"}


@pytest.mark.parametrize(
    ("headers", "more", "expected"),
    [
        ({"x-api-key": "KEY"}, {}, "in"),
        ({}, {}, "401 UNAUTHENTICATED: Method doesn't allow"),
        ({}, {"optional": True}, None),
        ({"x-api-key": "KEY"}, {"optional": True}, "in"),
        ({"x-api-key": "KEY "}, {}, "400 INVALID_ARGUMENT: API key not valid"),
        ({"x-api-key": "\u00e9"}, {}, "400 INVALID_ARGUMENT: API key not valid"),
        ({"x-api-key": "KEY"}, {"apiTargets": [{"service": "run.googleapis.com"}]}, "403 PERMISSION_DENIED:  The API targeted"),
        ({"x-api-key": "KEY"}, {"serverKeyRestrictions": {"allowedIps": ["127.0.0.1"]}}, "in"),
        ({"x-api-key": "KEY"}, {"serverKeyRestrictions": {"allowedIps": ["2001:db8::/32"]}}, "403 PERMISSION_DENIED: IP address blocked."),
        ({"x-api-key": "KEY"}, {"iosKeyRestrictions": {"allowedBundleIds": ["app"]}}, "403 PERMISSION_DENIED: Client application blocked."),
        ({"x-api-key": "KEY", "x-ios-bundle-identifier": "app"}, {"iosKeyRestrictions": {"allowedBundleIds": ["app"]}}, "in"),
        (
            {"x-api-key": "KEY", "x-android-package": "com.example.app", "x-android-cert": "abcd"},
            {"androidKeyRestrictions": {"allowedApplications": [ANDROID]}},
            "in",
        ),
        (
            {"x-api-key": "KEY", "x-android-package": "com.example.app"},
            {"androidKeyRestrictions": {"allowedApplications": [ANDROID]}},
            "403 PERMISSION_DENIED: Client application blocked.",
        ),
    ],
)
def test_keys(account: Account, asks: Asks, headers: dict[str, str], more: dict[str, Any], expected: str | None) -> None:
    account.enable("run")
    answer = asks(headers, **more)
    assert answer == expected if expected in (None, "in") else str(answer).startswith(str(expected))


def test_a_key_without_restrictions_opens_what_its_project_has_enabled(asks: Asks) -> None:
    assert asks({"x-api-key": "KEY"}, apiTargets=[]) == "in"


@pytest.mark.parametrize("disable", [False, True])
def test_the_backend_is_told_of_the_callers_own_token_by_nobody_else(account: Account, disable: bool) -> None:
    declared = {"address": "https://one.example.com/below", "disable_auth": disable}
    backend = api({}, {}, **{"x-google-backend": declared}).operations[0].backend
    sent = {"authorization": "Bearer own", "x-forwarded-authorization": "forged", "x-user": "forged", "x-other": "o", "host": "h"}
    found = Backends(account.twin).headers(_request(sent, "192.0.2.1"), backend, "gateway@example.com", {"x-user": None, "x-told": "t"})
    given = {name: [value for other, value in found if other == name] for name in {*dict(found), "x-user", "host"}}
    if disable:
        assert (given["authorization"], given["x-forwarded-authorization"]) == (["Bearer own"], ["forged"])
    else:
        (bearer,) = given["authorization"]
        claims = jwt.decode(bearer.removeprefix("Bearer "), options={"verify_signature": False})
        assert (claims["email"], claims["aud"]) == ("gateway@example.com", "https://one.example.com")
        assert given["x-forwarded-authorization"] == ["Bearer own"]
    assert (given["x-user"], given["host"], given["x-told"], given["x-other"]) == ([], [], ["t"], ["o"])
    assert given["x-forwarded-for"] == ["192.0.2.1"]


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def _certificate() -> str:
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")]), datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key()).serial_number(1)
    signed = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(KEY, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def _served(monkeypatch: pytest.MonkeyPatch, content: Any) -> list[str]:
    """Answers every request for keys with the content; the addresses that were asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=content)

    monkeypatch.setattr(jwks.httpx, "AsyncClient", lambda **_: CLIENT(transport=httpx.MockTransport(answer)))
    return asked


def _keys(kid: str | None, *, ask_again_s: float = 300, times: int = 1) -> jwks.Keys:
    async def run() -> jwks.Keys:
        held = jwks.Jwks(keep_s=300, fetch_s=1, ask_again_s=ask_again_s)
        return [await held.keys(ISSUER, kid, f"{ISSUER}/keys") for _ in range(times)][-1]

    return asyncio.run(run())


UNREAD = ({"kty": "RSA", "kid": "four", "n": "?"}, {"kty": "RSA", "kid": "five", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}, "six")


def test_keys_of_an_issuer_as_a_set_and_as_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {**jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "one"}
    curve = {**jwt.algorithms.ECAlgorithm.to_jwk(CURVE.public_key(), as_dict=True), "kid": "two"}
    _served(monkeypatch, {"keys": [own, curve, {"kty": "oct", "k": "AA", "kid": "three"}, {**own, "kid": None}, *UNREAD]})
    assert set(_keys("one")) == {"one", "two"}
    _served(monkeypatch, {"four": _certificate()})
    assert _keys("four")["four"].public_numbers() == KEY.public_key().public_numbers()


def test_an_unknown_key_makes_the_issuer_be_asked_again_but_not_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _served(monkeypatch, {"keys": []})
    _keys("one", times=3)
    assert len(asked) == 1
    _keys("one", times=3, ask_again_s=0)
    assert len(asked) == 4


@pytest.mark.parametrize("content", [[], "keys", {"keys": "one"}, {"one": "no certificate"}, {"one": 1}])
def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    _served(monkeypatch, content)
    with pytest.raises(ValueError, match=r"keys are no|PEM"):
        _keys("one")

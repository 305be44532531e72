"""The front that speaks TLS: whom its clients trust, what they reach there, and that a restart moves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests

from pilotlight.twin.asgi import Receive, Request, Scope, Send, respond
from pilotlight.twin.azure.tls import Tls
from pilotlight.twin.rows import AwsResponse
from pilotlight.twin.state import TwinError
from tests.parts.twin.azure.account import Account
from tests.parts.twin.gcp.google_ports import Loop


class Echo:
    """Answers what it was asked, as the handlers of a plane do."""

    async def handle(self, request: Request, send: Send) -> None:
        said = {"method": request.method, "path": request.raw_path, "query": request.raw_query}
        await respond(send, AwsResponse(body=json.dumps(said).encode()))


class Fronted:
    """An account whose cloud has its front for TLS, in a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.account = Account(folder)
        self.loop = Loop()
        self.twin: Any = self.account.twin
        self.twin.loop = self.loop._loop
        self.twin.iam = SimpleNamespace(deployer=SimpleNamespace(secret_access_key="secret"))
        self.cloud = self.twin.azure
        self.cloud.handlers["echo"] = Echo()
        self.begin()

    def begin(self) -> None:
        self.cloud.tls = Tls()

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            await self.cloud.handle(Request.of(scope, receive), send)

        self.cloud.tls.front = front

    def close(self) -> None:
        self.loop.wait(self.cloud.tls.close())
        self.loop.close()
        self.account.world.close()


@pytest.fixture
def fronted(tmp_path: Path) -> Iterator[Fronted]:
    made = Fronted(tmp_path)
    yield made
    made.close()


def test_clients_of_all_kinds_reach_a_handler_by_its_name(fronted: Fronted, monkeypatch: pytest.MonkeyPatch) -> None:
    address = fronted.cloud.url(fronted.twin, "echo", "a%20b", "c")
    expected = {"method": "GET", "path": "/_azure/echo/a%20b/c", "query": "q=1"}
    for name, value in fronted.cloud.variables(fronted.twin).items():
        monkeypatch.setenv(name, value)
    with urllib.request.urlopen(f"{address}?q=1") as answer:
        assert json.load(answer) == expected
    assert requests.get(address, params={"q": 1}, timeout=10).json() == expected
    trusting = ssl.create_default_context(cafile=str(fronted.cloud.ca_file(fronted.twin)))
    assert httpx.get(f"{address}?q=1", verify=trusting).json() == expected


def test_nobody_trusts_it_without_its_certificate(fronted: Fronted) -> None:
    address = fronted.cloud.url(fronted.twin, "echo")
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(address)
    trusting = ssl.create_default_context(cafile=str(fronted.cloud.ca_file(fronted.twin)))
    other = {"sni_hostname": "management.azure.com"}
    with httpx.Client(verify=trusting) as client, pytest.raises(httpx.ConnectError, match=r"not valid for 'management\.azure\.com'"):
        client.get(address, extensions=other)


def test_nothing_but_azure_is_served_there(fronted: Fronted) -> None:
    trusting = ssl.create_default_context(cafile=str(fronted.cloud.ca_file(fronted.twin)))
    root = f"https://{fronted.cloud.host(fronted.twin)}"
    for path in ("/_twin/health", "/", "/../_twin/health", "/_azure/echo"):
        answer = httpx.get(f"{root}{path}", verify=trusting)
        assert answer.status_code == 404
        assert "Nothing is served at /_azure/" in answer.json()["error"]["message"]


def test_a_restart_keeps_the_port_and_the_certificate(fronted: Fronted) -> None:
    address, trusted = fronted.cloud.url(fronted.twin, "echo"), fronted.cloud.ca_file(fronted.twin).read_bytes()
    trusting = ssl.create_default_context(cadata=trusted.decode())
    assert httpx.get(address, verify=trusting).status_code == 200
    fronted.loop.wait(fronted.cloud.tls.close())
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, verify=trusting)
    fronted.begin()
    fronted.loop.wait(fronted.cloud.tls.start(fronted.twin))
    assert httpx.get(address, verify=trusting).status_code == 200
    assert fronted.cloud.ca_file(fronted.twin).read_bytes() == trusted


def test_a_twin_that_never_had_azure_opens_no_port(fronted: Fronted) -> None:
    fronted.loop.wait(fronted.cloud.tls.start(fronted.twin))
    assert fronted.cloud.tls._port is None
    assert not (fronted.twin.home / "azure-tls").exists()


def test_a_port_that_another_program_has_is_told_with_what_to_do(fronted: Fronted) -> None:
    port = fronted.cloud.tls.port(fronted.twin)
    fronted.cloud.tls, taken = Tls(), fronted.cloud.tls
    with pytest.raises(TwinError, match=f"Port {port}, where the addresses in your stacks point, can't be opened"):
        fronted.cloud.tls.port(fronted.twin)
    fronted.cloud.tls = taken


def test_the_key_is_the_users_alone_and_that_of_the_authority_nobodys(fronted: Fronted) -> None:
    fronted.cloud.ca_file(fronted.twin)
    folder = fronted.twin.home / "azure-tls"
    assert stat.S_IMODE(os.stat(folder / "key.pem").st_mode) == 0o600
    assert [path.name for path in sorted(folder.glob("*.pem")) if b"PRIVATE KEY" in path.read_bytes()] == ["key.pem"]


def test_a_developers_programs_trust_it_beside_everybody_else(fronted: Fronted, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Path(ssl.get_default_verify_paths().cafile or "")
    told = fronted.cloud.developer(fronted.twin)
    bundle = Path(told["SSL_CERT_FILE"])
    assert bundle.read_bytes() == machine.read_bytes() + b"\n" + fronted.cloud.ca_file(fronted.twin).read_bytes()
    # A twin that is started from a shell which has these variables reads them as its machine's.
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    for _ in range(2):
        fronted.cloud.developer(fronted.twin)
    assert bundle.read_bytes().count(fronted.cloud.ca_file(fronted.twin).read_bytes()) == 1
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl.create_default_context)
    with urllib.request.urlopen(fronted.cloud.url(fronted.twin, "echo")) as answer:
        assert answer.status == 200


def test_an_address_of_the_front_has_a_plain_one_and_no_other_has(fronted: Fronted) -> None:
    address = fronted.cloud.url(fronted.twin, "echo", "x")
    assert fronted.cloud.plain(fronted.twin, address) == "http://127.0.0.1:1/_azure/echo/x"
    assert fronted.cloud.plain(fronted.twin, "https://example.org/echo") == "https://example.org/echo"


def test_closing_right_after_opening_leaves_nothing_behind(fronted: Fronted) -> None:
    async def both() -> None:
        port = fronted.cloud.tls.port(fronted.twin)
        await fronted.cloud.tls.close()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    with pytest.raises(ConnectionRefusedError):
        fronted.loop.wait(both())

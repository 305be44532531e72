"""Azure for the handlers under test: an identity endpoint and a storage account, both real servers on this machine."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from azure.core.credentials import AccessToken

from handlers.functions import connections
from tests.parts.handlers.azure.account import Account
from tests.parts.handlers.azure.servers import Certified, Identities, certified, identity_endpoint, storage_account
from tests.parts.handlers.http_servers import Front, front_of


class Credential:
    """A token, as Azure's own clients want it."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token-1", int(time.time()) + 3600)


@dataclass(frozen=True)
class Azure:
    """The account, the front that its clients come to, over TLS alone, and the identity endpoint that gives them tokens."""

    account: Account
    front: Front
    identities: Identities
    ca_file: Path

    def url(self, service: str) -> str:
        return f"{self.front.address}/{service}/mine"

    def blob(self, name: str) -> str:
        """The address of a blob."""
        return f"{self.url('blob')}/{name}"

    def asked(self, number: int, *headers: str) -> tuple[str, str, dict[str, list[str]], dict[str, str | None]]:
        """What tells one request that came from another: its method, path, query and these headers."""
        method, path, told = self.front.seen[number]
        address = urlsplit(path)
        return method, unquote(address.path), parse_qs(address.query), {name: told.get(name) for name in headers}

    @property
    def sdk(self) -> dict[str, Any]:
        """How Azure's own clients are told of it: as trusting as ours, and without attempts of their own."""
        return {"credential": Credential(), "connection_verify": str(self.ca_file), "retry_total": 0}

    @property
    def variables(self) -> dict[str, str]:
        """For a process."""
        return {**self.identities.variables, "SSL_CERT_FILE": str(self.ca_file)}


@pytest.fixture
def cloud(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The account of the function and the worker of answers that come later."""
    # Its imports are heavy, and most tests here need none of them.
    from tests.parts.handlers.azure.answering import Cloud

    monkeypatch.setenv("CONTAINER_APP_NAME", "mine-predict")
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)
    return Cloud(azure)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def identities() -> Iterator[Identities]:
    with identity_endpoint() as made:
        yield made


@pytest.fixture
def azure(certificate: Certified, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The variables that lead to both are set for this process."""
    with storage_account() as (account, address), front_of(address, tls=certificate.context) as front:
        account.blobs.containers |= {"models", "objects"}
        account.queues.queues["work"] = []
        account.tables.tables["rows"] = {}
        made = Azure(account, front, identities, certificate.ca_file)
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        connections._tls.cache_clear()
        yield made
        connections._tls.cache_clear()

"""Servers for what Azure's side of the handlers calls: the identity endpoint of an app, and a storage account behind TLS."""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pilotlight.twin.azure.tls import Tls
from tests.parts.handlers.azure.account import Account
from tests.parts.handlers.http_servers import Quiet, serving

SECRET, CLIENT_ID = "header-1", "11111111-2222-3333-4444-555555555555"
STORAGE = "https://storage.azure.com"


@dataclass(frozen=True)
class Certified:
    """A certificate of 127.0.0.1 for servers, and the file of the authority that clients must trust."""

    context: ssl.SSLContext
    ca_file: Path


def certified(folder: Path) -> Certified:
    ca_file = Tls().ca_file(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file.with_name("chain.pem"), ca_file.with_name("key.pem"))
    return Certified(context, ca_file)


@dataclass
class Identities:
    """The identity endpoint of an app with one identity; `asked` are the queries that came, `failing` the statuses of the next answers."""

    host: str = ""
    lifetime_s: float = 3600
    asked: list[dict[str, str]] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    text: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"http://{self.host}/msi/token", "IDENTITY_HEADER": SECRET, "AZURE_CLIENT_ID": CLIENT_ID}

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        address = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.asked.append(query)
        if self.failing:
            return self.failing.pop(0), '{"statusCode": 500, "message": "Not now."}'
        if headers.get("X-IDENTITY-HEADER") != SECRET or address.path != "/msi/token":
            return 403, '{"statusCode": 403, "message": "The header is not this app\'s."}'
        if query.get("api-version") != "2019-08-01" or query.get("client_id") != CLIENT_ID:
            return 400, '{"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found for specified ClientId."}'
        self.tokens.append(f"token-{len(self.tokens) + 1}")
        ends = str(int(time.time() + self.lifetime_s))
        told = {"access_token": self.tokens[-1], "expires_on": ends, "resource": query["resource"], "token_type": "Bearer"}
        return 200, json.dumps(told | {"client_id": CLIENT_ID}) if self.text is None else self.text


@contextmanager
def identity_endpoint() -> Iterator[Identities]:
    """As "Managed identities in Azure Container Apps" describes it."""
    made = Identities()

    class Handler(Quiet):
        def do_GET(self) -> None:
            status, text = made.answer(self.path, dict(self.headers))
            self.reply(status, text.encode(), {"Content-Type": "application/json"})

    with serving(Handler) as host:
        made.host = host
        yield made


@contextmanager
def storage_account() -> Iterator[tuple[Account, str]]:
    """An account, and where it answers: blobs, queues and tables below `/blob/mine`, `/queue/mine` and `/table/mine`."""
    made = Account()

    class Handler(Quiet):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.reply(*made.answer(self.command, self.path, headers, body))

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = forward

    with serving(Handler) as host:
        yield made, f"http://{host}"

"""API Management on a whole twin, before a backend of the test's own."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from pilotlight.twin.azure import types
from pilotlight.twin.azure.rows_apim import INVOKES
from pilotlight.twin.world import Resource
from tests.twin.azure.harness import IN_GROUP, AzureHarness

NUMBERS = itertools.count()
CLIENT = httpx.Client(trust_env=False, timeout=60)


class Backend(BaseHTTPRequestHandler):
    """Answers with what it was asked; a JSON body may tell it to do something else first."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        wanted = json.loads(body) if body[:1] == b"{" else {}
        time.sleep(wanted.get("sleep", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = b"x" * wanted["bytes"] if "bytes" in wanted else json.dumps(self._seen(headers, body)).encode()
        self.send_response(wanted.get("status", 200))
        for name, value in wanted.get("told", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_POST = do_HEAD = do_GET

    def _seen(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        return {"method": self.command, "path": self.path, "headers": headers, "bytes": len(body)}

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def backend() -> Iterator[str]:
    """The URL of a backend, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def document(inbound: str = "", backend: str = '<forward-request timeout="20" />', outbound: str = "", on_error: str = "") -> str:
    held = {"inbound": inbound, "outbound": outbound, "on-error": on_error}
    sections = "".join(f"<{name}><base />{text}</{name}>" for name, text in held.items())
    return f"<policies>{sections}<backend>{backend}</backend></policies>"


class Gateway:
    """A service with one API at its root: POST /predict, GET /results/{id}, and a subscription of that API."""

    def __init__(
        self,
        harness: AzureHarness,
        url: str,
        policy: str | None = None,
        *,
        sku: str = "Consumption",
        identity: Resource | None = None,
        **api: Any,
    ) -> None:
        """`identity` is a user-assigned one, in place of the service's own."""
        self.harness, self.name = harness, f"tried-{next(NUMBERS)}"
        self.inside = {**IN_GROUP, "serviceName": self.name}
        self.service = self._make(
            types.API_MANAGEMENT,
            publisherEmail="api@example.com",
            publisherName="Tried",
            sku={"name": sku, "capacity": 0 if sku == "Consumption" else 1},
            identity={"type": "UserAssigned", "userAssignedIdentities": {identity.id: {}}} if identity else {"type": "SystemAssigned"},
        )
        self.api = self._make(types.API, apiId="api", path="", displayName="Api", serviceUrl=url, protocols=["https"], **api)
        self.operation("predict", "POST", "/predict")
        self.operation("result", "GET", "/results/{id}", "id")
        self.policy = self.stores(policy) if policy else None
        self.key = self.subscribed(self.api.id)
        self.url = f"{harness.twin.front_url}/_azure/apim/{self.host}"

    @property
    def host(self) -> str:
        return f"{self.name}.azure-api.net"

    def _make(self, token: str, **inputs: Any) -> Resource:
        return self.harness.make(token, f"{self.name}-{next(NUMBERS)}", **self.inside, **inputs)

    def operation(self, name: str, method: str, template: str, *parameters: str) -> Resource:
        named = [{"name": one, "type": "string", "required": True} for one in parameters]
        given = {"apiId": "api", "operationId": name, "displayName": name, "method": method, "urlTemplate": template}
        return self._make(types.API_OPERATION, templateParameters=named, **given)

    def stores(self, policy: str, token: str = types.API_POLICY, **where: str) -> Resource:
        return self._make(token, policyId="policy", format="rawxml", value=policy, **(where or {"apiId": "api"}))

    def subscribed(self, scope: str, **given: Any) -> str:
        """The key of a new subscription."""
        made = self._make(types.API_SUBSCRIPTION, displayName="One", scope=scope, **{"state": "active", **given})
        (listed,) = (one for one in INVOKES if one.token == "azure-native:apimanagement:listSubscriptionSecrets")
        context = self.harness.settings.context
        return str(listed.answer(self.harness.twin, {**context, **self.inside, "sid": made["name"]})["primaryKey"])

    def product(self, policy: str, **given: Any) -> Resource:
        """A product with the API in it, and a policy."""
        made = self._make(types.API_PRODUCT, productId="callers", displayName="Callers", state="published", **given)
        self._make(types.API_PRODUCT_API, productId="callers", apiId="api")
        self.stores(policy, types.API_PRODUCT_POLICY, productId="callers")
        return made

    def changes(self, policy: str) -> None:
        assert self.policy is not None
        self.policy = self.harness.change(self.policy, value=policy)

    def ask(self, path: str = "/predict", headers: dict[str, str] | None = None, method: str = "POST", **body: Any) -> httpx.Response:
        given = {"Ocp-Apim-Subscription-Key": self.key} if headers is None else headers
        return CLIENT.request(method, f"{self.url}{path}", json=body if method == "POST" else None, headers=given)


def told(answer: httpx.Response) -> tuple[int, str]:
    """An error of the gateway's own: its status and its text."""
    content = answer.json()
    assert (content["statusCode"], answer.headers["content-type"]) == (answer.status_code, "application/json")
    return answer.status_code, content["message"]

"""API Gateway on the twin: a gateway before a service of Cloud Run, called by a plain client with what the document asks for."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from components.limits import API_GATEWAY_PAYLOAD_BYTES
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.types import API, API_CONFIG, API_KEY, ENABLED, GATEWAY
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, Run, harness_in

NUMBERS = itertools.count()
KEY = {"type": "apiKey", "name": "x-api-key", "in": "header"}
PER_MINUTE = 3


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("gateway"))
    for name in ("apigateway", "apikeys"):
        running.make(ENABLED, f"api-{name}", service=f"{name}.googleapis.com")
    yield running
    running.down()


@pytest.fixture(scope="module")
def account(harness: GoogleHarness) -> str:
    """The gateways' account, which may call the services."""
    return harness.account("gateway")


@pytest.fixture(scope="module")
def run(harness: GoogleHarness, account: str) -> Run:
    return Run(harness, harness.pushed(), account, harness.account("runner"))


@pytest.fixture(scope="module")
def service(run: Run) -> Resource:
    return run()


class Issuer:
    """An issuer of tokens with its keys at an address; `asked` counts who wanted them."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                own = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(issuer.key.public_key())), "kid": "one", "alg": "RS256"}
                found = {"/keys": {"keys": [own]}, "/.well-known/openid-configuration": {"jwks_uri": f"{issuer.url}/keys"}}[self.path]
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def token(self, key: rsa.RSAPrivateKey | None = None, kid: str | None = "one", **claims: Any) -> dict[str, str]:
        whole = {"iss": self.url, "sub": "somebody", "aud": "predict", "exp": time.time() + 600, **claims}
        headers = {} if kid is None else {"kid": kid}
        return {"Authorization": f"Bearer {jwt.encode(whole, key or self.key, algorithm='RS256', headers=headers)}"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Made:
    """One gateway, with its API, config and key."""

    def __init__(self, harness: GoogleHarness, account: str, document: dict[str, Any]) -> None:
        self.harness, self.account, self.name = harness, account, f"tried-{next(NUMBERS)}"
        self.api = harness.make(API, self.name, apiId=self.name)
        self.managed = harness.make(ENABLED, f"{self.name}-on", service=self.api["managedService"], disableOnDestroy=True)
        self.config = self.configured(document)
        self.gateway = harness.make(GATEWAY, self.name, gatewayId=self.name, region=REGION, apiConfig=self.config.id)
        self.key = self.opens()
        self.host = self.gateway["defaultHostname"]
        self.url = f"{harness.twin.front_url}/_gcp/gateway/{self.host}"

    def configured(self, document: dict[str, Any]) -> Resource:
        contents = base64.b64encode(json.dumps(document).encode()).decode()
        name = f"{self.name}-{next(NUMBERS)}"
        return self.harness.make(
            API_CONFIG,
            name,
            api=self.name,
            apiConfigId=name,
            openapiDocuments=[{"document": {"path": "openapi.json", "contents": contents}}],
            gatewayConfig={"backendConfig": {"googleServiceAccount": self.account}},
        )

    def opens(self, **restrictions: Any) -> Resource:
        given = restrictions or {"apiTargets": [{"service": self.api["managedService"]}]}
        return self.harness.make(API_KEY, f"{self.name}-key", name=f"key-{next(NUMBERS)}", restrictions=given)

    def moved(self, document: dict[str, Any]) -> None:
        self.gateway = self.harness.change(self.gateway, apiConfig=self.configured(document).id)

    def ask(self, path: str = "/predict", headers: dict[str, str] | None = None, method: str = "POST", **body: Any) -> httpx.Response:
        given = {"x-api-key": self.key["keyString"]} if headers is None else headers
        return CLIENT.request(method, f"{self.url}{path}", json=body if method == "POST" else None, headers=given)


def document(address: str, scheme: dict[str, Any] | None = KEY, **backend: Any) -> dict[str, Any]:
    """What the gateway's component writes, but for the quota."""
    return {
        "swagger": "2.0",
        "info": {"title": "tried", "version": "1"},
        "x-google-backend": {"address": address, "jwt_audience": address, "deadline": 10.0, **backend},
        **({"securityDefinitions": {"callers": scheme}, "security": [{"callers": []}]} if scheme else {}),
        "paths": {
            "/predict": {"post": {"operationId": "predict"}},
            "/results/{id}": {"get": {"operationId": "result"}, "post": {"operationId": "put"}},
        },
    }


def counted(address: str) -> dict[str, Any]:
    found = document(address)
    found["paths"]["/predict"]["post"]["x-google-quota"] = {"metricCosts": {"calls": 1}}
    limit = {"name": "calls-a-minute", "metric": "calls", "unit": "1/min/{project}", "values": {"STANDARD": PER_MINUTE}}
    found["x-google-management"] = {"metrics": [{"name": "calls", "displayName": "Calls"}], "quota": {"limits": [limit]}}
    return found


@pytest.fixture
def gateway(harness: GoogleHarness, account: str) -> Callable[[dict[str, Any]], Made]:
    return lambda document: Made(harness, account, document)


@pytest.fixture
def keyed(gateway: Callable[..., Made], service: Resource) -> Made:
    return gateway(document(service["uri"]))


def told(answer: httpx.Response) -> tuple[int, str]:
    """An error of the gateway's own: its status and its text."""
    content = answer.json()
    assert (content["code"], answer.headers["content-type"]) == (answer.status_code, "application/json")
    return answer.status_code, content["message"]


def test_a_call_reaches_the_service_under_the_gateways_account(keyed: Made) -> None:
    answer = keyed.ask("/predict?a=1%202")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert seen["path"] == "/predict?a=1%202"
    headers = seen["headers"]
    assert headers["x-api-key"] == keyed.key["keyString"]
    claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    assert claims["email"] == keyed.account
    assert (headers["x-apigateway-api-consumer-type"], headers["x-apigateway-api-consumer-number"]) == ("PROJECT", project_number(PROJECT))
    assert {"x-forwarded-authorization", "accept-encoding"} - set(headers) == {"x-forwarded-authorization"}
    assert headers["accept-encoding"] == CLIENT.headers["accept-encoding"], "the caller's own"
    assert "/" in headers["x-cloud-trace-context"]


def test_an_outage_of_gateways_reaches_no_backend(keyed: Made, harness: GoogleHarness, run: Run, service: Resource) -> None:
    assert keyed.ask().status_code == 200
    before = len(run.seen(service))
    harness.twin.faults.set({"outages": ["apigateway"]})
    try:
        assert told(keyed.ask())[0] == 503
    finally:
        harness.twin.faults.clear()
    assert len(run.seen(service)) == before
    assert keyed.ask().status_code == 200


def test_a_gateway_is_reached_by_its_host_name(keyed: Made, harness: GoogleHarness) -> None:
    headers = {"Host": keyed.host, "x-api-key": keyed.key["keyString"]}
    assert CLIENT.post(f"{harness.twin.front_url}/predict", json={}, headers=headers).status_code == 200
    assert told(CLIENT.post(f"{harness.twin.front_url}/_twin/stop", headers={"Host": keyed.host}))[0] == 404
    other = {**headers, "Host": "other-00000000.ew.gateway.dev"}
    status, text = told(CLIENT.post(f"{harness.twin.front_url}/predict", json={}, headers=other))
    assert (status, "there is no gateway 'other-00000000.ew.gateway.dev'" in text) == (404, True)


def test_paths_and_methods_that_are_not_declared(keyed: Made) -> None:
    assert told(keyed.ask("/others")) == (404, "The current request is not defined by this API.")
    assert told(keyed.ask(method="DELETE"))[0] == 405
    assert keyed.ask("/results/abc").json()["path"] == "/results/abc"
    assert keyed.ask("/results/abc/").status_code == 200


def test_keys_that_do_not_open(keyed: Made, harness: GoogleHarness, gateway: Callable[..., Made], service: Resource) -> None:
    status, text = told(keyed.ask(headers={}))
    assert (status, text.startswith("UNAUTHENTICATED: Method doesn't allow unregistered callers")) == (401, True)
    assert told(keyed.ask(headers={"x-api-key": "AIzaWrong"})) == (400, "INVALID_ARGUMENT: API key not valid. Please pass a valid API key.")
    other = gateway(document(service["uri"]))
    denied = (403, "PERMISSION_DENIED:  The API targeted by this request is invalid for the given API key.")
    assert told(keyed.ask(headers={"x-api-key": other.key["keyString"]})) == denied
    methods = keyed.opens(apiTargets=[{"service": keyed.api["managedService"], "methods": ["res*"]}])
    assert told(keyed.ask(headers={"x-api-key": methods["keyString"]})) == denied
    assert keyed.ask("/results/a", headers={"x-api-key": methods["keyString"]}, method="GET").status_code == 200
    harness.remove(methods)
    assert told(keyed.ask(headers={"x-api-key": methods["keyString"]}))[0] == 400, "a deleted key is as good as none"
    harness.remove(keyed.managed)
    assert told(keyed.ask()) == (403, f"PERMISSION_DENIED: API {keyed.api['managedService']} is not enabled for the project.")


def test_two_keys_open_one_gateway(keyed: Made, harness: GoogleHarness) -> None:
    second, first = keyed.opens(), keyed.key
    assert [keyed.ask(headers={"x-api-key": key["keyString"]}).status_code for key in (first, second)] == [200, 200]
    harness.remove(first)
    assert [keyed.ask(headers={"x-api-key": key["keyString"]}).status_code for key in (first, second)] == [400, 200]


def test_a_key_in_the_query(gateway: Callable[..., Made], service: Resource) -> None:
    made = gateway(document(service["uri"], {"type": "apiKey", "name": "key", "in": "query"}))
    assert made.ask(f"/predict?key={made.key['keyString']}", headers={}).status_code == 200
    assert told(made.ask())[0] == 401, "the header is not where the document looks"


def test_keys_with_restrictions_of_their_own(keyed: Made) -> None:
    here = keyed.opens(serverKeyRestrictions={"allowedIps": ["127.0.0.0/8"]})
    away = keyed.opens(serverKeyRestrictions={"allowedIps": ["192.0.2.1"]})
    site = keyed.opens(browserKeyRestrictions={"allowedReferrers": ["*.example.com/*"]})
    assert keyed.ask(headers={"x-api-key": here["keyString"]}).status_code == 200
    assert told(keyed.ask(headers={"x-api-key": away["keyString"]})) == (403, "PERMISSION_DENIED: IP address blocked.")
    assert told(keyed.ask(headers={"x-api-key": site["keyString"]})) == (403, "PERMISSION_DENIED: Referer blocked.")
    headers = {"x-api-key": site["keyString"], "referer": "https://www.example.com/page"}
    assert keyed.ask(headers=headers).status_code == 200


def test_the_quota_is_the_projects_by_the_minute(gateway: Callable[..., Made], service: Resource, harness: GoogleHarness) -> None:
    made, clock = gateway(counted(service["uri"])), harness.twin.clock
    clock.advance(61 - clock.now() % 60)
    second = {"x-api-key": made.opens()["keyString"]}
    assert [made.ask(headers=headers).status_code for headers in (None, second, None)] == [200] * PER_MINUTE
    exceeded = told(made.ask(headers=second))
    assert exceeded == (
        429,
        f"RESOURCE_EXHAUSTED: Quota exceeded for quota metric 'Calls' and limit 'calls-a-minute' of service "
        f"'{made.api['managedService']}' for consumer 'project_number:{project_number(PROJECT)}'.",
    )
    assert made.ask("/results/a").status_code == 200, "costs nothing"
    assert told(made.ask(headers={"x-api-key": "AIzaWrong"}))[0] == 400
    clock.advance(60)
    assert made.ask().status_code == 200


def test_what_is_too_large_is_refused(keyed: Made) -> None:
    headers = {"x-api-key": keyed.key["keyString"]}
    answer = CLIENT.post(f"{keyed.url}/predict", content=b" " * (API_GATEWAY_PAYLOAD_BYTES.high + 1), headers=headers)
    assert told(answer)[0] == 413
    answer = CLIENT.post(f"{keyed.url}/predict", content=b"{}".rjust(API_GATEWAY_PAYLOAD_BYTES.high), headers=headers)
    assert answer.status_code == 200


def test_a_backend_that_is_late(gateway: Callable[..., Made], service: Resource) -> None:
    made, began = gateway(document(service["uri"], deadline=1.0)), time.monotonic()
    assert told(made.ask(sleep=5)) == (504, "upstream request timeout")
    assert time.monotonic() - began < 4
    patient = gateway(document(service["uri"], deadline=20.0))
    assert patient.ask(sleep=6).status_code == 200, "longer than HTTP clients wait by themselves"


def test_a_backend_that_dies(keyed: Made) -> None:
    assert keyed.ask(exit=True).status_code == 503, "Cloud Run's own answer"
    assert keyed.ask().status_code == 200


def test_a_backend_that_is_not_there_or_hangs_up(gateway: Callable[..., Made]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address, met = f"http://127.0.0.1:{listening.getsockname()[1]}", []

        def hang_up() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                met.append(connection.recv(100))
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        made = gateway(document(address))
        status, text = told(made.ask())
        thread.join(5)
    assert (status, text.endswith("retried and the latest reset reason: connection termination")) == (503, True)
    assert len(met) == 2, "it is asked once more, whatever the method"
    status, text = told(made.ask())
    assert (status, text.endswith("remote connection failure")) == (503, True)


def test_a_gateway_that_the_service_does_not_know(harness: GoogleHarness, service: Resource) -> None:
    made = Made(harness, harness.account("stranger"), document(service["uri"]))
    assert (made.ask().status_code, "does not have permission" in made.ask().text) == (403, True)
    made = Made(harness, made.account, document(service["uri"], disable_auth=True))
    answer = made.ask(headers={"x-api-key": made.key["keyString"], "authorization": "Bearer x.y.z"})
    assert answer.status_code == 401, "the caller's own token goes to the service, which does not take it"


def test_the_audience_of_a_service_is_its_address(gateway: Callable[..., Made], service: Resource) -> None:
    declared = document(f"{service['uri']}/below")
    del declared["x-google-backend"]["jwt_audience"]
    assert gateway(declared).ask().json()["path"] == "/below/predict"


class Answers(BaseHTTPRequestHandler):
    """A backend whose answers are of every kind, by the last step of the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        cookie = self.headers.get("Cookie")
        getattr(self, self.path.rsplit("/", 1)[-1])(cookie)

    def told(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def later(self, cookie: str | None) -> None:
        self.told(202, b"{}", ("Location", "/results/1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))

    def elsewhere(self, cookie: str | None) -> None:
        self.told(307, b"", ("Location", "https://other.example.com/"))

    def cookie(self, cookie: str | None) -> None:
        self.told(200, str(cookie).encode())

    def packed(self, cookie: str | None) -> None:
        self.told(200, gzip.compress(b"text"), ("Content-Encoding", "gzip"))

    def large(self, cookie: str | None) -> None:
        self.told(200, b" " * (API_GATEWAY_PAYLOAD_BYTES.high + 1))

    def streamed(self, cookie: str | None) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(3):
            self.wfile.write(b"2\r\nab\r\n")
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def cut(self, cookie: str | None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


def test_answers_go_on_as_they_are(gateway: Callable[..., Made], harness: GoogleHarness) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made = gateway(document(f"http://127.0.0.1:{server.server_port}"))

    def get(path: str) -> httpx.Response:
        return made.ask(f"/results/{path}", method="GET")

    later = get("later")
    assert (later.status_code, later.headers.get_list("set-cookie")) == (202, ["a=1", "b=2"])
    assert later.headers["location"] == f"/_gcp/gateway/{made.host}/results/1", "where the twin answers for it"
    own = {"Host": made.host, "x-api-key": made.key["keyString"]}
    assert CLIENT.get(f"{harness.twin.front_url}/results/later", headers=own).headers["location"] == "/results/1"
    elsewhere = get("elsewhere")
    assert (elsewhere.status_code, elsewhere.headers["location"]) == (307, "https://other.example.com/")
    CLIENT.cookies.clear()
    assert get("cookie").text == "None", "nobody's cookies are kept"
    assert (get("packed").headers["content-encoding"], get("packed").text) == ("gzip", "text")
    streamed = get("streamed")
    assert (streamed.text, streamed.headers["content-length"]) == ("ababab", "6"), "nothing streams through a gateway"
    assert told(get("large"))[0] == 500
    assert told(get("cut"))[0] == 503
    server.shutdown()
    server.server_close()


def signed(issuer: Issuer, **more: Any) -> dict[str, Any]:
    scheme = {"type": "oauth2", "flow": "implicit", "authorizationUrl": "", "x-google-issuer": issuer.url}
    return {**scheme, "x-google-jwks_uri": f"{issuer.url}/keys", "x-google-audiences": "predict, other", **more}


def test_a_token_lets_in_and_its_claims_go_to_the_backend(gateway: Callable[..., Made], service: Resource, issuer: Issuer) -> None:
    declared = document(service["uri"], signed(issuer))
    declared["paths"]["/results/{id}"]["post"]["security"] = []
    made, own = gateway(declared), issuer.token(aud=["x", "other"])
    before = issuer.asked
    seen = made.ask(headers={**own, "X-Apigateway-Api-Userinfo": "forged", "X-Forwarded-Authorization": "forged"}).json()["headers"]
    assert json.loads(base64.urlsafe_b64decode(seen["x-apigateway-api-userinfo"] + "=="))["sub"] == "somebody"
    assert seen["x-forwarded-authorization"] == own["Authorization"]
    assert jwt.decode(seen["authorization"].removeprefix("Bearer "), options={"verify_signature": False})["email"] == made.account
    assert made.ask(headers=issuer.token(kid=None)).status_code == 200
    assert issuer.asked == before + 1, "the keys are kept"
    seen = made.ask("/results/a", headers={"X-Apigateway-Api-Userinfo": "forged"}).json()["headers"]
    assert "x-apigateway-api-userinfo" not in seen, "where no token is asked for, nobody says whose it is"


def test_tokens_that_do_not_let_in(gateway: Callable[..., Made], service: Resource, issuer: Issuer) -> None:
    made, now = gateway(document(service["uri"], signed(issuer))), time.time()
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = jwt.encode({"iss": issuer.url, "aud": "predict", "exp": now + 60}, None, algorithm="none", headers={"kid": "one"})
    for headers, expected in (
        ({}, (401, "Jwt is missing")),
        ({"Authorization": "Basic abc"}, (401, "Jwt is missing")),
        ({"Authorization": "Bearer abc"}, (401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")),
        ({"Authorization": "Bearer a.b.c"}, (401, "Jwt header is an invalid Base64url encoded or an invalid JSON")),
        ({"Authorization": f"Bearer {unsigned}"}, (401, "Jwt header [alg] is not supported")),
        (issuer.token(exp=now - 100), (401, "Jwt is expired")),
        (issuer.token(nbf=now + 300), (401, "Jwt not yet valid")),
        (issuer.token(iss="https://other.example.com"), (401, "Jwt issuer is not configured")),
        (issuer.token(aud="elsewhere"), (403, "Audiences in Jwt are not allowed")),
        (issuer.token(key=foreign), (401, "Jwt verification fails")),
        (issuer.token(kid="two"), (401, "Jwks doesn't have key to match kid or alg from Jwt")),
    ):
        assert told(made.ask(headers=headers)) == expected


def test_keys_of_an_issuer_by_its_discovery_and_an_issuer_that_is_not_there(
    gateway: Callable[..., Made], service: Resource, issuer: Issuer
) -> None:
    scheme = signed(issuer)
    del scheme["x-google-jwks_uri"]
    assert gateway(document(service["uri"], scheme)).ask(headers=issuer.token()).status_code == 200
    away = signed(issuer, **{"x-google-jwks_uri": "http://127.0.0.1:1/keys"})
    assert told(gateway(document(service["uri"], away)).ask(headers=issuer.token())) == (401, "Jwks remote fetch is failed")


def test_a_key_and_a_token_are_both_asked_for(gateway: Callable[..., Made], service: Resource, issuer: Issuer) -> None:
    declared = document(service["uri"])
    declared["securityDefinitions"]["token"] = signed(issuer)
    declared["security"] = [{"callers": [], "token": []}]
    made = gateway(declared)
    key = {"x-api-key": made.key["keyString"]}
    assert told(made.ask(headers=key)) == (401, "Jwt is missing")
    assert told(made.ask(headers=issuer.token()))[0] == 401
    assert made.ask(headers={**key, **issuer.token()}).status_code == 200


def test_a_gateway_moves_to_another_config_without_a_failed_request(
    gateway: Callable[..., Made], run: Run, service: Resource, harness: GoogleHarness
) -> None:
    made, answers, end = gateway(document(service["uri"])), [], threading.Event()
    other = run({"WHICH": "other"})
    assert run.ask(other).status_code == 200

    def keep_asking() -> None:
        while not end.is_set():
            answers.append(made.ask(sleep=0.05))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        time.sleep(0.4)
        before = made.gateway["apiConfig"]
        made.moved(document(other["uri"]))
        harness.remove(made.config)
        until(lambda: answers[-1].status_code != 200 or answers[-1].json()["env"].get("WHICH") == "other")
        end.set()
        for one in asking:
            one.result()
    assert before == made.config.id
    assert {one.status_code for one in answers} == {200}
    which = [one.json()["env"].get("WHICH") for one in answers]
    assert (which[0], which[-1]) == (None, "other")


def test_a_deleted_gateway_is_gone_and_a_config_that_the_twin_cannot_serve_is_refused(keyed: Made, harness: GoogleHarness) -> None:
    harness.remove(keyed.gateway)
    assert told(keyed.ask())[0] == 404
    services = harness.make(
        API_CONFIG,
        "grpc",
        api=keyed.name,
        apiConfigId="grpc",
        grpcServices=[{"fileDescriptorSet": {"path": "a.pb", "contents": "AA=="}}],
    )
    with pytest.raises(Refusal, match="0 OpenAPI documents"):
        harness.make(GATEWAY, "grpc", gatewayId="grpc", region=REGION, apiConfig=services.id)


def test_headers_and_paths_of_any_bytes(keyed: Made) -> None:
    with socket.create_connection(("127.0.0.1", int(keyed.url.split(":")[2].split("/")[0]))) as raw:
        lines = [
            f"POST /results/%ff%00a HTTP/1.1\r\nHost: {keyed.host}\r\nx-api-key: {keyed.key['keyString']}",
            "x-name: \xe9\xff",
            "content-length: 2\r\nconnection: close\r\n\r\n{}",
        ]
        raw.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/results/%ff%00a"

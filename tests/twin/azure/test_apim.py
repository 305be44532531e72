"""API Management on the twin: called by a plain client, before a backend that tells what it was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from components.args import GatewayArgs
from components.azure.gateway_policy import api_policy
from components.limits import Range
from components.timeouts import chain
from handlers.functions.azure import callers
from pilotlight.twin.azure import apim_plane, types
from pilotlight.twin.azure.account import TENANT
from pilotlight.twin.azure.apim_policy_limits import timespan
from pilotlight.twin.azure.identities import system_assigned
from pilotlight.twin.rows import Refusal
from tests.support import issuer
from tests.twin.azure.gateways import CLIENT, Gateway, backend, document, told
from tests.twin.azure.harness import AzureHarness, harness_in

MANAGER = "https://management.azure.com/"
MISSING = "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API."
INVALID = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHarness]:
    running = harness_in(tmp_path_factory.mktemp("apim"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with backend() as address:
        yield address


@pytest.fixture
def gateway(harness: AzureHarness, url: str) -> Callable[..., Gateway]:
    return lambda policy=None, **more: Gateway(harness, more.pop("url", url), policy, **more)


@pytest.fixture(scope="module")
def plain(harness: AzureHarness, url: str) -> Gateway:
    return Gateway(harness, url, document())


def test_a_call_reaches_the_backend(plain: Gateway) -> None:
    answer = plain.ask("/predict?a=1%202", inputs="text")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["method"], seen["path"]) == ("POST", "/predict?a=1%202")
    assert seen["bytes"] == len(b'{"inputs":"text"}')
    assert seen["headers"]["content-length"] == str(seen["bytes"])
    assert seen["headers"]["ocp-apim-subscription-key"] == plain.key
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert seen["headers"]["host"].startswith("127.0.0.1:"), "the backend's own"
    assert plain.ask("/results/a%2Fb", method="GET").json()["path"] == "/results/a%2Fb"


def test_a_service_is_reached_by_its_host_name(plain: Gateway, harness: AzureHarness) -> None:
    headers = {"Host": plain.host, "Ocp-Apim-Subscription-Key": plain.key}
    assert CLIENT.post(f"{harness.twin.front_url}/predict", json={}, headers=headers).status_code == 200
    assert told(CLIENT.post(f"{harness.twin.front_url}/_twin/stop", headers={"Host": plain.host}))[0] == 404
    status, text = told(CLIENT.get(f"{harness.twin.front_url}/", headers={"Host": "none.azure-api.net"}))
    assert (status, text) == (404, "There is no API Management service at 'none.azure-api.net' here.")


def test_what_is_no_operation(plain: Gateway) -> None:
    assert told(plain.ask("/others")) == (404, "Resource not found")
    assert told(plain.ask(method="GET")) == (404, "Resource not found")
    assert told(plain.ask(headers={}, path="/others")) == (404, "Resource not found"), "before any key is asked for"


def test_keys(plain: Gateway, harness: AzureHarness) -> None:
    missing = plain.ask(headers={})
    assert told(missing) == (401, MISSING)
    assert missing.text == f'{{ "statusCode": 401, "message": "{MISSING}" }}'
    realm = f'realm="https://{plain.host}"'
    assert missing.headers["www-authenticate"] == f'AzureApiManagementKey {realm},name="Ocp-Apim-Subscription-Key",type="header"'
    assert told(plain.ask(headers={"Ocp-Apim-Subscription-Key": "no"})) == (401, INVALID)
    assert plain.ask(f"/predict?subscription-key={plain.key}", headers={}).status_code == 200
    both = plain.ask(f"/predict?subscription-key={plain.key}", headers={"Ocp-Apim-Subscription-Key": "no"})
    assert told(both) == (401, INVALID), "the query is looked at only without the header"
    assert plain.ask(headers={"Ocp-Apim-Subscription-Key": plain.subscribed("/apis")}).status_code == 200
    for state in ("submitted", "suspended", "cancelled"):
        key = plain.subscribed(plain.api.id, state=state)
        assert told(plain.ask(headers={"Ocp-Apim-Subscription-Key": key})) == (401, INVALID), state


def test_keys_of_another_name_and_of_another_api(gateway: Callable[..., Gateway]) -> None:
    made = gateway(document(), subscriptionKeyParameterNames={"header": "x-api-key", "query": "key"})
    assert made.ask(headers={"X-Api-Key": made.key}).status_code == 200
    assert made.ask(f"/predict?key={made.key}", headers={}).status_code == 200
    refused = made.ask()
    assert told(refused) == (401, MISSING)
    assert 'name="x-api-key"' in refused.headers["www-authenticate"]
    other = made.harness.make(types.API, "other", **made.inside, apiId="other", path="other", displayName="Other")
    assert told(made.ask(headers={"x-api-key": made.subscribed(other.id)})) == (401, INVALID)


def test_an_api_that_needs_no_key(gateway: Callable[..., Gateway]) -> None:
    made = gateway(document(), subscriptionRequired=False)
    assert made.ask(headers={}).status_code == 200
    assert told(made.ask(headers={"Ocp-Apim-Subscription-Key": "no"})) == (401, INVALID)


def test_a_rate_of_each_subscription(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    made = gateway(document('<rate-limit calls="2" renewal-period="60" remaining-calls-header-name="x-left" />'))
    assert [made.ask().headers["x-left"] for _ in range(2)] == ["1", "0"]
    over = made.ask()
    status, text = told(over)
    wait = int(over.headers["retry-after"])
    assert (status, text) == (429, f"Rate limit is exceeded. Try again in {wait} seconds.")
    assert 0 < wait <= 60
    assert made.ask(headers={"Ocp-Apim-Subscription-Key": made.subscribed(made.api.id)}).status_code == 200
    harness.twin.clock.advance(wait)
    assert made.ask().status_code == 200


def test_a_quota_is_of_the_product_by_which_the_api_is_called(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    made = gateway(document())
    product = made.product('<policies><inbound><base /><quota calls="1" renewal-period="86400" /></inbound></policies>')
    key = {"Ocp-Apim-Subscription-Key": made.subscribed(product.id)}
    assert made.ask(headers=key).status_code == 200
    over = made.ask(headers=key)
    wait = int(over.headers["retry-after"])
    assert 86_300 < wait <= 86_400
    assert told(over) == (403, f"Out of call volume quota. Quota will be replenished in {timespan(wait)}.")
    assert [made.ask().status_code for _ in range(2)] == [200, 200], "a key of the API alone knows no product"
    harness.twin.clock.advance(86_400)
    assert made.ask(headers=key).status_code == 200


def test_a_product_has_a_subscription_of_its_own_and_is_not_deleted_while_it_has_any(
    gateway: Callable[..., Gateway], harness: AzureHarness
) -> None:
    made = gateway(document())
    product = made.product("<policies />")
    with pytest.raises(Refusal, match="Product with the same name already exists: 'Callers'"):
        harness.make(types.API_PRODUCT, "second", productId="second", displayName="Callers", **made.inside)
    [own] = [one for one in harness.twin.world.find(types.API_SUBSCRIPTION) if one["scope"] == product.id]
    with pytest.raises(Refusal, match="Product cannot be deleted since it has existing subscriptions"):
        harness.remove(product)
    harness.remove(own)
    harness.remove(product)
    assert harness.twin.world.get(product.token, product.id) is None


def test_a_product_that_asks_for_no_subscription_is_deleted(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    product = gateway(document()).product("<policies />", subscriptionRequired=False)
    harness.remove(product)
    assert harness.twin.world.get(product.token, product.id) is None


def test_an_open_product_lets_everybody_in(gateway: Callable[..., Gateway]) -> None:
    made, mark = gateway(document()), '<set-header name="x-of"><value>@(context.Product.Id)</value></set-header>'
    made.product(f"<policies><outbound><base />{mark}</outbound></policies>", subscriptionRequired=False)
    answer = made.ask(headers={})
    assert (answer.status_code, answer.headers["x-of"]) == (200, "callers")


JWT = """<validate-jwt header-name="Authorization" require-scheme="Bearer" output-token-variable-name="jwt">
    <openid-config url="{url}/.well-known/openid-configuration" />
    <audiences><audience>predict</audience></audiences>
    <required-claims><claim name="scope" match="all" separator=" "><value>read</value></claim></required-claims>
</validate-jwt>
<set-header name="x-caller"><value>@(((Jwt)context.Variables["jwt"]).Subject)</value></set-header>"""


def test_tokens_of_an_issuer(gateway: Callable[..., Gateway]) -> None:
    with issuer.serving() as address:
        made = gateway(document(JWT.format(url=address)), subscriptionRequired=False)

        def ask(**claims: Any) -> httpx.Response:
            return made.ask(headers={"Authorization": f"Bearer {issuer.token(address, **claims)}"})

        answer = ask()
        assert answer.status_code == 200, answer.text
        assert answer.json()["headers"]["x-caller"] == "me"
        assert ask(scope="write read").status_code == 200
        assert told(made.ask(headers={})) == (401, "JWT not present.")
        assert told(made.ask(headers={"Authorization": "Bearer a.b.c"}))[0] == 401
        wrong = "IDX10214: Audience validation failed. Audiences: 'other'. Did not match: 'predict'. Access denied."
        assert told(ask(aud="other")) == (401, wrong)
        assert told(ask(exp=time.time() - 5)) == (401, "IDX10223: Lifetime validation failed. The token is expired. Access denied.")
        assert told(ask(exp=None)) == (401, "IDX10225: Lifetime validation failed. The token is missing an Expiration Time.")
        assert told(ask(nbf=time.time() + 60))[0] == 401
        assert told(ask(iss="https://other.example.com"))[1].startswith("IDX10205: Issuer validation failed.")
        assert told(ask(scope="write")) == (401, "Claim scope value of write is not allowed. Access denied.")
        assert told(ask(scope=None)) == (401, "JWT token is missing the following claims: scope. Access denied.")
        assert told(ask(key=issuer.OTHER_KEY))[1].startswith("IDX10511: Signature validation failed.")
        assert "known kid: 'two'" in told(ask(kid="two"))[1]
    assert ask().status_code == 200, "configuration and keys are kept"


def test_an_issuer_that_is_not_there(gateway: Callable[..., Gateway]) -> None:
    made = gateway(document(JWT.format(url="http://127.0.0.1:1")), subscriptionRequired=False)
    refused = made.ask(headers={"Authorization": f"Bearer {issuer.token('http://127.0.0.1:1')}"})
    assert told(refused)[1].startswith("Unable to obtain the OpenID configuration from http://127.0.0.1:1")


def test_tokens_of_the_twins_own_entra(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    entra = harness.twin.azure.url(harness.twin, "entra", TENANT)
    policy = f"""<validate-jwt header-name="Authorization"><openid-config url="{entra}/.well-known/openid-configuration" />
        <audiences><audience>{MANAGER}</audience></audiences></validate-jwt>"""
    made, who = gateway(document(policy), subscriptionRequired=False), harness.identity("caller")
    assert made.ask(headers={"Authorization": f"Bearer {harness.token(who, MANAGER)}"}).status_code == 200
    assert told(made.ask(headers={"Authorization": f"Bearer {harness.token(who, 'https://storage.azure.com/')}"}))[0] == 401


def test_the_backend_is_called_as_the_service(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    made = gateway(document(f'<authentication-managed-identity resource="{MANAGER}" />'))
    sent = made.ask().json()["headers"]["authorization"]
    claims = harness.twin.azure.tokens(harness.twin).verify(sent.removeprefix("Bearer "), [MANAGER])
    own = system_assigned(made.service)
    assert claims is not None
    assert own is not None
    assert (claims["oid"], claims["appid"], claims["iss"]) == (own.principal_id, own.client_id, f"https://sts.windows.net/{TENANT}/")
    assert made.ask().json()["headers"]["authorization"] == sent, "it is kept"
    made.changes(document('<authentication-managed-identity resource="https://unknown.example.com/" />'))
    assert told(made.ask()) == (500, "Internal server error")


def test_the_policies_of_a_stack_with_tokens(gateway: Callable[..., Gateway], harness: AzureHarness, url: str) -> None:
    who, timeouts = harness.identity("gateway"), chain(cloud="azure", auth_mode="jwt", separate_function=True, predict_s=5)
    with issuer.serving() as address:
        args = GatewayArgs(
            auth_mode="jwt",
            requests_per_second=5,
            burst=1,
            issuer=address,
            audience=("predict",),
            scopes=("predict", "admin"),
            timeouts=timeouts,
        )
        policy = api_policy(args, function=f"{url}/fn", audience=MANAGER, client_id=who["clientId"])
        made = gateway(policy, url=None, identity=who, subscriptionRequired=False)

        def ask(**claims: Any) -> httpx.Response:
            return made.ask(headers={"Authorization": f"Bearer {issuer.token(address, **claims)}"})

        answer = ask(scope="read admin")
        assert answer.status_code == 200, answer.text
        seen = answer.json()
        assert (seen["path"], seen["headers"]["x-request-id"]) == ("/fn/predict", answer.headers["x-request-id"])
        claims = harness.twin.azure.tokens(harness.twin).verify(seen["headers"]["authorization"].removeprefix("Bearer "), [MANAGER])
        assert claims is not None
        assert claims["oid"] == who["principalId"]
        assert ask(scope=None, scp="predict").status_code == 200, "as Entra tells scopes"
        assert [ask(scope="read").status_code, ask(scope="admin", scp="read").status_code] == [403, 403]
        assert [ask(aud="other").status_code, made.ask(headers={}).status_code] == [401, 401]


def test_the_policies_of_a_stack_with_keys(gateway: Callable[..., Gateway], harness: AzureHarness, url: str) -> None:
    who, timeouts = harness.identity("keyed"), chain(cloud="azure", auth_mode="api-key", separate_function=True, predict_s=5)
    args = GatewayArgs(auth_mode="api-key", requests_per_second=5, burst=1, timeouts=timeouts)
    policy = api_policy(args, function=f"{url}/fn", audience=MANAGER, client_id=who["clientId"])
    names = {"header": "x-api-key", "query": "x-api-key"}
    made = gateway(policy, url=None, identity=who, subscriptionKeyParameterNames=names)
    long_ago = {callers.ARRIVED_HEADER: "2020-01-01T00:00:00Z"}
    for path, key in (("/predict?a=1", {"x-api-key": made.key}), (f"/predict?x-api-key={made.key}&a=1", {})):
        seen = made.ask(path, headers={**long_ago, **key}).json()
        assert (seen["path"], made.key in str(seen)) == ("/fn/predict?a=1", False)
        waited_s = callers.waited_s(seen["headers"])
        assert waited_s is not None
        assert 0 <= waited_s < 60, "when it came is the gateway's to say"


def test_a_tier_that_counts_by_any_key_counts_each_caller_with_a_token(
    gateway: Callable[..., Gateway], harness: AzureHarness, url: str
) -> None:
    who, timeouts = harness.identity("counting"), chain(cloud="azure", auth_mode="jwt", separate_function=True, predict_s=5)
    with issuer.serving() as address:
        limits: dict[str, Any] = {"requests_per_second": 0.2, "burst": 1, "daily_quota": 3, "tier": "standard"}
        args = GatewayArgs(auth_mode="jwt", issuer=address, audience=("predict",), timeouts=timeouts, **limits)
        policy = api_policy(args, function=url, audience=MANAGER, client_id=who["clientId"])
        made = gateway(policy, url=None, identity=who, subscriptionRequired=False, sku="Standard")

        def ask(**claims: Any) -> int:
            return made.ask(headers={"Authorization": f"Bearer {issuer.token(address, **claims)}"}).status_code

        assert [ask(sub="one"), ask(sub="one"), ask(sub="one"), ask(sub="two")] == [200, 200, 429, 200]
        assert [ask(sub=None, client_id="app"), ask(sub=None, client_id="app"), ask(sub=None, client_id="app")] == [200, 200, 429]
        harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 11))
        # One that the rate refused used none of the quota up.
        assert [ask(sub="one"), ask(sub="one")] == [200, 403]


def test_a_service_is_moved_within_its_family_of_tiers_alone(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    service = gateway(document(), sku="Developer").service
    assert harness.change(service, sku={"name": "Standard", "capacity": 1})["sku"]["name"] == "Standard"
    for sku, capacity in (("Consumption", 0), ("StandardV2", 1)):
        with pytest.raises(Refusal, match=f"from .* to {sku} is not supported: make another service"):
            harness.change(service, sku={"name": sku, "capacity": capacity})


def test_a_backend_at_the_twins_own_address(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    entra = harness.twin.azure.url(harness.twin, "entra", TENANT)
    made = gateway(document(f'<set-backend-service base-url="{entra}" /><rewrite-uri template="/.well-known/openid-configuration" />'))
    answer = made.ask("/results/a", method="GET")
    assert answer.status_code == 200, answer.text
    assert answer.json()["issuer"] == f"https://sts.windows.net/{TENANT}/"


def test_one_id_goes_along(gateway: Callable[..., Gateway]) -> None:
    policy = '<set-header name="x-request-id" exists-action="skip"><value>@(context.RequestId.ToString())</value></set-header>'
    echoed = '<set-header name="x-request-id"><value>@(context.Request.Headers.GetValueOrDefault("x-request-id",""))</value></set-header>'
    made = gateway(document(policy, outbound=echoed))
    answer = made.ask()
    assert len(answer.headers["x-request-id"]) == 36
    assert answer.json()["headers"]["x-request-id"] == answer.headers["x-request-id"]
    given = {"Ocp-Apim-Subscription-Key": made.key, "x-request-id": "mine"}
    assert made.ask(headers=given).headers["x-request-id"] == "mine"


def test_errors_may_be_told_otherwise(gateway: Callable[..., Gateway]) -> None:
    told_so = """<set-header name="x-reason"><value>@(context.LastError.Source + "/" + context.LastError.Reason)</value></set-header>
        <choose><when condition="@(context.Response.StatusCode == 401)"><set-status code="403" reason="Forbidden" /></when></choose>"""
    made = gateway(document(on_error=told_so))
    refused = made.ask(headers={})
    assert (refused.status_code, refused.headers["x-reason"]) == (403, "authorization/SubscriptionKeyNotFound")
    assert refused.json()["message"] == MISSING
    assert "x-reason" not in made.ask("/others").headers, "no API was reached, so none of its policies"


def test_a_backend_that_is_late_or_gone(gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> None:
    made, began = gateway(document(backend='<forward-request timeout="1" />')), time.monotonic()
    late = made.ask(sleep=5)
    assert told(late) == (500, "Internal server error")
    assert len(late.json()["activityId"]) == 36
    assert time.monotonic() - began < 4
    gone = gateway(document(), url="http://127.0.0.1:1")
    assert told(gone.ask()) == (500, "Internal server error")
    nowhere = gateway(document(), url=None)
    assert told(nowhere.ask()) == (500, "Internal server error")
    monkeypatch.setattr(apim_plane, "API_MANAGEMENT_S", Range(low=1, high=1, source="the test", noted="2026-11"))
    made.changes(document())
    assert told(made.ask(sleep=5)) == (500, "Internal server error"), "a request has so long in all in the tier Consumption"
    patient = gateway(document(), sku="Developer")
    assert patient.ask(sleep=2).status_code == 200


def test_bodies_pass_in_pieces(plain: Gateway) -> None:
    size = 5_000_000
    headers = {"Ocp-Apim-Subscription-Key": plain.key}
    assert CLIENT.post(f"{plain.url}/predict", content=b"x" * size, headers=headers).json()["bytes"] == size
    assert len(plain.ask(bytes=size).content) == size


def test_sizes_of_the_tier(plain: Gateway) -> None:
    assert told(plain.ask(f"/predict?{'x' * 2049}"))[0] == 414
    assert plain.ask(f"/predict?{'x' * 2048}").status_code == 200
    split = urlsplit(plain.url)
    asked = HTTPConnection(split.netloc, timeout=20)
    asked.putrequest("POST", f"{split.path}/predict")
    asked.putheader("Content-Length", str(1024**3 + 1))
    asked.endheaders()
    with closing(asked):
        assert asked.getresponse().status == 413


def test_answers_come_as_the_backend_gave_them(plain: Gateway) -> None:
    answer = plain.ask(status=202, told={"Location": "/results/7", "Set-Cookie": "a=b", "x-own": "1"})
    assert (answer.status_code, answer.headers["x-own"], answer.headers["set-cookie"]) == (202, "1", "a=b")
    assert answer.headers["location"] == f"/_azure/apim/{plain.host}/results/7", "where it was called"
    assert plain.ask(status=418).status_code == 418


CORS = """<cors allow-credentials="true"><allowed-origins><origin>https://page.example.com</origin></allowed-origins>
    <allowed-methods><method>POST</method></allowed-methods><allowed-headers><header>*</header></allowed-headers></cors>"""


def test_pages_of_other_origins(gateway: Callable[..., Gateway]) -> None:
    made = gateway(document(f'{CORS}<rate-limit calls="1" renewal-period="60" />'))
    page = {"Origin": "https://page.example.com"}
    asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    allowed = CLIENT.options(f"{made.url}/predict", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://page.example.com"), "no key is asked for"
    assert told(CLIENT.options(f"{made.url}/others", headers=asked)) == (404, "Resource not found")
    assert told(CLIENT.options(f"{made.url}/predict")) == (404, "Resource not found"), "no preflight"
    keyed = {**page, "Ocp-Apim-Subscription-Key": made.key}
    answers = [made.ask(headers=keyed) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"https://page.example.com"}


def test_a_preflight_where_nothing_answers_it(plain: Gateway) -> None:
    asked = {"Origin": "https://page.example.com", "Access-Control-Request-Method": "POST"}
    assert told(CLIENT.options(f"{plain.url}/predict", headers=asked)) == (404, "Resource not found")


def test_policies_of_every_scope(gateway: Callable[..., Gateway]) -> None:
    def marks(name: str, base: str = "<base />", more: str = "") -> str:
        mark = f'<set-header name="x-marks" exists-action="append"><value>{name}</value></set-header>'
        return f"<policies><inbound>{base}{mark}</inbound>{more}</policies>"

    made = gateway(marks("api"))
    product = made.product(marks("product"))
    made.stores(marks("operation"), types.API_OPERATION_POLICY, apiId="api", operationId="predict")
    made.harness.make(
        types.API_GLOBAL_POLICY,
        made.name,
        **made.inside,
        policyId="policy",
        format="rawxml",
        value=marks("global", "", "<backend><forward-request /></backend>"),
    )
    by_product = {"Ocp-Apim-Subscription-Key": made.subscribed(product.id)}
    assert made.ask(headers=by_product).json()["headers"]["x-marks"] == "global,product,api,operation"
    assert made.ask().json()["headers"]["x-marks"] == "global,api,operation"
    assert made.ask("/results/a", method="GET").json()["headers"]["x-marks"] == "global,api"


def test_an_outage_reaches_no_backend(plain: Gateway, harness: AzureHarness) -> None:
    harness.twin.faults.set({"outages": ["apigateway"]})
    try:
        assert told(plain.ask())[0] == 503
    finally:
        harness.twin.faults.clear()
    assert plain.ask().status_code == 200


def test_a_deleted_service_answers_no_more(gateway: Callable[..., Gateway], harness: AzureHarness) -> None:
    made = gateway(document())
    harness.remove(made.service)
    assert told(made.ask())[0] == 404


def test_services_answer_again_after_a_restart(tmp_path_factory: pytest.TempPathFactory, url: str) -> None:
    folder = tmp_path_factory.mktemp("again")
    first = harness_in(folder)
    made = Gateway(first, url, document())
    assert made.ask().status_code == 200
    first.down()
    second = harness_in(folder)
    try:
        made.url = f"{second.twin.front_url}/_azure/apim/{made.host}"
        assert made.ask().status_code == 200
        assert told(made.ask(headers={})) == (401, MISSING)
    finally:
        second.down()

"""What policies do to a call: sections with everything that `<base/>` stands for, limits, shapes, errors."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.azure.apim_call import (
    ApiRequest,
    ApiResponse,
    Call,
    Deployment,
    Entity,
    Finished,
    Headers,
    PolicyFailure,
    Subscription,
    Url,
)
from pilotlight.twin.azure.apim_expression_members import Jwt
from pilotlight.twin.azure.apim_policies import Document, Forwarding, Run, Wanted, steps
from pilotlight.twin.azure.apim_policy_handlers import HANDLERS
from pilotlight.twin.azure.apim_policy_limits import Limits, timespan
from pilotlight.twin.azure.apim_policy_xml import parse


class Service:
    """What policies need, without network: the clock is the test's, a backend answers what it was asked."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.limits = Limits(lambda: self.now)
        self.forwarded: list[tuple[str, Forwarding]] = []
        self.status = 200

    def named_value(self, name: str) -> str:
        return {"key": "secret", "whole": "@(context.RequestId)"}[name]

    def backend(self, name: str) -> str:
        return f"https://{name}.example.com"

    def token(self, client_id: str | None, resource: str) -> str:
        if client_id == "nobody":
            raise PolicyFailure(500, "ManagedIdentityFailure", "there is none")
        return f"token-of-{client_id or 'the-service'}-for-{resource}"

    async def verified(self, token: str, wanted: Wanted) -> Jwt:
        if token != "good":
            raise PolicyFailure(401, "TokenExpired", "it has expired. Access denied.")
        return Jwt(claims={"sub": "me"}, header={})

    async def forward(self, call: Call, how: Forwarding) -> ApiResponse:
        self.forwarded.append((f"{call.base_url}{call.request.url.path}{call.request.url.query_string}", how))
        return ApiResponse(status_code=self.status, headers=Headers([("X-Of", "backend")]), body=b"said")


@pytest.fixture
def service() -> Service:
    return Service()


def call(method: str = "POST", headers: dict[str, str] | None = None, query: str = "", subscription: str | None = "one") -> Call:
    url = {"host": "one.azure-api.net", "path": "/items/7", "raw_query": query}
    held = Subscription(id=subscription or "", name="One", key="k", primary_key="k", secondary_key="l", begins=500)
    return Call(
        request_id="id-1",
        request=ApiRequest(
            method=method,
            ip_address="192.0.2.1",
            headers=Headers((headers or {}).items()),
            url=Url(**url),  # type: ignore[arg-type]
            original_url=Url(**url),  # type: ignore[arg-type]
            matched_parameters={"id": "7"},
        ),
        deployment=Deployment(service_name="one", region="westeurope"),
        operation=Entity(id="get", name="Get", method="GET", url_template="/items/{id}?page={page}"),
        subscription=held if subscription else None,
        base_url="https://own.example.com",
    )


def document(scope: str = "api", **sections: str) -> Document:
    held = "".join(f"<{name.replace('_', '-')}>{text}</{name.replace('_', '-')}>" for name, text in sections.items())
    return Document(scope=scope, id=f"/{scope}", root=parse(f"<policies>{held}</policies>"))


def through(service: Service, found: Call, section: str, *documents: Document) -> Call:
    """The call after a section; what ends it early is no error here."""
    with contextlib.suppress(Finished):
        asyncio.run(Run(found, list(documents), service, HANDLERS).section(section))
    return found


def failure(service: Service, found: Call, section: str, *documents: Document) -> PolicyFailure:
    with pytest.raises(PolicyFailure) as raised:
        through(service, found, section, *documents)
    return raised.value


def variable(name: str) -> str:
    return f'<set-variable name="{name}" value="1" />'


def test_base_is_all_of_the_next_wider_scope() -> None:
    product = document("product", inbound=f"{variable('p')}<base/>")
    wide = document("global", inbound=variable("g"))
    api = document("api", inbound=f"{variable('a')}<base/>{variable('b')}")
    operation = document("operation", outbound="<base/>")
    names = [step.element.attributes["name"] for step in steps("inbound", [operation, api, product, wide])]
    assert names == ["a", "p", "g", "b"], "the operation has no such section: it is left to the API"
    closed = document("api", inbound=variable("a"))
    assert [step.element.attributes["name"] for step in steps("inbound", [closed, wide])] == ["a"]
    assert list(steps("inbound", [document("api", inbound="<base/>")])) == []


def test_headers(service: Service) -> None:
    policies = """<set-header name="x-kept" exists-action="skip"><value>new</value></set-header>
        <set-header name="x-new" exists-action="skip"><value>@(context.RequestId)</value></set-header>
        <set-header name="x-both" exists-action="append"><value>two</value></set-header>
        <set-header name="x-over"><value>{{key}}</value><value>{{whole}}</value></set-header>
        <set-header name="x-gone" exists-action="delete" />"""
    found = call(headers={"X-Kept": "old", "x-both": "one", "x-over": "old", "x-gone": "old"})
    headers = through(service, found, "inbound", document(inbound=policies)).request.headers
    expected = {"x-kept": "old", "x-new": "id-1", "x-both": "one,two", "x-over": "secret,id-1", "x-gone": None}
    assert {name: headers.get(name) for name in expected} == expected
    assert sum(name.lower() == "x-both" for name, _ in headers.pairs) == 1


def test_headers_with_commas_of_their_own_stay_apart(service: Service) -> None:
    found = call()
    found.response = ApiResponse(status_code=200, headers=Headers([("Set-Cookie", "a=1")]))
    text = '<set-header name="set-cookie" exists-action="append"><value>b=2</value><value>c=3</value></set-header>'
    assert [value for _, value in through(service, found, "outbound", document(outbound=text)).response.headers.pairs] == [
        "a=1",
        "b=2",
        "c=3",
    ]


def test_after_the_backend_headers_are_the_answers(service: Service) -> None:
    found = call()
    found.response = ApiResponse(status_code=200)
    text = '<set-header name="x-a"><value>b</value></set-header><set-status code="202" reason="Later" /><set-body>new</set-body>'
    through(service, found, "outbound", document(outbound=text))
    assert found.request.headers.get("x-a") is None
    assert found.response.headers.get("x-a") == "b"
    assert (found.response.status_code, found.response.status_reason, found.response.body) == (202, "Later", b"new")
    assert found.response.headers.get("content-length") == "3"


def test_where_a_request_goes(service: Service) -> None:
    rewritten = '<set-backend-service backend-id="function" /><rewrite-uri template="/v2/{id}/full?kind=a" />'
    both = document(inbound=rewritten, backend='<forward-request timeout="20" />')
    found = call(query="page=1&more=x%20y")
    through(service, found, "inbound", both)
    through(service, found, "backend", both)
    ((url, how),) = service.forwarded
    assert url == "https://function.example.com/v2/7/full?kind=a&more=x+y", "the template's own query stays behind"
    assert how.timeout_s == 20
    plain = document(backend='<forward-request timeout-ms="1500" />')
    through(service, call(query="a=b"), "backend", plain)
    assert service.forwarded[-1] == ("https://own.example.com/items/7?a=b", Forwarding(timeout_s=1.5, follow_redirects=False))
    assert failure(service, call(), "inbound", document(inbound='<rewrite-uri template="/{other}" />')).status == 500


def test_query_parameters(service: Service) -> None:
    policies = """<set-query-parameter name="a" exists-action="override"><value>9</value></set-query-parameter>
        <set-query-parameter name="b" exists-action="skip"><value>9</value></set-query-parameter>
        <set-query-parameter name="c" exists-action="delete" />
        <set-query-parameter name="d" exists-action="append"><value>x y</value></set-query-parameter>"""
    assert through(service, call(query="a=1&b=2&c=3"), "inbound", document(inbound=policies)).request.url.raw_query == "b=2&a=9&d=x+y"


def test_a_status_that_counts_as_an_error(service: Service) -> None:
    service.status = 503
    policy = document(backend='<forward-request fail-on-error-status-code="true" />')
    assert failure(service, call(), "backend", policy).status == 503
    assert through(service, call(), "backend", document(backend="<forward-request />")).response.status_code == 503  # type: ignore[union-attr]


def test_an_answer_of_the_policys_own_ends_it(service: Service) -> None:
    policy = """<choose>
        <when condition="@(context.Request.Method == "GET")"><set-variable name="a" value="get" /></when>
        <when condition="@(context.Request.Method == "POST")">
            <return-response><set-status code="405" reason="No" /><set-header name="Allow"><value>GET</value></set-header>
            <set-body>@("use " + "GET")</set-body></return-response>
        </when>
        <otherwise><set-variable name="a" value="other" /></otherwise>
    </choose><set-variable name="after" value="1" />"""
    refused = through(service, call(), "inbound", document(inbound=policy))
    assert refused.response is not None
    assert (refused.response.status_code, refused.response.body, refused.response.headers.get("allow")) == (405, b"use GET", "GET")
    assert "after" not in refused.variables
    assert through(service, call("GET"), "inbound", document(inbound=policy)).variables == {"a": "get", "after": "1"}
    assert through(service, call("PUT"), "inbound", document(inbound=policy)).variables == {"a": "other", "after": "1"}


def test_a_header_that_must_be_there(service: Service) -> None:
    policy = document(
        inbound="""<check-header id="c" name="x-a" failed-check-httpcode="412" failed-check-error-message="bad x-a" ignore-case="false">
        <value>One</value><value>Two</value></check-header>"""
    )
    through(service, call(headers={"X-A": "Two"}), "inbound", policy)
    found = call()
    missing = failure(service, found, "inbound", policy)
    assert (missing.status, missing.reason, missing.told) == (412, "HeaderNotFound", "bad x-a")
    assert found.error is not None
    assert (found.error.source, found.error.scope, found.error.section, found.error.policy_id) == ("check-header", "api", "inbound", "c")
    other = failure(service, call(headers={"x-a": "two"}), "inbound", policy)
    assert (other.reason, other.message) == ("HeaderValueNotAllowed", "Header x-a value of two is not allowed. Access denied.")


def test_rates_are_of_a_subscription(service: Service) -> None:
    policy = document(
        inbound='<rate-limit calls="2" renewal-period="10" remaining-calls-header-name="x-left" total-calls-header-name="x-total" />'
    )
    first = through(service, call(), "inbound", policy)
    assert first.extra == [("x-left", "1"), ("x-total", "2")]
    service.now += 4
    through(service, call(), "inbound", policy)
    over = failure(service, call(), "inbound", policy)
    assert (over.status, over.message, over.told) == (429, "Rate limit is exceeded", "Rate limit is exceeded. Try again in 6 seconds.")
    assert over.headers == [("Retry-After", "6")]
    through(service, call(subscription="two"), "inbound", policy)
    through(service, call(subscription=None), "inbound", policy)
    service.now += 5.9
    assert failure(service, call(), "inbound", policy).headers == [("Retry-After", "1")]
    service.now += 0.1
    through(service, call(), "inbound", policy)


def test_a_rate_has_the_header_that_the_policy_names(service: Service) -> None:
    policy = document(inbound='<rate-limit calls="0" renewal-period="10" retry-after-header-name="x-wait" />')
    assert failure(service, call(), "inbound", policy).headers == [("x-wait", "10")]


def test_two_policies_count_apart(service: Service) -> None:
    one, other = (document(scope, inbound='<base/><rate-limit calls="1" renewal-period="10" />') for scope in ("api", "product"))
    through(service, call(), "inbound", one, other)
    assert failure(service, call(), "inbound", one, other).status == 429


def test_quotas_begin_with_the_subscription(service: Service) -> None:
    policy = document("product", inbound='<quota calls="2" renewal-period="86400" />')
    for _ in range(2):
        through(service, call(), "inbound", policy)
    over = failure(service, call(), "inbound", policy)
    assert (over.status, over.reason) == (403, "QuotaExceeded")
    assert over.told == "Out of call volume quota. Quota will be replenished in 23:51:40.", "500 of 86,400 s are over"
    assert over.headers == [("Retry-After", "85900")]
    service.now = 500 + 86_400
    through(service, call(), "inbound", policy)


def test_a_quota_without_an_end(service: Service) -> None:
    policy = document("product", inbound='<quota calls="1" renewal-period="0" />')
    through(service, call(), "inbound", policy)
    service.now += 10_000_000
    over = failure(service, call(), "inbound", policy)
    assert (over.told, over.headers) == ("Out of call volume quota.", [])


def test_limits_by_key(service: Service) -> None:
    rate = document(inbound='<rate-limit-by-key calls="1" renewal-period="5" counter-key="@(context.Request.IpAddress)" />')
    through(service, call(subscription=None), "inbound", rate)
    assert failure(service, call(subscription="other"), "inbound", rate).status == 429
    quota = document(inbound='<quota-by-key calls="1" renewal-period="300" counter-key="everybody" />')
    through(service, call(), "inbound", quota)
    assert failure(service, call(), "inbound", quota).status == 403


@given(st.lists(st.floats(0, 5), max_size=40), st.integers(1, 4), st.integers(1, 10))
def test_no_window_has_more_calls_than_its_limit(pauses: list[float], calls: int, period: int) -> None:
    now, taken = [0.0], []
    limits = Limits(lambda: now[0])
    for pause in pauses:
        now[0] += pause
        count = limits.rate(("a", 0, "b"), calls, period)
        if count.allowed:
            taken.append(now[0])
        else:
            assert count.retry_s >= 1
            assert taken[-calls] + period <= now[0] + count.retry_s, "after the pause it told of there is room"
    for begin in taken:
        assert sum(begin <= at < begin + period for at in taken) <= calls


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00:00"), (3661, "01:01:01"), (86399, "23:59:59"), (1_800_000, "20.20:00:00")])
def test_times_as_dotnet_writes_them(seconds: int, text: str) -> None:
    assert timespan(seconds) == text


def test_tokens_of_the_service(service: Service) -> None:
    own = document(inbound='<authentication-managed-identity resource="https://management.azure.com/" />')
    found = through(service, call(headers={"Authorization": "Bearer callers"}), "inbound", own)
    assert found.request.headers.get("authorization") == "Bearer token-of-the-service-for-https://management.azure.com/"
    kept = document(inbound='<authentication-managed-identity resource="r" client-id="c" output-token-variable-name="t" />')
    found = through(service, call(headers={"Authorization": "Bearer callers"}), "inbound", kept)
    assert found.variables == {"t": "token-of-c-for-r"}
    assert found.request.headers.get("authorization") == "Bearer callers"
    absent = '<authentication-managed-identity resource="r" client-id="nobody" ignore-error="{}" />'
    through(service, call(), "inbound", document(inbound=absent.format("true")))
    assert failure(service, call(), "inbound", document(inbound=absent.format("false"))).reason == "ManagedIdentityFailure"


JWT = '<validate-jwt header-name="{name}" require-scheme="Bearer" {more}><openid-config url="u" /></validate-jwt>'


@pytest.mark.parametrize(
    ("headers", "name", "reason"),
    [
        ({}, "Authorization", "TokenNotPresent"),
        ({"Authorization": "good"}, "Authorization", "TokenNotPresent"),
        ({"Authorization": "Basic good"}, "Authorization", "TokenNotPresent"),
        ({"Authorization": "Bearer bad"}, "Authorization", "TokenExpired"),
        ({"Authorization": "bearer good"}, "Authorization", None),
        ({"x-token": "good"}, "x-token", None),
    ],
)
def test_where_a_token_is_looked_for(service: Service, headers: dict[str, str], name: str, reason: str | None) -> None:
    policy = document(inbound=JWT.format(name=name, more='output-token-variable-name="jwt"'))
    if reason is not None:
        refused = failure(service, call(headers=headers), "inbound", policy)
        assert (refused.status, refused.reason) == (401, reason)
        return
    assert through(service, call(headers=headers), "inbound", policy).variables["jwt"].claims == {"sub": "me"}


def test_a_policy_may_say_its_own_words_of_a_bad_token(service: Service) -> None:
    more = 'failed-validation-httpcode="403" failed-validation-error-message="Sign in."'
    found = call()
    refused = failure(service, found, "inbound", document(inbound=JWT.format(name="Authorization", more=more)))
    assert (refused.status, refused.told, refused.message) == (403, "Sign in.", "JWT not present.")
    assert found.error is not None
    assert found.error.message == "JWT not present."


def cors(more: str = "", methods: str = "", **given: Any) -> Document:
    origin = given.get("origin", "https://page.example.com")
    return document(
        inbound=f"""<cors {more}><allowed-origins><origin>{origin}</origin></allowed-origins>{methods}
        <allowed-headers><header>Content-Type</header><header>x-api-key</header></allowed-headers>
        <expose-headers><header>x-request-id</header></expose-headers></cors><set-variable name="after" value="1" />"""
    )


def preflight(method: str = "POST", headers: str = "content-type, X-API-Key", origin: str = "https://page.example.com") -> Call:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return call("OPTIONS", headers=asked)


def test_a_preflight_is_answered_by_the_policy(service: Service) -> None:
    methods = '<allowed-methods preflight-result-max-age="300"><method>POST</method></allowed-methods>'
    found = through(service, preflight(), "inbound", cors('allow-credentials="true"', methods))
    assert found.response is not None
    assert found.response.status_code == 200
    assert dict(found.response.headers.pairs) == {
        "Access-Control-Allow-Origin": "https://page.example.com",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type, X-API-Key",
        "Access-Control-Max-Age": "300",
    }
    assert found.variables == {}


@pytest.mark.parametrize("asked", [preflight("PUT"), preflight(headers="x-other"), preflight(origin="https://other.example.com")])
def test_a_preflight_that_is_not_allowed_says_so_by_saying_nothing(service: Service, asked: Call) -> None:
    found = through(service, asked, "inbound", cors())
    assert found.response is not None
    assert (found.response.status_code, found.response.headers.pairs) == (200, [])


def test_answers_tell_browsers_that_they_may_be_read(service: Service) -> None:
    found = through(service, call(headers={"Origin": "https://PAGE.example.com"}), "inbound", cors())
    assert found.extra == [("Access-Control-Allow-Origin", "https://PAGE.example.com"), ("Access-Control-Expose-Headers", "x-request-id")]
    assert found.variables == {"after": "1"}
    assert through(service, call(headers={"Origin": "https://x.example.com"}), "inbound", cors(origin="*")).extra[0][1] == "*"
    assert through(service, call(), "inbound", cors()).extra == []


def test_a_simple_request_from_elsewhere_is_ended_or_not(service: Service) -> None:
    foreign = {"Origin": "https://other.example.com"}
    ended = through(service, call("GET", headers=foreign), "inbound", cors())
    assert ended.response is not None
    assert ended.variables == {}
    on = through(service, call("GET", headers=foreign), "inbound", cors('terminate-unmatched-request="false"'))
    assert (on.response, on.variables, on.extra) == (None, {"after": "1"}, [])
    assert through(service, call(headers=foreign), "inbound", cors()).variables == {"after": "1"}


def test_an_expression_that_fails_is_an_error_of_the_service(service: Service) -> None:
    found = call()
    policy = document(inbound='<set-variable name="a" value="@(context.Product.Name)" />')
    refused = failure(service, found, "inbound", policy)
    assert (refused.status, refused.reason, refused.told) == (500, "ExpressionValueEvaluationFailure", "Internal server error")
    assert "Object reference not set" in refused.message
    assert found.error is not None
    assert found.error.source == "set-variable"

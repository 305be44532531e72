"""Policy expressions: what is understood, what it comes to, what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.azure.apim_call import ApiRequest, ApiResponse, Call, Deployment, Entity, Headers, LastError, Subscription, Url
from pilotlight.twin.azure.apim_expression_types import EvaluationError
from pilotlight.twin.azure.apim_expressions import compiled, evaluated

TOKEN = jwt.encode({"sub": "me", "scope": "read predict", "aud": ["a", "b"], "level": 3}, "k" * 32, algorithm="HS256")
URL = Url(host="one.azure-api.net", path="/predict", raw_query="version=2&empty=")


def call(**more: Any) -> Call:
    request = ApiRequest(
        method="POST",
        ip_address="192.0.2.1",
        headers=Headers([("X-Tenant", "a"), ("x-tenant", "b"), ("Authorization", f"Bearer {TOKEN}")]),
        url=URL,
        original_url=URL,
        matched_parameters={"id": "7"},
    )
    subscription = Subscription(id="first", name="First", key="k", primary_key="k", secondary_key="l", begins=0)
    return Call(
        **{
            "request_id": "6f3e",
            "timestamp": datetime(2026, 11, 27, 3, 2, 3, 4500, timezone(timedelta(hours=2))),
            "request": request,
            "deployment": Deployment(service_name="one", region="westeurope"),
            "api": Entity(id="api", name="Api"),
            "operation": Entity(id="predict", name="Predict", method="POST", url_template="/predict"),
            "subscription": subscription,
            "variables": {"token": "abc", "count": 3},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("@(context.RequestId.ToString())", "6f3e"),
        ('@(context.Timestamp.ToString("o"))', "2026-11-27T01:02:03.0045000Z"),
        ("@(context.Subscription.Id)", "first"),
        ("@(context.Subscription?.Key)", "k"),
        ("@(context.Product?.Id)", None),
        ('@(context.Product?.Id ?? "none")', "none"),
        ('@(context.Request.Headers.GetValueOrDefault("x-tenant","none"))', "a,b"),
        ('@(context.Request.Headers.GetValueOrDefault("x-other", context.RequestId.ToString()))', "6f3e"),
        ('@(context.Request.Headers.GetValueOrDefault("x-other"))', None),
        ('@(context.Request.Headers.GetValueOrDefault("Authorization","").AsJwt()?.Subject)', "me"),
        ('@(context.Request.Headers.GetValueOrDefault("X-None","").AsJwt()?.Subject)', None),
        ('@(context.Request.Headers.GetValueOrDefault("X-None","").AsJwt()?.Claims.ContainsKey("scope") ?? false)', False),
        ('@(context.Request.Headers.GetValueOrDefault("Authorization","").AsJwt()?.Claims.ContainsKey("scope") ?? false)', True),
        ('@(((string)context.Variables["token"]).ToUpper())', "ABC"),
        ('@("Bearer " + (string)context.Variables["token"])', "Bearer abc"),
        ('@(context.Variables.GetValueOrDefault<string>("absent","x"))', "x"),
        ('@((int)context.Variables["count"] + 1)', 4),
        ('@(context.Request.MatchedParameters["id"])', "7"),
        ('@(context.Request.OriginalUrl.Host + ":" + context.Request.OriginalUrl.Port)', "one.azure-api.net:443"),
        ('@(context.Request.Url.Query.GetValueOrDefault("version") == "2")', True),
        ('@(context.Request.Method == "GET" || context.Operation.Id == "predict")', True),
        ('@(context.Request.Method == "POST" && !context.Variables.ContainsKey("token"))', False),
        ('@(context.Subscription != null ? "keyed" : "open")', "keyed"),
        ("@(string.IsNullOrEmpty(context.Product?.Name))", True),
        ('@("a \\"quoted\\" \\\\ text")', 'a "quoted" \\ text'),
        ('@(@"C:\\dir ""x""")', 'C:\\dir "x"'),
        ('@(@"C:\\" + "" + "b")', "C:\\b"),
        ("plain text", "plain text"),
        ("", ""),
    ],
)
def test_what_an_expression_comes_to(text: str, value: object) -> None:
    assert evaluated(text, call()) == value


def test_claims_of_a_verified_token() -> None:
    found = call()
    found.variables["jwt"] = evaluated('@(context.Request.Headers.GetValueOrDefault("Authorization","").AsJwt())', found)
    token = '((Jwt)context.Variables["jwt"])'
    assert evaluated(f'@({token}.Claims["aud"].Contains("b"))', found) is True
    assert evaluated(f'@({token}.Claims.GetValueOrDefault("level","0"))', found) == "3"
    assert evaluated(f'@({token}.Claims.GetValueOrDefault("absent","0"))', found) == "0"
    with pytest.raises(EvaluationError, match="The given key was not present"):
        evaluated(f'@({token}.Claims["absent"][0])', found)


def test_errors_and_answers_are_there_once_they_happened() -> None:
    error = LastError(source="rate-limit", reason="RateLimitExceeded", message="Rate limit is exceeded", policy_id="slow")
    found = call(error=error, response=ApiResponse(status_code=429))
    assert evaluated('@(context.LastError.Reason + " " + context.LastError.PolicyId)', found) == "RateLimitExceeded slow"
    assert evaluated("@(context.Response.StatusCode >= 400)", found) is True
    assert evaluated("@(context.Response.StatusReason)", found) == "Too Many Requests"
    for text in ("@(context.LastError.Reason)", "@((context.LastError?.Reason).ToUpper())"):
        with pytest.raises(EvaluationError, match="Object reference not set"):
            evaluated(text, call())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("@(context.Deployment.Certificates)", "deployment has no member 'Certificates'"),
        ("@(context.Request.Body.As<string>())", "request has no member 'Body'"),
        ("@(DateTime.UtcNow.ToString())", "'DateTime' is not among"),
        ("@{ return 1; }", "one statement"),
        ("@(context.Request.Method == 1)", "string and int are not compared"),
        ('@(context.Request.Headers["x"])', "headers has no index"),
        ('@(!"a")', "a bool is wanted after !"),
        ('@((int)"a")', "a string is not cast to int"),
        ("@(context.Request.Headers.GetValueOrDefault())", "takes 1 to 2 arguments, not 0"),
        ('@(true ? "a" : 1)', "different types: string and int"),
        ("@(context.", "the whole value"),
        ("@(context.)", "ends too early"),
        ("@(1 2)", "not understood from '2' on"),
        ("@(context # 1)", "not understood from ' # 1' on"),
        ('@(context.Variables.GetValueOrDefault<int>("a"))', "with <string> alone"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the text is looked at below)
        compiled(text)
    assert why in str(refused.value)


@given(st.text(alphabet='()"@.?:[]!=&|+<> abcontexRqus01\\', max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        compiled(f"@({text})")
    except ValueError:
        return


@given(
    st.recursive(st.integers(0, 9).map(str), lambda inner: st.tuples(inner, inner).map(lambda two: f"({two[0]} + {two[1]})"), max_leaves=20)
)
def test_sums_are_those_of_arithmetic(text: str) -> None:
    assert evaluated(f"@({text})", call()) == eval(text)


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.data())
def test_and_binds_tighter_than_or(values: list[bool], data: st.DataObject) -> None:
    signs = data.draw(st.lists(st.sampled_from(["&&", "||"]), min_size=len(values) - 1, max_size=len(values) - 1))
    words = [str(value).lower() for value in values]
    text = words[0] + "".join(f" {sign} {word}" for sign, word in zip(signs, words[1:], strict=True))
    python = text.replace("&&", "and").replace("||", "or").replace("true", "True").replace("false", "False")
    assert evaluated(f"@({text})", call()) == eval(python)

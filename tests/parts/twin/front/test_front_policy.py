import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.conditions import OPERATORS, PolicyError, glob_match, holds
from pilotlight.twin.policy import Effect, Question, evaluate, parse

OBJECT = "arn:aws:s3:::models/a/model.tar.gz"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(**keys: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECT, **keys}


def without_action(**keys: Any) -> dict[str, Any]:
    return {key: value for key, value in allow(**keys).items() if key != "Action"}


def without_resource(**keys: Any) -> dict[str, Any]:
    return {key: value for key, value in allow(**keys).items() if key != "Resource"}


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        ([], Effect.NONE),
        ([allow()], Effect.ALLOW),
        ([allow(Action=["s3:PutObject", "S3:getobject"])], Effect.ALLOW),
        ([allow(Action="s3:Get*")], Effect.ALLOW),
        ([allow(Action="s3:GetObjec?")], Effect.ALLOW),
        ([allow(Action="s3:Put*")], Effect.NONE),
        ([allow(Action="*", Resource="*")], Effect.ALLOW),
        ([allow(Resource="arn:aws:s3:::models/*")], Effect.ALLOW),
        ([allow(Resource="arn:aws:s3:::other/*")], Effect.NONE),
        ([allow(Resource="arn:aws:s3:::MODELS/*")], Effect.NONE),
        ([allow(Resource="arn:aws:s3:::models/[a-z]/*")], Effect.NONE),
        ([allow(), allow(Effect="Deny")], Effect.DENY),
        ([allow(Effect="Deny"), allow()], Effect.DENY),
        ([allow(), allow(Effect="Deny", Resource="arn:aws:s3:::other/*")], Effect.ALLOW),
        ([without_action(NotAction="s3:PutObject")], Effect.ALLOW),
        ([without_action(NotAction="s3:Get*")], Effect.NONE),
        ([without_resource(NotResource="arn:aws:s3:::other/*")], Effect.ALLOW),
        ([without_resource(NotResource="arn:aws:s3:::models/*")], Effect.NONE),
    ],
)
def test_statements_are_weighed_as_aws_weighs_them(statements: list[dict[str, Any]], verdict: Effect) -> None:
    assert evaluate([document(*statements)], Question(action="s3:GetObject", resource=OBJECT)) is verdict


@pytest.mark.parametrize(
    ("operator", "wanted", "found", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "b", False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", "a", None, True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringLike", "mo*", "models", True),
        ("StringNotLike", "mo*", "models", False),
        ("StringEqualsIgnoreCase", "AbC", "aBc", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericEquals", "10", "many", False),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", True),
        ("DateLessThan", "2026-01-01T00:00:00Z", "1767225600", False),
        ("Bool", "true", "true", True),
        ("Bool", "false", "true", False),
        ("Bool", False, "false", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
        ("IpAddress", "10.0.0.0/8", "not an address", False),
        ("ArnLike", "arn:aws:execute-api:us-east-1:1:abc/*", "arn:aws:execute-api:us-east-1:1:abc/live/POST/predict", True),
        ("ArnLike", "arn:aws:*:abc", "arn:aws:execute-api:us-east-1:1:abc", False),
        ("ArnNotEquals", "arn:aws:s3:::a", "arn:aws:s3:::b", True),
        ("Null", "true", None, True),
        ("Null", "true", "a", False),
        ("Null", "false", "a", True),
        ("ForAnyValue:StringEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringEquals", ["c"], ["a", "b"], False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a"], ["a", "b"], False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
    ],
)
def test_condition_operators(operator: str, wanted: Any, found: Any, expected: bool) -> None:
    context = {} if found is None else {"aws:Key": found}
    assert holds({operator: {"aws:key": wanted}}, context) is expected


def test_every_key_of_a_condition_must_hold() -> None:
    conditions = {"StringEquals": {"aws:a": "1", "aws:b": "2"}, "Bool": {"aws:c": "true"}}
    assert holds(conditions, {"aws:a": "1", "aws:b": "2", "aws:c": "true"})
    assert not holds(conditions, {"aws:a": "1", "aws:b": "2", "aws:c": "false"})


def test_policy_variables_are_replaced_and_their_wildcards_are_text() -> None:
    home = document(allow(Resource="arn:aws:s3:::models/${aws:username}/*"))

    def verdict(user: str, key: str) -> Effect:
        return evaluate([home], Question(action="s3:GetObject", resource=f"arn:aws:s3:::models/{key}", context={"aws:username": user}))

    assert verdict("ann", "ann/x") is Effect.ALLOW
    assert verdict("ann", "bob/x") is Effect.NONE
    assert verdict("*", "bob/x") is Effect.NONE
    assert verdict("*", "*/x") is Effect.ALLOW
    assert evaluate([home], Question(action="s3:GetObject", resource="arn:aws:s3:::models//x")) is Effect.NONE


@pytest.mark.parametrize(
    ("principal", "names", "verdict"),
    [
        ("*", {"x"}, Effect.ALLOW),
        ({"AWS": "*"}, {"x"}, Effect.ALLOW),
        ({"Service": "*"}, {"x"}, Effect.NONE),
        ({"Service": ["a.amazonaws.com", "b.amazonaws.com"]}, {"b.amazonaws.com"}, Effect.ALLOW),
        ({"AWS": "123456789012"}, {"123456789012"}, Effect.ALLOW),
        (None, {"x"}, Effect.NONE),
    ],
)
def test_principals_of_trust_policies(principal: Any, names: set[str], verdict: Effect) -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    question = Question(action="sts:AssumeRole", principals=frozenset(names))
    assert (
        evaluate([document({k: v for k, v in statement.items() if v is not None} | {"Resource": "*"})], question, by_principal=True)
        is verdict
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[]", "object with a Statement"),
        ('{"Statement": ["x"]}', "statement 0 is not an object"),
        (document(allow(Effect="allow")), "use 'Allow' or 'Deny'"),
        (document(allow(NotAction="x")), "either Action or NotAction"),
        (document(without_resource()), "needs Resource or NotResource"),
        (document(allow(NotResource="x")), "both Resource and NotResource"),
        (document(allow(NotPrincipal={"AWS": "x"})), "NotPrincipal"),
        (document(allow(Action=[1])), "must hold texts"),
        (document(allow(Condition={"StringEqual": {"a": "b"}})), "'StringEqual' is not known"),
        (document(allow(Condition={"ForMostValues:StringEquals": {"a": "b"}})), "ForMostValues"),
        (document(allow(Condition={"StringEquals": "a"})), "Condition must be"),
        (json.dumps({"Version": "2020-01-01", "Statement": []}), "2020-01-01"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_by_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(PolicyError, match=r".*") as raised:
        parse(text)
    assert part in str(raised.value)


@given(st.text(max_size=30))
def test_a_pattern_without_wildcards_matches_itself_alone(text: str) -> None:
    plain = text.replace("*", "").replace("?", "")
    assert glob_match(plain, plain)
    assert not glob_match(plain, plain + "x")


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_a_star_stands_for_any_text(before: str, middle: str, after: str) -> None:
    pattern = before.replace("*", "").replace("?", "") + "*" + after.replace("*", "").replace("?", "")
    assert glob_match(pattern, before.replace("*", "").replace("?", "") + middle + after.replace("*", "").replace("?", ""))


ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "lambda:InvokeFunction"])
PATTERNS = st.sampled_from(["*", "s3:*", "s3:Get*", "sqs:SendMessage", "lambda:Invoke?unction"])
STATEMENTS = st.builds(
    lambda effect, action: {"Effect": effect, "Action": action, "Resource": "*"}, st.sampled_from(["Allow", "Deny"]), PATTERNS
)


@given(st.lists(STATEMENTS, max_size=6), ACTIONS)
def test_adding_a_deny_never_grants_and_order_does_not_matter(statements: list[dict[str, Any]], action: str) -> None:
    question = Question(action=action)
    before = evaluate([document(*statements)], question)
    assert evaluate([document(*reversed(statements))], question) is before
    assert evaluate([document(s) for s in statements], question) is before
    denied = evaluate([document(*statements, {"Effect": "Deny", "Action": "*", "Resource": "*"})], question)
    assert denied is Effect.DENY
    matching = [s for s in statements if glob_match(s["Action"], action, ignore_case=True)]
    expected = Effect.DENY if any(s["Effect"] == "Deny" for s in matching) else Effect.ALLOW if matching else Effect.NONE
    assert before is expected


@given(st.sampled_from(sorted(OPERATORS - {"Null"})), st.text(max_size=8), st.text(max_size=8))
def test_no_operator_fails_on_odd_values(operator: str, wanted: str, found: str) -> None:
    assert holds({operator: {"k": wanted}}, {"k": found}) in (True, False)

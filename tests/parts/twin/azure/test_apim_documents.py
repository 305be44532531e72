"""Policy documents: read with their places, and judged as API Management judges them when they are stored."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.args import GatewayArgs
from components.azure.gateway_policy import api_policy, product_policy
from components.timeouts import chain
from pilotlight.twin.azure.apim_policy_check import Surroundings, UnservedError, problems
from pilotlight.twin.azure.apim_policy_forms import POLICIES, UNSERVED
from pilotlight.twin.azure.apim_policy_handlers import HANDLERS
from pilotlight.twin.azure.apim_policy_xml import PolicyError, parse

CORS = """<cors>
            <allowed-origins><origin>https://page.example.com</origin></allowed-origins>
            <allowed-headers><header>*</header></allowed-headers>
        </cors>"""


def document(inbound: str = "", backend: str = "", outbound: str = "") -> str:
    return f"""<policies>
    <inbound>
        <base />
        {inbound}
    </inbound>
    <backend>
        <base />
        {backend}
    </backend>
    <outbound>
        <base />
        {outbound}
    </outbound>
    <on-error>
        <base />
    </on-error>
</policies>"""


def told(text: str, scope: str = "api", tier: str = "Consumption", content_format: str = "rawxml") -> list[str]:
    around = Surroundings(scope=scope, tier=tier, named_value=lambda name: name == "known", backend=lambda name: name == "function")
    return [str(one) for one in problems(parse(text, content_format), around)]


def test_every_policy_that_is_taken_is_done() -> None:
    assert set(POLICIES) == set(HANDLERS)
    assert not set(POLICIES) & UNSERVED


@pytest.mark.parametrize(
    "inbound",
    [
        "",
        '<rate-limit calls="5" renewal-period="60" remaining-calls-header-name="x-left" id="slow" />',
        '<check-header name="a" failed-check-httpcode="400" failed-check-error-message="no" ignore-case="true">'
        "<value>b</value></check-header>",
        '<validate-jwt header-name="Authorization" require-scheme="Bearer"><openid-config url="https://i.example.com/x" />'
        "<audiences><audience>a</audience></audiences>"
        '<required-claims><claim name="scope" match="all" separator=" "><value>r</value></claim></required-claims></validate-jwt>',
        '<authentication-managed-identity resource="https://management.azure.com/" />',
        '<set-backend-service backend-id="function" /><rewrite-uri template="/v2/{id}" />',
        '<set-header name="x-id" exists-action="skip"><value>@(context.RequestId.ToString())</value></set-header>',
        '<set-header name="x-key" exists-action="override"><value>{{known}}</value></set-header>',
        '<choose><when condition="@(context.Request.Method == "GET" && true)"><set-variable name="a" value="1" /></when>'
        '<otherwise><return-response><set-status code="405" /><set-body>no</set-body></return-response></otherwise></choose>',
        CORS,
    ],
)
def test_what_api_management_takes_is_taken(inbound: str) -> None:
    assert told(document(inbound)) == []


@pytest.mark.parametrize(
    ("inbound", "message"),
    [
        ('<rate-limit-by-key calls="1" renewal-period="1" counter-key="a" />', "Policy is not allowed in 'Consumption' sku"),
        ('<quota-by-key calls="1" renewal-period="1" counter-key="a" />', "Policy is not allowed in 'Consumption' sku"),
        ('<quota calls="1" renewal-period="86400" />', "Policy is not allowed in the specified scope"),
        ('<forward-request timeout="1" />', "Policy is not allowed in the specified section"),
        ('<rate-limit calls="1" renewal="1" renewal-period="1" />', "The 'renewal' attribute is not declared."),
        ('<rate-limit renewal-period="1" />', "The required attribute 'calls' is missing."),
        ('<rate-limit calls="many" renewal-period="1" />', "The 'calls' attribute is invalid - The value 'many' is invalid: use int."),
        ('<rate-limit calls="1" renewal-period="301" />', "The value '301' is invalid: use 1 to 300 s."),
        ('<rate-limit calls="@(1)" renewal-period="1" />', "Policy expressions are not allowed in 'calls'"),
        ("<throttle />", "The element 'inbound' has invalid child element 'throttle'."),
        (
            '<set-header name="a">b</set-header>',
            "The element 'set-header' cannot contain text. List of possible elements expected: 'value'.",
        ),
        ('<set-header name="a" exists-action="put"><value>b</value></set-header>', "use override, skip, append, delete."),
        ('<set-header name="a"><value>{{absent}}</value></set-header>', "Cannot find a property 'absent'"),
        ('<set-backend-service backend-id="absent" />', "Backend with id 'absent' could not be found."),
        ('<set-backend-service backend-id="function" base-url="https://a" />', "Exactly one of the attributes base-url, backend-id"),
        ("<cors><allowed-headers><header>*</header></allowed-headers></cors>", "List of possible elements expected: 'allowed-origins'."),
        (
            '<validate-jwt header-name="A"><audiences><audience>a</audience></audiences><openid-config url="u" /></validate-jwt>',
            "The element 'validate-jwt' has invalid child element 'openid-config'. List of possible elements expected: 'audiences, ",
        ),
        ("<validate-jwt />", "Exactly one of the attributes header-name, query-parameter-name, token-value must be specified"),
        (f"{CORS}{CORS}", "Policy can be used only once per policy section"),
        ('<choose><when condition="@("a")"><base /></when></choose>', "Cannot implicitly convert type 'string' to 'bool'"),
        ('<choose><when condition="true"><base /></when></choose>', "Error in element 'base'"),
    ],
)
def test_what_api_management_refuses_is_refused_with_its_place(inbound: str, message: str) -> None:
    found = told(document(inbound))
    assert any(message in one for one in found), found
    assert all(one.startswith("Error in element '") for one in found)


def test_the_place_is_that_of_the_name() -> None:
    (text,) = told(document('<quota calls="1" renewal-period="86400" />'))
    assert text == "Error in element 'quota' on line 4, column 10: Policy is not allowed in the specified scope"
    before = '<set-variable name="é" value="@(context.Request.Method == "a<b" && true)" />'
    (text,) = told(document(f"{before} <throttle />"))
    assert text.startswith(f"Error in element 'throttle' on line 4, column {8 + len(before) + 3}:")


def test_tiers_and_scopes_differ() -> None:
    by_key = '<rate-limit-by-key calls="1" renewal-period="1" counter-key="@(context.Request.IpAddress)" />'
    quota_by_key = '<quota-by-key calls="1" renewal-period="400" counter-key="a" />'
    assert told(document(by_key), tier="Developer") == []
    assert told(document(by_key), tier="BasicV2") == []
    assert told(document(quota_by_key), tier="Premium") == []
    assert "not allowed in 'BasicV2' sku" in told(document(quota_by_key), tier="BasicV2")[0]
    quota = '<quota calls="10" renewal-period="86400" />'
    assert told(document(quota), scope="product") == []
    assert "specified scope" in told(document(quota), scope="operation")[0]
    assert "specified scope" in told(document('<rate-limit calls="1" renewal-period="1" />'), scope="global")[0]


@pytest.mark.parametrize(
    "inbound",
    [
        "<ip-filter action='allow' />",
        '<set-body template="liquid">a</set-body>',
        '<rate-limit calls="1" renewal-period="1"><api id="a" calls="1" renewal-period="1" /></rate-limit>',
        '<validate-jwt header-name="A"><issuer-signing-keys><key>a</key></issuer-signing-keys></validate-jwt>',
        '<set-variable name="a" value="@{ return 1; }" />',
    ],
)
def test_what_only_azure_has_is_told_apart(inbound: str) -> None:
    around = Surroundings(scope="api", tier="Consumption", named_value=lambda name: True, backend=lambda name: True)
    found = problems(parse(document(inbound)), around)
    assert found
    assert all(isinstance(one, UnservedError) for one in found), found
    assert "local twin" in str(found[0])


@pytest.mark.parametrize(
    "given",
    [
        {"auth_mode": "api-key"},
        {"auth_mode": "api-key", "daily_quota": 100},
        {"auth_mode": "jwt", "audience": ("predict",)},
        {"auth_mode": "jwt", "audience": ("a&b",), "scopes": ("read", "write"), "allow_origins": ("https://a.example.com",), "later": True},
    ],
)
def test_what_the_components_write_is_taken(given: dict[str, Any]) -> None:
    timeouts = chain(cloud="azure", auth_mode=given["auth_mode"], separate_function=True, predict_s=5)
    issuer = "https://issuer.example.com" if given["auth_mode"] == "jwt" else None
    args = GatewayArgs(requests_per_second=5, burst=1, issuer=issuer, timeouts=timeouts, **given)
    assert told(api_policy(args, function="https://fn.example.com", audience="https://management.azure.com/", client_id="c")) == []
    assert told(product_policy(args), scope="product") == []


def test_sections_and_roots() -> None:
    assert told("<policies><inbound /><inbound /></policies>")[0].startswith("Error in element 'inbound' on line 1, column 23:")
    assert "has invalid child element 'middle'" in told("<policies><middle /></policies>")[0]
    assert "not allowed in the specified scope" in told("<inbound />")[0]
    assert told("<policies><inbound>text</inbound></policies>") == [
        "Error in element 'inbound' on line 1, column 12: The element 'inbound' cannot contain text."
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<policies><inbound></policies>", "mismatched tag. Line 1, position"),
        ("", "no element found"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><policies>&b;</policies>", "DTD is prohibited"),
        ('<policies>\n<inbound><a b="@(f(" /></inbound></policies>', "The expression on line 2 has no end"),
    ],
)
def test_what_is_no_xml_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse(text)


def test_a_document_in_xml_has_its_expressions_escaped() -> None:
    escaped = "<policies><inbound><set-variable name='a' value='@(context.Api.Id == &quot;b&quot; &amp;&amp; true)' /></inbound></policies>"
    assert told(escaped, content_format="xml") == []
    with pytest.raises(PolicyError):
        parse('<policies><inbound><set-variable name="a" value="@("b")" /></inbound></policies>', "xml")


LITERALS = st.text(alphabet="".join(set(string.printable) - set('\\"\r\x0b\x0c')), max_size=20)


@given(LITERALS, LITERALS)
def test_an_expression_stands_as_it_was_written(one: str, other: str) -> None:
    text = f'@("{one}" + (@"{other}"))'
    root = parse(f'<policies>\n<a b="{text}"/> <c>{text}</c>\n<d/></policies>')
    attribute, element, last = root.children
    # XML makes one space of each line break in an attribute.
    assert attribute.attributes["b"].split() == text.split() or "&" in text
    assert element.text == text or "&" in text
    assert last.line == 3 + 2 * text.count("\n")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except PolicyError:
        return

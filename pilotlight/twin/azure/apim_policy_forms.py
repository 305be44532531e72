"""The policies that the twin serves: their attributes, elements, sections and scopes, and the tiers that lack them.

From API Management's policy reference, one page for each policy (2024-03 to 2024-07). An attribute's name ends with what it is: `!`
required, `@` maybe an expression, then its type. Anything else in a document is refused, since a policy that did nothing here would do
something on Azure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECTIONS = ("inbound", "backend", "outbound", "on-error")
SCOPES = ("global", "product", "api", "operation")
_EVERYWHERE = frozenset(SECTIONS)
_INBOUND = frozenset({"inbound"})
_CONSUMPTION = "Consumption"
CLASSIC = frozenset({"Developer", "Basic", "Standard", "Premium"})


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """`kind` is `text`, `int`, `bool` or the choices, with bars between them."""

    required: bool
    expression: bool
    kind: str


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an element may hold.

    children  names in the order in which they must stand -> form, at least and at most how many (0: any number)
    text      whether it holds text, which may then be an expression
    policies  whether it holds policies
    """

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    children: Mapping[str, tuple[Form, int, int]] = field(default_factory=dict)
    text: bool = False
    policies: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy(Form):
    """`lacking` tells whether a tier has no such policy; `once` that it stands only once in a document."""

    sections: frozenset[str] = _INBOUND
    scopes: frozenset[str] = frozenset(SCOPES)
    lacking: frozenset[str] = frozenset()
    once: bool = False


def _attributes(*told: str) -> dict[str, Attribute]:
    found = {}
    for one in told:
        name, _, kind = one.partition(":")
        bare = name.rstrip("!@")
        found[bare] = Attribute(required="!" in name, expression="@" in name, kind=kind or "text")
    return found


def _list(name: str, *told: str, least: int = 1) -> Form:
    return Form(attributes=_attributes(*told), children={name: (_TEXT, least, 0)})


_TEXT = Form(text=True)
_VALUES: Mapping[str, tuple[Form, int, int]] = {"value": (_TEXT, 0, 0)}
_CLAIM = Form(attributes=_attributes("name!@", "match@:all|any", "separator@"), children=_VALUES)
_LIMITED = ("remaining-calls-header-name", "remaining-calls-variable-name", "total-calls-header-name")
_LIMIT = ("retry-after-header-name", "retry-after-variable-name", *_LIMITED)
_SET = Form(attributes=_attributes("name!@", "exists-action@:override|skip|append|delete"), children=_VALUES)
_STATUS = Form(attributes=_attributes("code!@:int", "reason@"))
_BODY = Form(text=True)
# API Management's own names for the tiers that have no such policy: its page "policy reference", columns of the gateways.
_V2 = frozenset({"BasicV2", "StandardV2", "PremiumV2"})

POLICIES: Mapping[str, Policy] = {
    "check-header": Policy(
        attributes=_attributes("name!@", "failed-check-httpcode!@:int", "failed-check-error-message!@", "ignore-case!@:bool"),
        children=_VALUES,
    ),
    "validate-jwt": Policy(
        attributes=_attributes(
            *("header-name@", "query-parameter-name@", "token-value@", "failed-validation-httpcode@:int"),
            *("failed-validation-error-message@", "require-expiration-time@:bool", "require-scheme@", "require-signed-tokens@:bool"),
            *("clock-skew@:int", "output-token-variable-name"),
        ),
        children={
            "openid-config": (Form(attributes=_attributes("url!@")), 0, 0),
            "audiences": (_list("audience"), 0, 1),
            "issuers": (_list("issuer"), 0, 1),
            "required-claims": (Form(children={"claim": (_CLAIM, 1, 0)}), 0, 1),
        },
    ),
    "rate-limit": Policy(
        attributes=_attributes("calls!:int", "renewal-period!:int", *_LIMIT),
        scopes=frozenset({"product", "api", "operation"}),
        once=True,
    ),
    "quota": Policy(attributes=_attributes("calls!:int", "renewal-period!:int"), scopes=frozenset({"product"}), once=True),
    "rate-limit-by-key": Policy(
        attributes=_attributes("calls!@:int", "renewal-period!@:int", "counter-key!@", *_LIMIT),
        lacking=frozenset({_CONSUMPTION}),
    ),
    "quota-by-key": Policy(
        attributes=_attributes("calls!@:int", "renewal-period!@:int", "counter-key!@"),
        lacking=frozenset({_CONSUMPTION}) | _V2,
    ),
    "cors": Policy(
        attributes=_attributes("allow-credentials@:bool", "terminate-unmatched-request@:bool"),
        children={
            "allowed-origins": (_list("origin"), 1, 1),
            "allowed-methods": (_list("method", "preflight-result-max-age@:int"), 0, 1),
            "allowed-headers": (_list("header"), 1, 1),
            "expose-headers": (_list("header"), 0, 1),
        },
        once=True,
    ),
    "authentication-managed-identity": Policy(
        attributes=_attributes("resource!@", "client-id", "output-token-variable-name", "ignore-error:bool"),
    ),
    "set-backend-service": Policy(attributes=_attributes("base-url@", "backend-id@"), sections=frozenset({"inbound", "backend"})),
    "rewrite-uri": Policy(attributes=_attributes("template!@", "copy-unmatched-params@:bool")),
    "set-query-parameter": Policy(attributes=_SET.attributes, children=_VALUES, sections=frozenset({"inbound", "backend"})),
    "set-header": Policy(attributes=_SET.attributes, children=_VALUES, sections=_EVERYWHERE),
    "set-variable": Policy(attributes=_attributes("name!", "value!@"), sections=_EVERYWHERE),
    "set-status": Policy(attributes=_STATUS.attributes, sections=_EVERYWHERE),
    "set-body": Policy(text=True, sections=_EVERYWHERE),
    "return-response": Policy(
        children={"set-status": (_STATUS, 0, 1), "set-header": (_SET, 0, 0), "set-body": (_BODY, 0, 1)}, sections=_EVERYWHERE
    ),
    "forward-request": Policy(
        attributes=_attributes(
            *("http-version:1|2or1", "timeout@:int", "timeout-ms@:int", "follow-redirects@:bool", "buffer-request-body:bool"),
            *("buffer-response:bool", "fail-on-error-status-code:bool"),
        ),
        sections=frozenset({"backend"}),
        once=True,
    ),
    "choose": Policy(
        children={
            "when": (Form(attributes=_attributes("condition!@:bool"), policies=True), 1, 0),
            "otherwise": (Form(policies=True), 0, 1),
        },
        sections=_EVERYWHERE,
    ),
}
BASE = Policy(sections=_EVERYWHERE, once=False)
# What else Azure has: refused as what the twin does not serve, not as what nobody knows.
UNSERVED = frozenset(
    {
        *("authentication-basic", "authentication-certificate", "azure-openai-emit-token-metric", "azure-openai-semantic-cache-lookup"),
        *("azure-openai-semantic-cache-store", "azure-openai-token-limit", "cache-lookup", "cache-lookup-value", "cache-remove-value"),
        *("cache-store", "cache-store-value", "cross-domain", "emit-metric", "find-and-replace", "get-authorization-context"),
        *("include-fragment", "invoke-dapr-binding", "ip-filter", "json-to-xml", "jsonp", "limit-concurrency", "llm-content-safety"),
        *("llm-emit-token-metric", "llm-semantic-cache-lookup", "llm-semantic-cache-store", "llm-token-limit", "log-to-eventhub"),
        *("mock-response", "proxy", "publish-to-dapr", "redirect-content-urls", "retry", "send-one-way-request", "send-request"),
        *("set-method", "trace", "validate-azure-ad-token", "validate-client-certificate", "validate-content", "validate-graphql-request"),
        *("validate-headers", "validate-odata-request", "validate-parameters", "validate-status-code", "wait", "xml-to-json"),
        "xsl-transform",
    }
)
# The same of parts of policies that the twin serves.
UNSERVED_PARTS: Mapping[str, frozenset[str]] = {
    "validate-jwt": frozenset({"issuer-signing-keys", "decryption-keys"}),
    "rate-limit": frozenset({"api"}),
    "quota": frozenset({"api", "bandwidth"}),
    "rate-limit-by-key": frozenset({"increment-condition", "increment-count"}),
    "quota-by-key": frozenset({"bandwidth", "increment-condition", "increment-count", "first-period-start"}),
    "set-backend-service": frozenset(
        {"sf-resolve-condition", "sf-service-instance-name", "sf-partition-key", "sf-listener-name", "sf-replica-type"}
    ),
    "set-body": frozenset({"template", "xsi-nil", "parse-date"}),
    "return-response": frozenset({"response-variable-name"}),
    "forward-request": frozenset({"continue-timeout"}),
}

"""What API Management is told: who is let in, how often, and on to whom."""

import pytest
from pulumi import RunError

from components.args import GatewayArgs
from components.azure.gateway_policy import api_policy
from components.timeouts import chain
from handlers.functions.azure import callers
from tests.planned.azure.conftest import API, APP, GUARD, IDENTITY, JWT, KEY, LIMITS, POLICY, PRODUCT, SERVICE, plan_of, policy, variables

SCOPED = {**JWT, "auth.scopes": ["predict", "admin"]}


def test_the_service_is_of_the_tier_that_costs_nothing_at_rest_and_names_its_publisher() -> None:
    service = plan_of({"gateway": {"publisherEmail": "me@example.com", "publisherName": "Me"}}).one(SERVICE).inputs
    assert service["sku"] == {"name": "Consumption", "capacity": 0}
    assert (service["publisherEmail"], service["publisherName"]) == ("me@example.com", "Me")
    # A deleted one keeps its name for days.
    assert "serviceName" not in service


@pytest.mark.parametrize(
    ("tier", "sku", "name"),
    [
        ("developer", "Developer", "api-gateway-service-classic"),
        ("basic", "Basic", "api-gateway-service-classic"),
        ("standard", "Standard", "api-gateway-service-classic"),
        ("basic-v2", "BasicV2", "api-gateway-service-v2"),
        ("standard-v2", "StandardV2", "api-gateway-service-v2"),
    ],
)
def test_another_tier_has_one_unit_waits_longer_and_is_another_service_than_one_of_another_family(tier: str, sku: str, name: str) -> None:
    plan = plan_of({"gateway.tier": tier})
    service = plan.one(SERVICE)
    assert (service.name, service.inputs["sku"]) == (name, {"name": sku, "capacity": 1})
    assert (service.inputs["developerPortalStatus"], service.inputs["legacyPortalStatus"]) == ("Disabled", "Disabled")
    # False, which the SDK sends of itself, is refused by the classic tiers.
    assert service.inputs["enableClientCertificate"] is name.endswith("classic")
    [forward] = policy(plan.one(POLICY)).findall("backend/forward-request")
    assert forward.get("timeout") == "240"
    assert variables(plan.one(APP, "function-app"))["REQUEST_TIMEOUT_S"] == "239"


@pytest.mark.parametrize(
    ("tier", "counted"), [("standard", {"rate-limit-by-key": "200", "quota-by-key": "9"}), ("basic-v2", {"rate-limit-by-key": "200"})]
)
def test_callers_with_tokens_are_counted_after_their_token_is_checked(tier: str, counted: dict[str, str]) -> None:
    quota = {"auth.dailyQuota": 9} if "quota-by-key" in counted else {}
    inbound = policy(plan_of({**JWT, **quota, "gateway.tier": tier}).one(POLICY)).findall("inbound/*")
    by_key = {each.tag: each.attrib for each in inbound if each.tag.endswith("-by-key")}
    assert {tag: each["calls"] for tag, each in by_key.items()} == counted
    tags = [each.tag for each in inbound]
    assert all(tags.index(tag) > tags.index("validate-jwt") for tag in counted)
    assert all("Issuer" in each["counter-key"] and "sub" in each["counter-key"] for each in by_key.values())


def test_requests_go_to_the_function_with_a_token_that_its_guard_takes() -> None:
    plan = plan_of()
    document, guard, identity = policy(plan.one(POLICY)), plan.one(GUARD).inputs, plan.one(IDENTITY, "gateway-identity")
    host = plan.one(APP, "function-app").outputs["configuration"]["ingress"]["fqdn"]
    [to], [token] = document.findall("inbound/set-backend-service"), document.findall("inbound/authentication-managed-identity")
    assert to.attrib == {"base-url": f"https://{host}"}
    assert token.attrib == {"resource": "https://management.azure.com/", "client-id": identity.outputs["clientId"]}
    directory = guard["identityProviders"]["azureActiveDirectory"]
    assert directory["validation"] == {
        # Entra writes it in two ways.
        "allowedAudiences": [token.attrib["resource"], token.attrib["resource"].rstrip("/")],
        # Both of one identity: a token must be of that, however the guard reads the two together.
        "defaultAuthorizationPolicy": {
            "allowedPrincipals": {"identities": [identity.outputs["principalId"]]},
            "allowedApplications": [identity.outputs["clientId"]],
        },
    }
    assert directory["registration"]["openIdIssuer"] == "https://sts.windows.net/00000000-0000-0000-0000-00000000000a/"
    assert list(plan.one(SERVICE).inputs["identity"]["userAssignedIdentities"]) == [identity.outputs["id"]]


def test_the_guard_refuses_whoever_shows_nothing_and_excepts_no_path() -> None:
    guard = plan_of().one(GUARD).inputs
    assert (guard["authConfigName"], guard["platform"], guard["httpSettings"]) == ("current", {"enabled": True}, {"requireHttps": True})
    assert guard["globalValidation"] == {"unauthenticatedClientAction": "Return401"}
    assert set(guard["identityProviders"]) == {"azureActiveDirectory"}


def test_keys_are_asked_for_in_the_header_and_not_handed_on() -> None:
    plan = plan_of()
    api = plan.one(API).inputs
    assert (api["subscriptionRequired"], api["protocols"], api["path"]) == (True, ["https"], "")
    assert api["subscriptionKeyParameterNames"]["header"] == "x-api-key"
    inbound = policy(plan.one(POLICY)).findall("inbound/*")
    dropped = {each.tag: each.get("name") for each in inbound if each.get("exists-action") == "delete"}
    # API Management takes a key from the query as well, and that can't be turned off.
    assert dropped == {"set-header": "x-api-key", "set-query-parameter": "x-api-key"}
    assert plan.one(KEY).inputs["scope"].endswith("/products/callers")
    # API Management refuses to delete a product that has subscriptions, and gives each one of its own.
    assert plan.one(PRODUCT).retained


@pytest.mark.parametrize("changes", [{}, JWT])
def test_another_family_of_tiers_has_all_that_is_in_a_service_beside_the_old_one(changes: dict[str, str]) -> None:
    def inside(tier: str) -> set[str]:
        return {each.urn for each in plan_of({**changes, "gateway.tier": tier}).resources if "serviceName" in each.inputs}

    assert inside("consumption").isdisjoint(inside("basic-v2"))
    assert inside("basic") == inside("standard")


@pytest.mark.parametrize(("rate", "calls"), [(20, "200"), (2.5, "25"), (1, "10")])
def test_calls_of_a_key_are_counted_by_ten_seconds_and_by_the_day_in_its_product(rate: float, calls: str) -> None:
    limits = policy(plan_of({"auth.requestsPerSecond": rate, "auth.dailyQuota": 9}).one(LIMITS)).findall("inbound/*")
    assert {each.tag: each.attrib for each in limits} == {
        "base": {},
        "rate-limit": {"calls": calls, "renewal-period": "10"},
        "quota": {"calls": "9", "renewal-period": "86400"},
    }


def test_without_a_quota_there_is_none() -> None:
    assert policy(plan_of({"auth.dailyQuota": None}).one(LIMITS)).findall(".//quota") == []


def test_tokens_are_checked_against_issuer_and_audience_and_replaced() -> None:
    plan = plan_of(JWT)
    document = policy(plan.one(POLICY))
    order = [each.tag for each in document.findall("inbound/*")]
    assert order.index("validate-jwt") < order.index("authentication-managed-identity")
    [valid] = document.findall("inbound/validate-jwt")
    assert valid.attrib == {"header-name": "Authorization", "failed-validation-httpcode": "401", "require-scheme": "Bearer"}
    assert [each.get("url") for each in valid.iter("openid-config")] == ["https://issuer.example/.well-known/openid-configuration"]
    assert [each.text for each in valid.iter("audience")] == ["models", "others"]
    assert plan.one(API).inputs["subscriptionRequired"] is False
    assert (plan.all(KEY), plan.all(LIMITS)) == ([], [])


def test_one_of_the_scopes_is_asked_for_wherever_the_issuer_tells_them() -> None:
    [choose] = policy(plan_of(SCOPED).one(POLICY)).findall("inbound/choose")
    [when], [otherwise] = choose.findall("when"), choose.findall("otherwise")
    assert '.Claims.ContainsKey("scp")' in when.get("condition", "")
    for part, claim in ((when, "scp"), (otherwise, "scope")):
        [valid] = part.findall("validate-jwt")
        [asked] = valid.findall("required-claims/claim")
        assert valid.get("failed-validation-httpcode") == "403"
        assert asked.attrib == {"name": claim, "match": "any", "separator": " "}
        assert [each.text for each in asked.findall("value")] == ["predict", "admin"]


def test_browsers_are_let_in_only_by_setting() -> None:
    assert policy(plan_of(JWT).one(POLICY)).findall(".//cors") == []
    document = policy(plan_of({**JWT, "cors": {"allowOrigins": ["https://app.example"]}}).one(POLICY))
    [cors] = document.findall("inbound/cors")
    assert [each.text for each in cors.iter("origin")] == ["https://app.example"]
    assert [each.text for each in cors.iter("method")] == ["POST"]
    # Before anything that refuses: a preflight shows no token.
    assert [each.tag for each in document.findall("inbound/*")].index("cors") == 1


@pytest.mark.parametrize("changes", [{}, JWT], ids=["api-key", "jwt"])
def test_the_function_is_told_by_the_gateway_alone_since_when_a_caller_waits(changes: dict[str, object]) -> None:
    [told] = [
        each for each in policy(plan_of(changes).one(POLICY)).findall("inbound/set-header") if each.get("name") == callers.ARRIVED_HEADER
    ]
    assert (told.get("exists-action"), told.findtext("value")) == ("override", '@(context.Timestamp.ToString("o"))')


def test_every_answer_has_the_requests_id() -> None:
    document = policy(plan_of().one(POLICY))
    for section in ("inbound", "outbound", "on-error"):
        assert "x-request-id" in {each.get("name") for each in document.findall(f"{section}/set-header")}


def args(audience: tuple[str, ...]) -> GatewayArgs:
    plan = chain(cloud="azure", auth_mode="jwt", separate_function=True, predict_s=10)
    return GatewayArgs(
        auth_mode="jwt",
        requests_per_second=1,
        burst=1,
        issuer="https://i.example/?a=1&b=2",
        audience=audience,
        scopes=("<b>",),
        timeouts=plan,
    )


def test_texts_of_settings_are_no_markup() -> None:
    written = api_policy(args(('a"&<x>',)), function="https://f.example", audience="a", client_id="c")
    assert '<audience>a"&amp;&lt;x&gt;</audience>' in written
    assert "a=1&amp;b=2" in written
    assert "<value>&lt;b&gt;</value>" in written


def test_a_policy_that_is_too_long_is_refused_with_the_limit() -> None:
    with pytest.raises(RunError, match=r"16384 are allowed .*policy document.*: use fewer origins"):
        api_policy(args(tuple(f"{'a' * 400}{number}" for number in range(30))), function="https://f.example", audience="a", client_id="c")

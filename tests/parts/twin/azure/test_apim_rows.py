"""API Management's rows: what they refuse, what they fill in, what becomes of a deleted service."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure import types
from pilotlight.twin.azure.apim_deleted import KEPT_S
from pilotlight.twin.azure.rows_apim import INVOKES
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account

SERVICE_ID = f"{GROUP_ID}/providers/Microsoft.ApiManagement/service/tried-gateway"
IN_SERVICE = {**IN_GROUP, "serviceName": "tried-gateway"}
FORWARD = '<policies><inbound><base /></inbound><backend><forward-request timeout="20" /></backend><outbound /><on-error /></policies>'


def inputs(**more: Any) -> dict[str, Any]:
    sku = {"name": "Consumption", "capacity": 0}
    return {**IN_SERVICE, "publisherEmail": "api@example.com", "publisherName": "Tried", "sku": sku, **more}


@pytest.fixture
def service(account: Account) -> Resource:
    account.group()
    return account.make(types.API_MANAGEMENT, "gateway", inputs(identity={"type": "SystemAssigned"}))


@pytest.fixture
def api(account: Account, service: Resource) -> Resource:
    return account.make(types.API, "api", {**IN_SERVICE, "apiId": "api", "path": "", "displayName": "Api", "protocols": ["https"]})


def policy(text: str) -> dict[str, Any]:
    return {**IN_SERVICE, "apiId": "api", "policyId": "policy", "format": "rawxml", "value": text}


def test_what_the_sdk_sends_by_itself_asks_for_nothing(account: Account) -> None:
    account.group()
    assert account.make(types.API_MANAGEMENT, "gateway", inputs(natGatewayState="Disabled", virtualNetworkType="None")).id == SERVICE_ID


def test_what_a_service_has(service: Resource) -> None:
    assert service.id == SERVICE_ID
    assert service["gatewayUrl"] == "https://tried-gateway.azure-api.net"
    assert service["identity"]["principalId"]
    assert service["sku"] == {"name": "Consumption", "capacity": 0}
    assert service.get("developerPortalUrl") is None, "the tier Consumption has no portal"


def test_a_service_of_another_tier_has_portals(account: Account) -> None:
    account.group()
    made = account.make(types.API_MANAGEMENT, "big", inputs(sku={"name": "Developer", "capacity": 1}))
    assert made["developerPortalUrl"] == "https://tried-gateway.developer.azure-api.net"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sku": {"name": "Consumption", "capacity": 1}}, "sku.capacity: 1: For Consumption SKU Type capacity must be specified as 0."),
        ({"sku": {"name": "Basic", "capacity": 0}}, "sku.capacity: 0 units of the tier Basic: use 1 or more."),
        (
            {"sku": {"name": "Developer", "capacity": 1}, "enableClientCertificate": False},
            "enableClientCertificate: false is not supported for the SKU Developer: set it to true.",
        ),
        ({"publisherEmail": "nobody"}, "publisherEmail: 'nobody' is no e-mail address"),
        ({"publisherName": "x" * 101}, "publisherName: has 101 characters: use 1 to 100."),
        ({"publisherName": None}, "publisherName: is missing"),
        ({"serviceName": "1one"}, "serviceName: '1one' is not allowed"),
        ({"zones": ["1"]}, "zones: is not for the tier Consumption"),
        ({"virtualNetworkType": "External"}, "virtualNetworkType: the tier Consumption joins no network"),
        ({"natGatewayState": "Enabled"}, "natGatewayState: the tier Consumption joins no network"),
    ],
)
def test_services_that_are_refused(account: Account, change: dict[str, Any], message: str) -> None:
    account.group()
    given = {name: value for name, value in inputs(**change).items() if value is not None}
    _, problems = account.check(types.API_MANAGEMENT, "gateway", given)
    assert any(message in one for one in problems), problems


def test_a_deleted_service_keeps_its_name_for_two_days(account: Account, service: Resource) -> None:
    account.delete(service)
    text = account.refused(types.API_MANAGEMENT, inputs())
    assert text.startswith("ServiceAlreadyExistsInSoftDeletedState: Api service tried-gateway was soft-deleted.")
    assert "az apim deletedservice purge --service-name tried-gateway --location westeurope" in text
    account.make(types.API_MANAGEMENT, "other", inputs(serviceName="another-gateway"))
    account.twin.clock.advance(KEPT_S)
    account.make(types.API_MANAGEMENT, "again", inputs())


def test_a_deleted_service_is_brought_back_as_it_was(account: Account, service: Resource) -> None:
    account.delete(service)
    back = account.make(types.API_MANAGEMENT, "gateway", inputs(restore=True, publisherName="Another"))
    assert back["publisherName"] == "Tried"
    account.change(back, {"tags": {"a": "b"}})
    account.delete(back)
    assert "soft-deleted" in account.refused(types.API_MANAGEMENT, inputs())


def test_nothing_is_brought_back_that_is_not_there(account: Account) -> None:
    account.group()
    assert "no soft-deleted Api service" in account.refused(types.API_MANAGEMENT, inputs(restore=True))


def test_a_group_takes_its_services_with_it(account: Account, api: Resource) -> None:
    group = account.world.get(types.GROUP, GROUP_ID)
    assert group is not None
    account.delete(group)
    assert account.world.find(types.API) == []
    account.group()
    assert "soft-deleted" in account.refused(types.API_MANAGEMENT, inputs())


def test_an_api_where_the_program_says_little(account: Account, service: Resource) -> None:
    made = account.make(types.API, "small", {**IN_SERVICE, "path": "small"})
    assert (made["name"], made["displayName"], made["subscriptionRequired"], made["protocols"]) == ("small", "small", True, ["https"])
    assert made["subscriptionKeyParameterNames"] == {"header": "Ocp-Apim-Subscription-Key", "query": "subscription-key"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "/a"}, "path: '/a' is not allowed"),
        ({"serviceUrl": "example.com"}, "serviceUrl: 'example.com' is no absolute URL"),
        ({"format": "openapi", "value": "x"}, "format: is not served by the local twin"),
        ({"protocols": ["wss"]}, "protocols: 'wss' is not served"),
    ],
)
def test_apis_that_are_refused(account: Account, service: Resource, change: dict[str, Any], message: str) -> None:
    _, problems = account.check(types.API, "other", {**IN_SERVICE, "path": "a", **change})
    assert any(message in one for one in problems), problems


def test_no_two_apis_have_one_path(account: Account, api: Resource) -> None:
    assert "Cannot create API 'other' with the same Path ''" in account.refused(types.API, {**IN_SERVICE, "apiId": "other", "path": ""})


def operation(template: str, *parameters: str, method: str = "GET") -> dict[str, Any]:
    named = [{"name": name, "type": "string", "required": True} for name in parameters]
    return {**IN_SERVICE, "apiId": "api", "displayName": "One", "method": method, "urlTemplate": template, "templateParameters": named}


def test_operations_declare_the_parameters_of_their_templates(account: Account, api: Resource) -> None:
    account.make(types.API_OPERATION, "result", operation("/results/{id}", "id"))
    for given, message in (
        (operation("/results/{id}"), "All template parameters used in the UriTemplate must be defined in the Operation"),
        (operation("/results", "id"), "templateParameters: id: is not in the urlTemplate '/results'."),
        (operation("results"), "urlTemplate: 'results' is not allowed: begin it with a slash"),
        (operation("/a", method="get"), "method: 'get' is no HTTP method"),
    ):
        _, problems = account.check(types.API_OPERATION, "other", given)
        assert any(message in one for one in problems), (message, problems)
    assert "same method and URL template" in account.refused(types.API_OPERATION, operation("/results/{id}", "id"))


def test_policies_are_judged_when_they_are_stored(account: Account, api: Resource) -> None:
    stored = account.make(types.API_POLICY, "policy", policy(FORWARD))
    assert stored.id == f"{api.id}/policies/policy"
    quota = FORWARD.replace("<base />", '<base /><quota calls="1" renewal-period="86400" />')
    with pytest.raises(Refusal) as refused:
        account.change(stored, {"value": quota})
    assert str(refused.value) == (
        "ValidationError: One or more fields contain incorrect values: Error in element 'quota' on line 1, column 29: "
        "Policy is not allowed in the specified scope"
    )
    kept = account.world.get(types.API_POLICY, stored.id)
    assert kept is not None
    assert kept["value"] == FORWARD


def test_what_the_twin_does_not_serve_is_no_mistake_of_the_program(account: Account, api: Resource) -> None:
    unserved = FORWARD.replace("<base />", '<ip-filter action="allow" />')
    assert account.refused(types.API_POLICY, policy(unserved)).startswith("NotImplemented: ")
    both = FORWARD.replace("<base />", '<ip-filter action="allow" /><throttle />')
    assert account.refused(types.API_POLICY, policy(both)).startswith("ValidationError: ")


def test_a_policy_has_its_size_in_consumption(account: Account, api: Resource) -> None:
    large = FORWARD.replace("<base />", f"<base /><!-- {'x' * 16_384} -->")
    assert "Policy size exceeds allowed limit of 16 KB" in account.refused(types.API_POLICY, policy(large))


def test_policies_have_one_name(account: Account, api: Resource) -> None:
    _, problems = account.check(types.API_POLICY, "other", {**policy(FORWARD), "policyId": "mine"})
    assert any("policyId: 'mine' is not allowed: use 'policy'" in one for one in problems), problems


def test_quotas_are_stored_with_products(account: Account, api: Resource) -> None:
    account.make(types.API_PRODUCT, "callers", {**IN_SERVICE, "productId": "callers", "displayName": "Callers"})
    quota = FORWARD.replace("<base />", '<base /><quota calls="1" renewal-period="86400" />')
    given = {**IN_SERVICE, "productId": "callers", "policyId": "policy", "format": "rawxml", "value": quota}
    assert account.make(types.API_PRODUCT_POLICY, "policy", given).id.endswith("/products/callers/policies/policy")
    link = account.make(types.API_PRODUCT_API, "link", {**IN_SERVICE, "productId": "callers", "apiId": "api"})
    assert link.id.endswith("/products/callers/apis/api")
    assert "is no API of tried-gateway" in account.refused(types.API_PRODUCT_API, {**IN_SERVICE, "productId": "callers", "apiId": "none"})


def test_an_open_product_has_no_approval(account: Account, service: Resource) -> None:
    given = {**IN_SERVICE, "displayName": "Open", "subscriptionRequired": False, "approvalRequired": True}
    _, problems = account.check(types.API_PRODUCT, "open", given)
    assert any("approvalRequired: can be given only where subscriptionRequired is true." in one for one in problems), problems


def secrets_of(account: Account, sid: str) -> dict[str, Any]:
    (listed,) = (one for one in INVOKES if one.token == "azure-native:apimanagement:listSubscriptionSecrets")
    return listed.answer(account.twin, {**account.settings.context, **IN_SERVICE, "sid": sid})


def test_keys_of_a_subscription(account: Account, api: Resource) -> None:
    made = account.make(types.API_SUBSCRIPTION, "one", {**IN_SERVICE, "sid": "one", "displayName": "One", "scope": api.id})
    assert made["state"] == "submitted", "without a state its keys open nothing yet"
    assert made.get("primaryKey") is None
    keys = secrets_of(account, "one")
    assert set(keys) == {"primaryKey", "secondaryKey"}
    assert len(set(keys.values())) == 2
    active = account.change(made, {"state": "active"})
    assert secrets_of(account, "one") == keys, "an update changes no key"
    account.change(active, {"primaryKey": "mine"})
    assert secrets_of(account, "one") == {**keys, "primaryKey": "mine"}
    account.delete(active)
    with pytest.raises(Refusal, match="Subscription not found"):
        secrets_of(account, "one")


def test_a_subscription_is_for_something_that_is_there(account: Account, api: Resource) -> None:
    given = {**IN_SERVICE, "displayName": "One", "state": "active"}
    for scope in ("/apis", "/apis/api", api.id):
        account.make(types.API_SUBSCRIPTION, f"sub-{len(scope)}", {**given, "scope": scope})
    for scope in ("/products/none", "/apis/none", f"{api.id}/operations", "none"):
        assert "Subscription scope should be one of" in account.refused(types.API_SUBSCRIPTION, {**given, "scope": scope})


def test_what_policies_name_must_be_there_and_stays(account: Account, api: Resource) -> None:
    text = FORWARD.replace(
        "<base />", '<set-backend-service backend-id="fn" /><set-header name="a"><value>{{the-key}}</value></set-header>'
    )
    assert "Cannot find a property 'the-key'" in account.refused(types.API_POLICY, policy(text))
    value = account.make(types.API_NAMED_VALUE, "v", {**IN_SERVICE, "displayName": "the-key", "value": "x"})
    assert "Backend with id 'fn' could not be found" in account.refused(types.API_POLICY, policy(text))
    backend = account.make(types.API_BACKEND, "fn", {**IN_SERVICE, "url": "https://fn.example.com", "protocol": "http"})
    stored = account.make(types.API_POLICY, "policy", policy(text))
    for one in (value, backend):
        with pytest.raises(Refusal, match="is in use"):
            account.delete(one)
    account.delete(stored)
    account.delete(value)
    account.delete(backend)


def test_named_values_and_backends_that_are_refused(account: Account, service: Resource) -> None:
    for token, given, message in (
        (types.API_NAMED_VALUE, {"displayName": "a b", "value": "x"}, "displayName: 'a b' is not allowed"),
        (types.API_NAMED_VALUE, {"displayName": "a", "value": " "}, "value: is missing or empty"),
        (types.API_BACKEND, {"protocol": "http"}, "url: is missing"),
        (types.API_BACKEND, {"protocol": "http", "url": "fn"}, "url: 'fn' is no absolute URL"),
    ):
        _, problems = account.check(token, "other", {**IN_SERVICE, **given})
        assert any(message in one for one in problems), (message, problems)
    account.make(types.API_NAMED_VALUE, "one", {**IN_SERVICE, "displayName": "same", "value": "x"})
    assert "exists already" in account.refused(types.API_NAMED_VALUE, {**IN_SERVICE, "displayName": "same", "value": "y"})


def test_diagnostics_name_a_logger(account: Account, api: Resource) -> None:
    given = {**IN_SERVICE, "apiId": "api", "diagnosticId": "applicationinsights"}
    assert "Logger not found" in account.refused(types.API_DIAGNOSTIC, {**given, "loggerId": f"{SERVICE_ID}/loggers/none"})
    credentials = {"instrumentationKey": "k"}
    logger = account.make(types.API_LOGGER, "log", {**IN_SERVICE, "loggerType": "applicationInsights", "credentials": credentials})
    account.make(types.API_DIAGNOSTIC, "d", {**given, "loggerId": logger.id})


def test_identities_are_a_map_here(account: Account) -> None:
    account.group()
    who = account.make(types.IDENTITY, "who", {**IN_GROUP, "resourceName": "who"})
    given = {"type": "UserAssigned", "userAssignedIdentities": {who.id: {}}}
    made = account.make(types.API_MANAGEMENT, "gateway", inputs(identity=given))
    assert made["identity"]["userAssignedIdentities"] == {who.id: {"clientId": who["clientId"], "principalId": who["principalId"]}}
    live = account.life.read(made.token, made.id, made.urn, made.inputs)
    assert live is not None
    assert live[1]["identity"] == given


def test_nothing_differs_where_nothing_changed(account: Account, api: Resource, service: Resource) -> None:
    for one in (service, api, account.make(types.API_POLICY, "policy", policy(FORWARD))):
        again, problems = account.check(one.token, "x", dict(one.inputs), dict(one.inputs))
        assert problems == []
        given = {key: value for key, value in again.items() if key != "__defaults"}
        assert not account.life.diff(one.token, one.id, one.outputs, one.inputs, given, account.settings).any
        live = account.life.read(one.token, one.id, one.urn, one.inputs)
        assert live is not None
        assert live[1] == dict(one.inputs)

"""Application Insights on the twin: who may tell it something, what becomes of that, and one trace through a gateway and what is behind."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from handlers.functions import spans
from handlers.functions.azure import insights
from handlers.functions.environment import Environment
from pilotlight.twin.azure import types
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.handlers.azure.servers import identity_endpoint
from tests.twin.azure.gateways import CLIENT, Gateway, backend, document
from tests.twin.azure.harness import IN_GROUP, AzureHarness, harness_in

MONITOR, CALLER = "https://monitor.azure.com/", f"{7:032x}"
TEACHER = f"00-{CALLER}-{9:016x}-01"


class Told:
    """A workspace, a component without local authentication, and an identity that may tell it something."""

    def __init__(self, harness: AzureHarness) -> None:
        self.harness = harness
        self.workspace = harness.make(types.WORKSPACE, "logs", **IN_GROUP, workspaceName="logs")
        self.component = self.component_of("component", disableLocalAuth=True)
        self.who = harness.identity("teller")
        harness.grant(self.who, "Monitoring Metrics Publisher", self.component.id)

    def component_of(self, name: str, **given: Any) -> Resource:
        inputs = {**IN_GROUP, "resourceName": name, "kind": "web", "workspaceResourceId": self.workspace.id, **given}
        return self.harness.make(types.COMPONENT, name, **inputs)

    def address(self, component: Resource) -> str:
        known = dict(part.partition("=")[::2] for part in str(component["connectionString"]).split(";"))
        return self.harness.twin.azure.plain(self.harness.twin, f"{known['IngestionEndpoint']}v2.1/track")

    def track(self, *items: dict[str, Any], who: Resource | None = None, packed: bytes = b"", **headers: str) -> httpx.Response:
        """`packed` is what is sent in place of items."""
        shown = {"Authorization": f"Bearer {self.harness.token(who, MONITOR)}"} if who else {}
        return CLIENT.post(self.address(self.component), content=packed or json.dumps(items), headers={**shown, **headers})

    def rows(self, query: str) -> list[list[Any]]:
        headers = {"Authorization": f"Bearer {self.harness.token(None, 'https://api.loganalytics.io')}"}
        url = f"{self.harness.twin.front_url}/_azure/loganalytics/v1/workspaces/{self.workspace['customerId']}/query"
        answer = CLIENT.post(url, json={"query": query}, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[list[Any]] = answer.json()["tables"][0]["rows"]
        return found

    def item(self, name: str, component: Resource | None = None, **base: Any) -> dict[str, Any]:
        data = {"ver": 2, "id": "a", "name": name, "duration": "0.00:00:01.500000", "success": True, "responseCode": "200", **base}
        return {
            "ver": 1,
            "name": "Microsoft.ApplicationInsights.Request",
            "time": datetime.now(UTC).isoformat(),
            "iKey": (component or self.component)["instrumentationKey"],
            "tags": {"ai.operation.id": CALLER, "ai.cloud.role": "mine"},
            "data": {"baseType": "RequestData", "baseData": data},
        }


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHarness]:
    running = harness_in(tmp_path_factory.mktemp("insights"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def told(harness: AzureHarness) -> Told:
    return Told(harness)


def test_who_has_the_role_tells_and_nobody_else(told: Told, harness: AzureHarness) -> None:
    stranger = harness.identity("stranger")
    assert told.track(told.item("nobody's")).status_code == 401
    refused = told.track(told.item("stranger's"), who=stranger)
    assert (refused.status_code, refused.json()["itemsAccepted"]) == (403, 0)
    assert "Microsoft.Insights/Telemetry/Write" in refused.json()["errors"][0]["message"]
    taken = told.track(told.item("teller's"), who=told.who)
    assert (taken.status_code, taken.json()) == (200, {"itemsReceived": 1, "itemsAccepted": 1, "errors": []})
    query = 'AppRequests | where Name contains "\'s" | project Name, OperationId, AppRoleName, DurationMs, Success, ResultCode'
    assert told.rows(query) == [["teller's", CALLER, "mine", 1500.0, True, "200"]]


def test_with_local_authentication_the_key_is_enough(told: Told) -> None:
    local = told.component_of("local")
    assert told.track(told.item("local", local)).status_code == 200
    assert told.rows('AppRequests | where Name == "local" | project _ResourceId') == [[local.id.lower()]]


def test_items_are_taken_one_by_one_and_a_wrong_one_is_named(told: Told) -> None:
    broken = {**told.item("broken"), "data": {"baseType": "PageViewData", "baseData": {"ver": 2}}}
    late = told.item("late", duration="soon")
    strange = {**told.item("strange"), "iKey": "none"}
    answer = told.track(told.item("right"), broken, late, strange, who=told.who)
    assert (answer.status_code, answer.json()["itemsReceived"], answer.json()["itemsAccepted"]) == (206, 4, 1)
    assert [(one["index"], one["statusCode"]) for one in answer.json()["errors"]] == [(1, 400), (2, 400), (3, 400)]
    assert [name for (name,) in told.rows('AppRequests | where Name in ("right", "broken", "late", "strange") | project Name')] == ["right"]


def test_messages_and_metrics_have_tables_of_their_own(told: Told) -> None:
    message = {"baseType": "MessageData", "baseData": {"ver": 2, "message": "said", "severityLevel": "Warning"}}
    value = {"baseType": "MetricData", "baseData": {"ver": 2, "metrics": [{"name": "waits", "value": 6, "count": 3, "max": 4}]}}
    answer = told.track(*({**told.item("any"), "data": data} for data in (message, value)), who=told.who)
    assert answer.status_code == 200, answer.text
    assert told.rows("AppTraces | project Message, SeverityLevel, OperationId") == [["said", 2, CALLER]]
    assert told.rows("AppMetrics | project Name, Sum, Min, Max, ItemCount") == [["waits", 6.0, 2.0, 4.0, 3]]


def test_items_come_in_lines_and_packed(told: Told) -> None:
    lines = "\n".join(json.dumps(told.item(name)) for name in ("packed-1", "packed-2"))
    headers = {"Content-Type": "application/x-json-stream", "Content-Encoding": "gzip"}
    answer = told.track(who=told.who, packed=gzip.compress(lines.encode()), **headers)
    assert (answer.status_code, answer.json()["itemsAccepted"]) == (200, 2)
    assert told.track(who=told.who, packed=b"{").status_code == 400
    assert CLIENT.post(told.address(told.component).replace("v2.1", "v3")).status_code == 404


def test_our_own_client_is_understood(told: Told, harness: AzureHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token of the twin's in place of the identity endpoint's."""
    token = harness.token(told.who, MONITOR)
    connection = (
        f"InstrumentationKey={told.component['instrumentationKey']};IngestionEndpoint={told.address(told.component)[: -len('/v2.1/track')]}"
    )
    with identity_endpoint() as identities:
        identities.text = json.dumps({"access_token": token, "expires_on": str(int(time.time()) + 3600)})
        for name, value in identities.variables.items():
            monkeypatch.setenv(name, value)
        insights.start(Environment({insights.CONNECTION: connection, "CONTAINER_APP_NAME": "ours"}))
        with spans.serving("POST /predict", {"traceparent": TEACHER}) as asked:
            with spans.calling("POST /predict", "model.internal", "mine-1") as call:
                call.answered(200)
            asked.answered(200, "mine-1")
        spans.flush(10)
        spans.collect(None)
    [[request, parent]] = told.rows('AppRequests | where AppRoleName == "ours" | project Id, ParentId')
    assert parent == f"{9:016x}"
    query = 'AppDependencies | where AppRoleName == "ours" | project OperationId, ParentId, Target, tostring(Properties.request_id)'
    assert told.rows(query.replace("tostring(Properties", "id = tostring(Properties")) == [[CALLER, request, "model.internal", "mine-1"]]


def traced_gateway(told: Told, url: str, **diagnostic: Any) -> Gateway:
    gateway = Gateway(told.harness, url, document(), identity=told.who)
    credentials = {"connectionString": told.component["connectionString"], "identityClientId": told.who["clientId"]}
    given = {"loggerType": "applicationInsights", "resourceId": told.component.id, "credentials": credentials}
    logger = gateway._make(types.API_LOGGER, loggerId="applicationinsights", **given)
    wanted = {"httpCorrelationProtocol": "W3C", "sampling": {"samplingType": "fixed", "percentage": 100}, **diagnostic}
    gateway._make(types.API_DIAGNOSTIC, apiId="api", diagnosticId="applicationinsights", loggerId=logger.id, **wanted)
    return gateway


def test_a_gateway_hands_its_trace_on_and_tells_its_part(told: Told) -> None:
    with backend() as url:
        gateway = traced_gateway(told, url)
        key = {"Ocp-Apim-Subscription-Key": gateway.key}
        first = gateway.ask(headers={**key, "traceparent": TEACHER}).json()["headers"]["traceparent"]
        version, trace, call, flags = first.split("-")
        assert (version, trace, flags) == ("00", CALLER, "01")
        [[request, parent, name, code]] = told.rows(
            f'AppRequests | where OperationId == "{CALLER}" and AppRoleName startswith "{gateway.name}"'
            " | project Id, ParentId, Name, ResultCode"
        )
        assert (parent, name, code) == (f"{9:016x}", "api;rev=1 - predict", "200")
        query = f'AppDependencies | where Id == "{call}" | project OperationId, ParentId, Target'
        assert told.rows(query) == [[CALLER, request, url.removeprefix("http://")]]
        # Without a caller's there is a new one.
        other = gateway.ask().json()["headers"]["traceparent"].split("-")
        assert other[1] != CALLER
        assert other[3] == "00"
        # Refused before the backend is asked.
        assert gateway.ask(headers={"traceparent": TEACHER.replace("7-", "8-")}).status_code == 401
        rows = told.rows(f'AppRequests | where OperationId == "{8:032x}" | project ResultCode, Success')
        assert rows == [["401", False]]
        assert told.rows(f'AppDependencies | where OperationId == "{8:032x}"') == []


def test_a_key_in_the_query_is_told_as_the_diagnostic_says(told: Told) -> None:
    masked = {"request": {"dataMasking": {"queryParams": [{"mode": "Hide", "value": "subscription-key"}, {"mode": "Mask", "value": "b"}]}}}
    with backend() as url:
        for diagnostic, query in (({}, "?a=1&b=2&subscription-key={}"), ({"frontend": masked, "backend": masked}, "?a=1&b=%2A%2A%2A%2A")):
            gateway = traced_gateway(told, url, **diagnostic)
            assert gateway.ask(f"/predict?a=1&b=2&subscription-key={gateway.key}", headers={}).status_code == 200
            role, seen = f'AppRoleName startswith "{gateway.name}"', query.format(gateway.key)
            assert told.rows(f"AppRequests | where {role} | project Url") == [[f"https://{gateway.host}/predict{seen}"]]
            assert told.rows(f"AppDependencies | where {role} | project Data") == [[f"{url}/predict{seen}"]]


def test_what_a_diagnostic_passes_over_is_not_told(told: Told) -> None:
    with backend() as url:
        gateway = traced_gateway(told, url, sampling={"samplingType": "fixed", "percentage": 0}, alwaysLog="allErrors")
        assert gateway.ask().status_code == 200
        assert gateway.ask("/predict", status=502).status_code == 502
        role = f'AppRoleName startswith "{gateway.name}"'
        assert told.rows(f"AppRequests | where {role} | project ResultCode") == [["502"]]


def test_a_logger_tells_as_the_service(told: Told, harness: AzureHarness) -> None:
    gateway = Gateway(harness, "https://x.example", document(), identity=told.who)
    credentials = {"connectionString": told.component["connectionString"], "identityClientId": harness.identity("other")["clientId"]}
    with pytest.raises(Refusal, match="is no identity of"):
        gateway._make(types.API_LOGGER, loggerId="x", loggerType="applicationInsights", credentials=credentials)
    inside = {**IN_GROUP, "serviceName": gateway.name, "loggerType": "applicationInsights"}
    assert harness.problems(types.API_LOGGER, **inside, credentials={"name": "x"}) != []
    assert harness.problems(types.API_LOGGER, **{**inside, "loggerType": "azureEventHub"}, credentials=credentials) != []

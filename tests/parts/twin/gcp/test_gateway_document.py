"""A gateway's document, read: operations, who may call them, where they lead, what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from components.args import GatewayArgs
from components.gcp import gateway_plan
from components.limits import API_GATEWAY_DEADLINE_DEFAULT_S, API_GATEWAY_DEADLINE_S
from components.timeouts import chain
from pilotlight.twin.gcp.gateway_document import problems, read
from pilotlight.twin.gcp.gateway_routes import find, normal, target
from pilotlight.twin.rows import Refusal

HOST = "https://one.example.com"
KEY = {"type": "apiKey", "name": "x-api-key", "in": "header"}
TOKEN = {"type": "oauth2", "flow": "implicit", "authorizationUrl": "", "x-google-issuer": "https://issuer.example.com"}


def document(paths: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A document whose one operation is changed by `more`; the rest is the document's."""
    return {
        "swagger": "2.0",
        "info": {"title": "tried", "version": "1"},
        "x-google-backend": {"address": HOST},
        "securityDefinitions": {"key": KEY, "token": TOKEN, "other": {**TOKEN, "x-google-issuer": "https://other.example.com"}},
        "paths": paths or {"/predict": {"post": {"operationId": "predict"}}},
        **more,
    }


def backend(**given: Any) -> Any:
    operation = {"operationId": "predict", "x-google-backend": {"address": HOST, **given}}
    return read(document({"/predict": {"post": operation}})).operations[0].backend


def test_where_an_operation_leads() -> None:
    assert read(document()).operations[0].backend.append_path, "the document's own backend gets the path"
    assert not backend().append_path, "that of one operation does not"
    assert backend(path_translation="APPEND_PATH_TO_ADDRESS").append_path
    assert (backend().audience, backend().authenticated) == (None, True)
    assert backend(jwt_audience="https://aud").audience == "https://aud"
    assert not backend(disable_auth=True).authenticated


def test_how_long_a_backend_may_take() -> None:
    assert backend().deadline_s == API_GATEWAY_DEADLINE_DEFAULT_S
    assert backend(deadline=-1).deadline_s == API_GATEWAY_DEADLINE_DEFAULT_S
    assert backend(deadline=2.5).deadline_s == 2.5
    assert backend(deadline=900).deadline_s == API_GATEWAY_DEADLINE_S.high


PATHS = {
    "/results/{id}": {"get": {"operationId": "result"}},
    "/results/newest": {"get": {"operationId": "newest"}},
    "/files/{path=**}": {"get": {"operationId": "file"}},
    "/": {"get": {"operationId": "root"}},
}


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        ("/results/abc", "result", (("id", "abc"),)),
        ("/results/abc/", "result", (("id", "abc"),)),
        ("//results///abc", "result", (("id", "abc"),)),
        ("/x/../results/a%2Fb", "result", (("id", "a%2Fb"),)),
        ("/results/newest", "newest", ()),
        ("/files/a/b", "file", (("path", "a/b"),)),
        ("/", "root", ()),
    ],
)
def test_paths(path: str, name: str, values: tuple[tuple[str, str], ...]) -> None:
    operation, found = find(read(document(PATHS)), "GET", path)
    assert (operation.name, found) == (name, values)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "The current request is not defined by this API."),
        ("GET", "/results", 404, "not defined"),
        ("GET", "/results/a/b", 404, "not defined"),
        ("GET", "/Results/a", 404, "not defined"),
        ("POST", "/results/a", 405, 'url template "/results/{id}" but its http method is not allowed'),
        ("OPTIONS", "/", 405, "http method is not allowed"),
    ],
)
def test_what_is_not_declared(method: str, path: str, status: int, text: str) -> None:
    with pytest.raises(Refusal) as told:
        find(read(document(PATHS)), method, path)
    assert told.value.status == status
    assert text in told.value.message


def test_the_base_path_is_part_of_every_path() -> None:
    api = read(document(basePath="/v1/"))
    assert find(api, "POST", "/v1/predict")[0].template == ("v1", "predict")
    with pytest.raises(Refusal):
        find(api, "POST", "/predict")


def test_what_the_backend_is_asked_for() -> None:
    whole = read(document(PATHS)).operations[0]
    operation, values = find(read(document(PATHS)), "GET", "/results/abc")
    assert whole.backend.append_path
    assert target(operation, "//results/./abc", "a=1&a=%202", values) == f"{HOST}/results/abc?a=1&a=%202"
    declared = {"operationId": "result", "x-google-backend": {"address": f"{HOST}/at/"}}
    operation, values = find(read(document({"/results/{id}": {"get": declared}})), "GET", "/results/abc")
    assert target(operation, "/results/abc", "", values) == f"{HOST}/at?id=abc"
    assert target(operation, "/results/abc", "a=1", values) == f"{HOST}/at?a=1&id=abc"


def test_dots_do_not_leave_the_path() -> None:
    assert normal("/predict/../../../etc") == "/etc"
    assert normal("") == "/"


def test_who_may_call() -> None:
    def security(*wanted: dict[str, Any]) -> Any:
        return read(document(security=list(wanted))).operations[0]

    assert (security().providers, security().places, security().key_required) == ((), (), False)
    assert security({"key": []}).key_required
    assert not security({"key": []}, {}).key_required
    assert [one.issuer for one in security({"token": []}, {"other": []}).providers] == [
        "https://issuer.example.com",
        "https://other.example.com",
    ]
    both = security({"key": [], "token": []})
    assert (len(both.providers), both.key_required) == (1, True)
    opened = {"/predict": {"post": {"operationId": "predict", "security": []}}}
    assert read(document(opened, security=[{"key": []}])).operations[0].places == ()


METRIC = {"name": "calls", "displayName": "Calls"}
LIMIT = {"name": "a-minute", "metric": "calls", "unit": "1/min/{project}", "values": {"STANDARD": 5}}


def counted(cost: Any = 2, metric: Any = METRIC, limit: Any = LIMIT) -> dict[str, Any]:
    operation = {"operationId": "predict", "x-google-quota": {"metricCosts": {"calls": cost}}}
    management = {"metrics": [metric], "quota": {"limits": [limit]}}
    return document({"/predict": {"post": operation}}, **{"x-google-management": management})


def test_what_calls_cost() -> None:
    api = read(counted())
    assert api.operations[0].costs == {"calls": 2}
    assert [(one.shown, one.name, one.per_minute) for one in api.limits] == [("Calls", "a-minute", 5)]


def operation(**declared: Any) -> dict[str, Any]:
    return document({"/predict": {"post": {"operationId": "predict", **declared}}})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({**document(), "openapi": "3.0.4"}, "OpenAPI 3"),
        (document({"/a_{id}_b": {"get": {}}}), "a parameter is a whole segment"),
        (document({"/{a=**}/b": {"get": {}}}), "the last segment only"),
        (operation(**{"x-google-backend": {"address": "one.example.com"}}), "use an https:// address"),
        (operation(**{"x-google-backend": {"address": HOST, "path_translation": "NONE"}}), "use APPEND_PATH_TO_ADDRESS or"),
        (operation(**{"x-google-backend": {"address": HOST, "deadline": "15s"}}), "use a number of seconds"),
        (operation(security=[{"none": []}]), "'none', which securityDefinitions has not"),
        (operation(security=[{"key": []}, {"token": []}]), "no `or` with one"),
        (operation(security=[{"token": [], "other": []}]), "as alternatives only"),
        (operation(security=[{"token": []}, {}]), "for keys only"),
        (operation(security="key"), "use a list of objects"),
        (operation(**{"x-google-quota": {"metricCosts": {"others": 1}}}), "costs 'others', which is no metric"),
        (counted(cost="much"), "post /predict"),
        (counted(limit={**LIMIT, "unit": "1/s/{project}"}), "the only one"),
        (counted(limit={**LIMIT, "metric": "others"}), "limits 'others'"),
        (counted(limit={**LIMIT, "values": {}}), "without a value"),
        ({**counted(), "x-google-management": "none"}, "not of the form"),
        (operation(security=[{"basic": []}]) | {"securityDefinitions": {"basic": {"type": "basic"}}}, "without x-google-issuer"),
        (operation(security=[{"key": []}]) | {"securityDefinitions": {"key": {"type": "apiKey", "in": "cookie"}}}, "header or query"),
    ],
)
def test_what_is_refused(wrong: dict[str, Any], text: str) -> None:
    found = problems(wrong)
    assert any(text in problem for problem in found), found


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("mode", ["api-key", "jwt"])
def test_what_the_gateway_component_writes(mode: str, later: bool) -> None:
    args = _args(mode, later)
    api = read(gateway_plan.document("tried", HOST, args))
    assert {one.name for one in api.operations} == ({"predict", "result"} if later else {"predict"})
    predict = next(one for one in api.operations if one.name == "predict")
    assert (predict.backend.audience, predict.backend.append_path) == (HOST, True)
    assert predict.backend.deadline_s == args.timeouts.gateway_s
    assert (predict.key_required, len(predict.providers)) == ((True, 0) if mode == "api-key" else (False, 1))


def _args(mode: Any, later: bool) -> GatewayArgs:
    timeouts = chain(cloud="gcp", auth_mode=mode, separate_function=True, predict_s=5)
    issuer = "https://issuer.example.com" if mode == "jwt" else None
    return GatewayArgs(auth_mode=mode, requests_per_second=5, burst=1, issuer=issuer, audience=("predict",), later=later, timeouts=timeouts)

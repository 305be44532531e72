"""Which API and operation a request is for."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure.apim_routes import find, template_parameters
from pilotlight.twin.world import Resource

API_IDS = {"root": "", "models": "models", "deeper": "models/v2"}
APIS = [Resource(token="a", id=f"/apis/{name}", urn="", outputs={"name": name, "path": path}) for name, path in API_IDS.items()]
TEMPLATES = [
    ("root", "POST", "/predict"),
    ("root", "GET", "/results/{id}"),
    ("root", "GET", "/results/latest"),
    ("root", "GET", "/files/{name}.json"),
    ("root", "GET", "/all/*"),
    ("root", "GET", "/search?q={q}"),
    ("models", "POST", "/predict"),
    ("models", "GET", "/"),
    ("deeper", "POST", "/predict"),
    ("root", "GET", "/models-of-all"),
]
OPERATIONS = [
    Resource(
        token="o", id=f"/apis/{api}/operations/{number}", urn="", outputs={"name": str(number), "method": method, "urlTemplate": template}
    )
    for number, (api, method, template) in enumerate(TEMPLATES)
]


@pytest.mark.parametrize(
    ("method", "path", "number", "rest", "parameters"),
    [
        ("POST", "/predict", 0, "/predict", {}),
        ("GET", "/results/a%20b", 1, "/results/a%20b", {"id": "a b"}),
        ("GET", "/results/latest", 2, "/results/latest", {}),
        ("GET", "/files/a.b.json", 3, "/files/a.b.json", {"name": "a.b"}),
        ("GET", "/all/of/it", 4, "/all/of/it", {}),
        ("GET", "/search", 5, "/search", {}),
        ("POST", "/models/predict", 6, "/predict", {}),
        ("GET", "/models", 7, "/", {}),
        ("POST", "/models/v2/predict", 8, "/predict", {}),
        ("GET", "/models-of-all", 9, "/models-of-all", {}),
    ],
)
def test_the_operation_of_a_request(method: str, path: str, number: int, rest: str, parameters: dict[str, str]) -> None:
    found = find(APIS, OPERATIONS, method, path)
    assert found is not None
    assert (found.operation["name"], found.path, found.parameters) == (str(number), rest, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predict"),
        ("POST", "/other"),
        ("POST", "/predict/more"),
        ("GET", "/results"),
        ("GET", "/results/"),
        ("GET", "/results/a/b"),
        ("POST", "/models/v3/predict"),
        ("POST", "/modelsmore/predict"),
    ],
)
def test_requests_of_no_operation(method: str, path: str) -> None:
    assert find(APIS, OPERATIONS, method, path) is None


def test_the_longest_path_that_fits_is_the_apis() -> None:
    assert find(APIS, OPERATIONS, "GET", "/models/v2") is None, "that API has no such operation, and no other is looked at"
    assert find(APIS[1:], OPERATIONS, "POST", "/predict") is None


def test_parameters_of_a_template() -> None:
    assert template_parameters("/a/{b}/{c}.json?d={e}&f={*g}") == ["b", "c", "e", "g"]

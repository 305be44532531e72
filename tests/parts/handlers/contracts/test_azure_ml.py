"""Azure Machine Learning's `/score` as its online endpoints call it."""

import pytest

from tests.parts.handlers.contracts.conftest import problem


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": ["cold", "warm"]},
        {"input_data": ["cold", "warm"]},
        {"input_data": {"columns": ["text"], "index": [0, 1], "data": [["cold"], ["warm"]]}},
        {"input_data": {"data": ["cold", "warm"]}, "params": {}},
    ],
    ids=str,
)
def test_texts_come_in_every_spelling_and_outputs_go_bare(embedder, body):
    answer = embedder.client.post("/score", json=body, headers={"x-ms-client-request-id": "mine-1"})
    assert answer.json() == embedder.predict({"inputs": ["cold", "warm"]}).json()["outputs"]
    assert answer.headers["x-ms-request-id"] == answer.headers["x-request-id"] == "mine-1"


def test_parameters_are_those_of_the_task(labeller):
    body = {"input_data": ["cold"], "params": {"top_k": 1}}
    expected = labeller.predict({"inputs": ["cold"], "parameters": {"top_k": 1}}).json()["outputs"]
    assert labeller.client.post("/score", json=body).json() == expected


def test_the_front_page_is_the_liveness_that_azure_asks(embedder):
    assert embedder.client.get("/").json()["status"] == "ready"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "no 'inputs'"),
        ([], "a list"),
        ({"input_data": "cold"}, "'input_data' is a text"),
        ({"input_data": {"columns": ["a", "b"], "data": [["c", "d"]]}}, "'input_data.columns' has 2"),
        ({"input_data": {"data": [["c", "d"]]}}, "'input_data[0]' is a list"),
        ({"input_data": {"columns": ["a"]}}, "has no 'data'"),
        ({"input_data": {"data": [], "dtype": 1}}, "has dtype"),
        ({"input_data": ["a"], "params": 1}, "'params' is a number"),
        ({"input_data": ["a"], "parameters": {}}, "has parameters"),
        ({"input_data": [1]}, "'input_data[0]' is a number"),
    ],
    ids=str,
)
def test_what_is_not_meant_is_refused_by_name(embedder, body, said):
    answer = embedder.client.post("/score", json=body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["detail"]

"""A model of one's own by the contracts that carry JSON values: Hugging Face's, Azure Machine Learning's and Cog's."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from handlers.engines.loading import Loaded, load
from handlers.engines.manifest import read_manifest
from handlers.server.app import App
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.contracts.conftest import problem
from tests.parts.handlers.processes import running
from tests.parts.handlers.test_own_models import HOUSE, packaged, served

__all__ = ["served"]
POOR = HOUSE | {"condition": "poor"}
TABLE = {"columns": ["square_metres", "rooms", "condition"], "index": [0, 1], "data": [[100, 4, "fair"], [100, 4, "poor"]]}
PRICES = [{"price": 322_000}, {"price": 257_600}]
ROUNDED = [{"price": 300_000}, {"price": 250_000}]
ROUNDING = {"nearest": 50_000}
# How each contract is asked for the same: route, body, and where in the answer the outputs are.
ONE = {
    "/": ({"inputs": HOUSE}, lambda told: told),
    "/score": ({"inputs": HOUSE}, lambda told: told),
    "/predictions": ({"input": {"inputs": HOUSE}}, lambda told: told["output"]),
}
SEVERAL = [
    ("/", {"inputs": [HOUSE, POOR], "parameters": ROUNDING, "options": {"use_cache": True}}),
    ("/score", {"inputs": [HOUSE, POOR], "parameters": ROUNDING}),
    ("/score", {"input_data": [HOUSE, POOR], "params": ROUNDING}),
    ("/score", {"input_data": {"data": [HOUSE, POOR]}, "params": ROUNDING}),
    ("/score", {"input_data": TABLE, "params": ROUNDING}),
    ("/predictions", {"input": {"inputs": [HOUSE, POOR], **ROUNDING}}),
]


@pytest.fixture(scope="module")
def houses(workshop, receiver):
    with running(workshop, MODEL_DIR=str(packaged("house_price", workshop)), MAX_INPUTS="8", WEBHOOKS_URI=receiver.root) as started:
        yield started


@pytest.mark.parametrize("path", ONE)
def test_a_value_is_answered_with_what_the_model_gives(houses, path):
    body, outputs = ONE[path]
    assert outputs(houses.client.post(path, json=body).json()) == PRICES[0]


@pytest.mark.parametrize(("path", "body"), SEVERAL, ids=str)
def test_a_list_and_parameters_reach_the_model(houses, path, body):
    assert ONE[path][1](houses.client.post(path, json=body).json()) == ROUNDED


def test_the_description_has_the_models_own_types_on_each_route(houses):
    told = houses.client.get("/openapi.json").json()

    def fits(content, value):
        schema = content["content"]["application/json"]["schema"] | {"components": told["components"]}
        return Draft202012Validator(schema).is_valid(value)

    for path, body in [*((path, body) for path, (body, _) in ONE.items()), *SEVERAL]:
        described = told["paths"][path]["post"]
        assert fits(described["requestBody"], body), (path, body)
        answer = houses.client.post(path, json=body).json()
        assert fits(described["responses"]["200"], answer), (path, answer)
        assert not fits(described["responses"]["200"], {**answer, "output": 7} if path == "/predictions" else 7), path
    for path, body in (
        ("/", {"inputs": {"rooms": 4}}),
        ("/", {"inputs": HOUSE, "stream": True}),
        ("/score", {"inputs": "a"}),
        ("/score", {"input_data": [{"rooms": 4}]}),
        ("/score", {"input_data": {"columns": ["a", "a"], "data": [[1, 2]]}}),
        ("/predictions", {"input": {"inputs": "a"}}),
        ("/predictions", {"input": {"inputs": HOUSE, "nearest": "far"}}),
    ):
        assert not fits(told["paths"][path]["post"]["requestBody"], body), (path, body)
        assert houses.client.post(path, json=body).status_code == 422, (path, body)


REFUSED = [
    ("/", {"inputs": {"rooms": 4}}, "'inputs': Object missing required field `square_metres`"),
    ("/", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "missing required field"),
    ("/", {"inputs": [HOUSE] * 9}, "has 9 inputs"),
    ("/", {"inputs": HOUSE, "parameters": {"nearest": 0}}, "'parameters': Expected `int` >= 1"),
    ("/score", {"input_data": [HOUSE, {"rooms": 1}]}, "'inputs[1]'"),
    ("/score", {"input_data": HOUSE}, "'input_data' has rooms, square_metres"),
    ("/score", {"input_data": {"data": HOUSE}}, "send a list of values"),
    ("/score", {"input_data": {"columns": "rooms", "data": [[1]]}}, "'input_data.columns' is no list of names"),
    ("/score", {"input_data": {"columns": ["rooms", "rooms"], "data": [[1, 2]]}}, "each of them once"),
    ("/score", {"input_data": {"columns": ["rooms"], "data": [[1], [1, 2]]}}, "'input_data.data[1]' is no list of 1 values"),
    ("/score", {"input_data": [HOUSE] * 9}, "'input_data' has 9 inputs"),
    ("/predictions", {"input": HOUSE}, "an object with 'inputs'"),
    ("/predictions", {"input": {"inputs": HOUSE, "nearest": "far"}}, "'parameters': Expected `int`"),
    ("/predictions", {"input": {"inputs": []}}, "'input.inputs' has 0 inputs"),
]


@pytest.mark.parametrize(("path", "body", "said"), REFUSED, ids=str)
def test_what_the_model_does_not_take_is_refused_by_its_place(houses, path, body, said):
    answer = houses.client.post(path, json=body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["detail"]
    # What Hugging Face's clients look for.
    assert answer.json().get("error") == (answer.json()["detail"] if path == "/" else None)


@pytest.mark.parametrize("path", ONE)
def test_what_is_nested_too_deeply_or_no_number_is_refused(houses, path):
    for raw in (b"[" * 40 + b"]" * 40, b'{"rooms": 1e999}', b'"\\ud800"'):
        body = b'{"inputs": [' + raw + b"]}"
        answer = houses.client.post(path, content=b'{"input": ' + body + b"}" if path == "/predictions" else body)
        assert problem(answer) == (422, "input-refused"), raw


def test_what_is_for_other_tasks_is_refused_by_name(houses):
    tensor = {"name": "inputs", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    routes = [("/", {"inputs": HOUSE, "stream": True}), ("/", {"inputs": HOUSE, "normalize": True})]
    routes += [("/v2/models/house_price/infer", {"inputs": [tensor]}), ("/v1/embeddings", {"input": "a", "model": "house_price"})]
    for path, body in routes:
        answer = houses.client.post(path, json=body)
        assert problem(answer) == (422, "task-mismatch"), path
        assert "this model's task is custom: use POST /predict" in answer.json()["detail"]
    assert houses.client.post("/", content=b"\x89PNG", headers={"content-type": "image/png"}).status_code == 415


def test_a_model_without_tensors_is_ready_by_the_open_inference_protocol_and_has_none_to_tell(houses):
    for path in ("/v2/health/ready", "/v2/models/house_price/ready"):
        assert houses.client.get(path).status_code == 200, path
    for path in ("/v2/models/house_price", "/v2/models/house_price/versions/1"):
        answer = houses.client.get(path)
        assert problem(answer) == (422, "task-mismatch"), path
        assert "this model's task is custom: use POST /predict" in answer.json()["detail"]
    assert problem(houses.client.get("/v2/models/other")) == (404, "model-unknown")


def test_cogs_predictions_come_later_too_and_are_told_to_webhooks(houses, heard):
    body = {"input": {"inputs": HOUSE, **ROUNDING}, "webhook": f"{heard.root}mine", "webhook_events_filter": ["completed"]}
    answer = houses.client.put("/predictions/mine", json=body, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    (state,) = heard.until(1, houses)
    assert (state["id"], state["status"], state["output"]) == ("mine", "succeeded", ROUNDED[0])
    assert houses.client.post("/predictions", json=body | {"input": {"inputs": {"rooms": 1}}}).status_code == 422
    assert heard.until(2, houses)[1]["status"] == "failed"


@dataclass
class Odd:
    """What other contracts would take for something of their own."""

    source_sentence: str = ""
    sentences: list[str] = field(default_factory=list)


class Counting:
    """Tells how many sentences came, or values of a list in a list."""

    example = Odd()

    def load(self, folder: Path, threads: int) -> None:
        pass

    def predict(self, inputs: list[Odd | list[int]]) -> list[int]:
        return [len(each) if isinstance(each, list) else len(each.sentences) for each in inputs]


def _loading(folder, model=None):
    """A client of a server that loads, and what lets it go on."""
    go = threading.Event()

    def wait(settings, mark):
        assert go.wait(30)
        return load(settings, mark) if model is None else Loaded(model[0], model[1], ("own",))

    service = Service(HandlerSettings(model_dir=folder, max_inputs=8), Stages(0.0), wait)
    service.start()
    return service, TestClient(App(service)), go


def _answered_while_loading(service, client, go, asked):
    """The answers to requests that were all read before the model was there."""
    found = [None] * len(asked)

    def ask(place, path, body):
        found[place] = client.post(path, json=body)

    threads = [threading.Thread(target=ask, args=(place, *each)) for place, each in enumerate(asked)]
    try:
        for thread in threads:
            thread.start()
        while service.worker.waiting < len(asked):
            assert any(thread.is_alive() for thread in threads), found
        assert service.kind is None
    finally:
        go.set()
    for thread in threads:
        thread.join(30)
    return found


def test_who_comes_while_the_model_loads_is_read_as_its_task_has_it(workshop, sentences):
    service, client, go = _loading(packaged("house_price", workshop))
    asked = [*SEVERAL, ("/score", {"input_data": {"columns": "x", "data": [[1]]}})]
    *found, refused = _answered_while_loading(service, client, go, asked)
    assert [ONE[path][1](answer.json()) for (path, _), answer in zip(SEVERAL, found, strict=True)] == [ROUNDED] * len(SEVERAL)
    assert "'input_data.columns' is no list of names" in refused.json()["detail"]

    compared = {"inputs": {"source_sentence": "cold", "sentences": ["cold", "warm"]}}
    table = {"input_data": {"columns": ["text"], "data": [["cold"], ["warm"]]}}
    asked = [
        ("/", compared),
        ("/score", table),
        ("/score", {"input_data": [["cold"], "warm"]}),
        ("/predictions", {"input": {"inputs": "cold"}}),
    ]
    asked += [("/", {"inputs": HOUSE}), ("/score", {"input_data": [7]}), ("/predictions", {"input": {"inputs": HOUSE}})]
    found = _answered_while_loading(*_loading(sentences), asked)
    assert [answer.status_code for answer in found] == [200] * 4 + [422] * 3
    again = [client.post(path, json=body) for client in [_warm(sentences)] for path, body in asked[:3]]
    assert [answer.json() for answer in again] == [answer.json() for answer in found[:3]]


def _warm(folder):
    service, client, go = _loading(folder)
    go.set()
    service.worker.loaded.result(30)
    return client


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "loading"])
def test_values_that_look_like_anothers_are_the_models_own(served, workshop, loaded):
    model = served(Counting)
    service, client, go = _loading(workshop, (read_manifest(packaged("house_price", workshop)), model))
    asked = [
        ("/", {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}),
        ("/score", {"input_data": [[7], [1, 2]]}),
        ("/score", {"inputs": {"sentences": ["b"]}}),
    ]
    if loaded:
        go.set()
        service.worker.loaded.result(30)
        found = [client.post(path, json=body) for path, body in asked]
    else:
        found = _answered_while_loading(service, client, go, asked)
    assert [answer.json() for answer in found] == [2, [1, 2], 1]

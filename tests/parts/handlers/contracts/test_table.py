"""The table of contracts: what it leads to exists, is described, is told by the page, and costs a start nothing."""

import importlib
import inspect
import subprocess
import sys
import time

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from docs.generate.contracts import contracts_table
from handlers.server import contracts, openapi
from handlers.server.app import App
from handlers.server.contracts import CONTRACTS, ROUTES
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from handlers.tasks import TASKS
from tests.parts.handlers.contracts.conftest import NAME, problem
from tests.parts.handlers.contracts.test_decoders import OF_VECTORS, TAKEN
from tests.parts.handlers.processes import ROOT, running

GETS = ("/", "/health", "/health/live", "/health-check", "/v1/models", "/v2", "/v2/health/live", "/v2/health/ready", f"/v2/models/{NAME}")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_leads_to_a_reader_or_a_coroutine_of_its_module(route):
    module = importlib.import_module(f"handlers.server.contracts.{route.contract}")
    function = getattr(module, route.function)
    assert contracts.function(route) is function
    reads = not inspect.iscoroutinefunction(function)
    assert contracts.reader(route) is (function if reads else None)
    assert list(inspect.signature(function).parameters) == (["call", "body"] if reads else ["call"])
    assert function.__module__ == module.__name__


def test_the_table_decides_which_tasks_a_contract_serves(sentences, monkeypatch):
    service = Service(HandlerSettings(model_dir=sentences), Stages(0.0))
    service.start()
    client = TestClient(App(service))
    for path, body in OF_VECTORS.items():
        (contract,) = {route.contract for route in ROUTES if (route.method, route.path) == ("POST", path.replace(NAME, "{model}"))}
        # What serves vectors alone is refused for other models by itself.
        body = {name: value for name, value in body.items() if name != "normalize"}
        assert client.post(path, json=body).status_code == 200, path
        monkeypatch.setitem(CONTRACTS, contract, CONTRACTS[contract]._replace(tasks=frozenset({"text-classification"})))
        answer = client.post(path, json=body)
        told = answer.json()
        assert problem(answer) == (422, "task-mismatch"), path
        assert "serves text-classification, and this model's task is sentence-embedding" in told["detail"]


def test_the_page_has_the_table_as_it_is():
    assert contracts_table() in (ROOT / "docs" / "contracts.md").read_text(), "run `make docs` and look at docs/contracts.md"


def test_no_route_stands_in_the_table_twice():
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_the_tasks_of_a_contract_are_tasks():
    assert all(row.tasks is None or (row.tasks and row.tasks <= set(TASKS)) for row in CONTRACTS.values())


@pytest.mark.parametrize("ready", [True, False], ids=["loaded", "loading"])
def test_every_route_is_described(embedder, ready):
    told = embedder.client.get("/openapi.json").json() if ready else openapi.document(HandlerSettings(), None)
    validate(told)
    assert told["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    assert {(route.method, route.path) for route in ROUTES} <= described
    names = [operation["operationId"] for item in told["paths"].values() for operation in item.values() if "operationId" in operation]
    assert len(set(names)) == len(names) == len(ROUTES)


@pytest.mark.parametrize("path", TAKEN)
def test_a_described_schema_is_one_that_a_taken_body_fits(its_server, path):
    told = its_server.client.get("/openapi.json").json()
    described = told["paths"][path.replace(NAME, "{model}")]["post"]
    answer = its_server.client.post(path, json=TAKEN[path])
    for value, content in ((TAKEN[path], described["requestBody"]), (answer.json(), described["responses"]["200"])):
        schema = content["content"]["application/json"]["schema"] | {"components": told["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []


@pytest.mark.parametrize("path", GETS)
def test_what_is_looked_at_can_be_asked_for_its_head_and_takes_nothing(embedder, path):
    assert embedder.client.get(path).status_code == 200
    assert embedder.client.head(path).content == b""
    assert embedder.client.head(path).status_code == 200
    answer = embedder.client.delete(path)
    assert problem(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"]


def test_a_model_that_is_not_loaded_yet_is_not_ready_by_any_contract(sentences, workshop):
    """The engine is imported for longer than the port takes to open."""
    paths = ("/", "/health", "/v1/models", "/v2/health/ready", f"/v2/models/{NAME}/ready", f"/v2/models/{NAME}")
    with running(workshop, ready=False, MODEL_DIR=str(sentences)) as started:
        seen = {}
        while not seen:
            try:
                seen = {path: started.client.get(path) for path in paths}
            except httpx.TransportError:
                time.sleep(0.002)
        for path, answer in seen.items():
            assert answer.status_code in (200, 503), path
            if answer.status_code == 503:
                assert problem(answer) == (503, "not-ready")
                assert answer.headers["retry-after"] == "1"


IMPORTED = """
import asyncio, sys
from pathlib import Path
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from handlers.server import http_server
from handlers.server.app import App

async def ask(app, path, body):
    sent = []
    incoming = [{"type": "http.request", "body": body}]
    async def receive():
        return incoming.pop() if incoming else await asyncio.sleep(60)
    async def send(message):
        sent.append(message)
    scope = {"method": "POST", "path": path, "raw_path": path.encode(), "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"]

service = Service(HandlerSettings(model_dir=Path(sys.argv[1])), Stages.since_process_start())
service.start()
asked = asyncio.run(ask(App(service), *sys.argv[2:3], sys.argv[3].encode()))
found = [name for name in sorted(sys.modules) if name.startswith(("handlers.server.contracts.", "handlers.server.openapi"))]
print(asked, *found, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("path", "body", "modules"),
    [
        ("/predict", '{"inputs": "cold"}', ["plain"]),
        ("/score", '{"inputs": "cold"}', ["azure_ml", "fields"]),
        ("/nothing", "", []),
    ],
)
def test_a_contract_is_imported_when_it_is_first_asked(sentences, path, body, modules):
    command = [sys.executable, "-c", IMPORTED, str(sentences), path, body]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    status, *found = done.stderr.split()
    assert status == ("200" if modules else "404")
    assert found == [f"handlers.server.contracts.{name}" for name in modules]

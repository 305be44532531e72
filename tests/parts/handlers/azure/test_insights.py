"""Spans on their way to Application Insights: what is sent, as whom, what is kept for later, how a trace looks."""

import json
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from handlers.functions import spans, traces
from handlers.functions.azure import insights
from handlers.functions.environment import Environment, SettingsError
from tests.parts.handlers.azure.test_api_role import TRACE, endpoint, function_of
from tests.parts.handlers.http_servers import Quiet, serving

__all__ = ["endpoint"]
KEY, CALLER = "9a1f0b62-6f0c-4c76-8d5e-0d5a4c1f9f21", f"{7:016x}"


@dataclass
class Ingestion:
    """What stands for the ingestion API: `batches` are what it took, `statuses` its next answers in place of 200."""

    address: str = ""
    batches: list[list[dict]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    @property
    def connection(self):
        return f"InstrumentationKey={KEY};IngestionEndpoint=http://{self.address}/;ApplicationId=x"

    @property
    def items(self):
        return [item for batch in self.batches for item in batch]


@contextmanager
def ingestion():
    made = Ingestion()

    class Handler(Quiet):
        def do_POST(self):
            items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = made.statuses.pop(0) if made.statuses else 200
            if status == 200 and self.path == "/v2.1/track":
                made.tokens.append(self.headers["Authorization"])
                made.batches.append(items)
            said = {"itemsReceived": len(items), "itemsAccepted": len(items) if status == 200 else 0, "errors": []}
            self.reply(status, json.dumps(said).encode(), {"Content-Type": "application/json"})
            made.came.set()

    with serving(Handler) as made.address:
        yield made


@pytest.fixture
def taken():
    with ingestion() as made:
        yield made
    spans.collect(None)


@pytest.fixture
def collecting(taken, identities, monkeypatch):
    """Of this process."""
    monkeypatch.setattr(insights.Insights, "gather_s", 0.05)
    for name, value in identities.variables.items():
        monkeypatch.setenv(name, value)
    insights.start(Environment({insights.CONNECTION: taken.connection, "CONTAINER_APP_NAME": "mine-predict"}))
    return taken


def kinds(items):
    return [(item["data"]["baseType"], item["data"]["baseData"]["name"]) for item in items]


def test_a_request_and_what_it_asked_of_others_are_one_trace(collecting, identities):
    with spans.serving("POST /predict", {"traceparent": f"00-{TRACE}-{CALLER}-00"}) as asked:
        with spans.calling("POST /predict", "model.internal", "mine-1") as call:
            onward = traces.current.get()
            call.answered(200)
        asked.answered(503, "mine-1")
    spans.flush(5)
    dependency, request = collecting.items
    assert kinds(collecting.items) == [("RemoteDependencyData", "POST /predict"), ("RequestData", "POST /predict")]
    assert {item["tags"]["ai.operation.id"] for item in collecting.items} == {TRACE}
    assert request["tags"]["ai.operation.parentId"] == CALLER
    assert dependency["tags"]["ai.operation.parentId"] == request["data"]["baseData"]["id"]
    # What is made of it has the call as its parent, and is to be recorded.
    assert onward.parent == f"00-{TRACE}-{dependency['data']['baseData']['id']}-01"
    assert (request["data"]["baseData"]["responseCode"], request["data"]["baseData"]["success"]) == ("503", False)
    assert (dependency["data"]["baseData"]["target"], dependency["data"]["baseData"]["success"]) == ("model.internal", True)
    assert request["data"]["baseData"]["properties"] == {"request_id": "mine-1"}
    assert {item["iKey"] for item in collecting.items} == {KEY}
    assert (request["name"], request["tags"]["ai.cloud.role"]) == ("Microsoft.ApplicationInsights.Request", "mine-predict")
    assert identities.asked[-1]["resource"] == "https://monitor.azure.com/"
    assert collecting.tokens == [f"Bearer {identities.tokens[-1]}"]
    assert traces.current.get().id == TRACE


def test_without_a_trace_there_is_a_new_one_each_time(collecting):
    for _ in range(2):
        with spans.serving("message", {}) as span:
            span.success = True
        assert traces.current.get() is None
    spans.flush(5)
    one, other = (item["tags"]["ai.operation.id"] for item in collecting.items)
    assert one != other
    assert len(one) == 32
    assert all("ai.operation.parentId" not in item["tags"] for item in collecting.items)


def test_what_is_refused_for_want_of_a_grant_comes_later(collecting, capsys):
    collecting.statuses[:] = [403]
    with spans.serving("POST /predict", {}) as span:
        span.answered(200)
    assert collecting.came.wait(5)
    assert not collecting.batches
    spans.flush(5)
    assert kinds(collecting.items) == [("RequestData", "POST /predict")]
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["spans"]) == ("spans_kept", 1)


def test_what_is_no_span_is_not_sent_again(collecting, capsys):
    collecting.statuses[:] = [400]
    with spans.serving("POST /predict", {}) as span:
        span.answered(200)
    spans.flush(5)
    assert not collecting.batches
    said = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["spans_refused", "spans_lost"]


def test_there_is_room_for_so_many_and_the_oldest_go(collecting, monkeypatch):
    monkeypatch.setattr(insights.Insights, "most_kept", 3)
    collecting.statuses[:] = [503]
    for number in range(5):
        with spans.serving(f"GET /{number}", {}) as span:
            span.answered(200)
    spans.flush(5)
    assert [name for _, name in kinds(collecting.items)] == ["GET /2", "GET /3", "GET /4"]


def test_probes_are_no_requests(collecting):
    with spans.serving("GET /ping", {}, quiet=True) as span:
        span.answered(200)
    spans.flush(0.2)
    assert not collecting.items


@pytest.mark.parametrize("text", ["", "InstrumentationKey=1", "IngestionEndpoint=https://x/", "InstrumentationKey=1;IngestionEndpoint=x"])
def test_no_connection_string(text):
    environment = Environment({insights.CONNECTION: text})
    insights.start(environment)
    spans.collect(None)
    if text:
        with pytest.raises(SettingsError, match=r"APPLICATIONINSIGHTS_CONNECTION_STRING can't be read: use a connection string"):
            environment.check()


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0123456, "0.00:00:00.012346"), (3725.5, "0.01:02:05.500000"), (90_000, "1.01:00:00.000000")]
)
def test_durations(seconds, told):
    assert insights._duration(seconds) == told


def test_a_function_tells_its_part_before_it_leaves(endpoint, certificate, workshop, taken, identities):
    told = {insights.CONNECTION: taken.connection, "CONTAINER_APP_REPLICA_NAME": "mine-predict-1", **identities.variables}
    with function_of(workshop, endpoint, certificate, **told) as started:
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-00", "x-request-id": "mine-7"}
        assert started.client.post("/predict", json={"inputs": "cold"}, headers=headers).status_code == 200
        started.client.get("/health/live")
        # At once: what waits to be gathered must not be lost.
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(10) == 0, started.log
    dependency, request = taken.items
    assert {item["tags"]["ai.operation.id"] for item in taken.items} == {TRACE}
    assert endpoint.seen[-1][2]["traceparent"] == f"00-{TRACE}-{dependency['data']['baseData']['id']}-01"
    assert dependency["data"]["baseData"]["target"] == endpoint.address.removeprefix("https://")
    assert request["data"]["baseData"]["properties"] == {"request_id": "mine-7"}
    assert request["tags"]["ai.cloud.roleInstance"] == "mine-predict-1"

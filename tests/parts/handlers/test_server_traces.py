"""The model server's traces: called by the official SDK, told to a collector that reads with the official protobufs."""

import itertools
import json
import signal
import socket
import time

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from handlers.functions.pings import Ping
from tests.parts.handlers.events import EVENTS
from tests.parts.handlers.otlp_receiver import receiving, told
from tests.parts.handlers.processes import running
from tests.parts.handlers.test_lambda_mode import SECONDS, lambda_process
from tests.parts.handlers.test_server_pings import ATTRIBUTES, counters, logged
from tests.parts.handlers.test_several_processes import ask, children, until

ENDPOINT, PAUSE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_BSP_SCHEDULE_DELAY"
STAGES = ["boot", "import", "fetch", "load"]
OTHER = f"{7:032x}"


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def traced(receiver, tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), **{ENDPOINT: receiver.endpoint, PAUSE: "20"}) as started:
        yield started


def called(server, sampler=ALWAYS_ON, path="/predict", body=None, **headers):
    """An answer to a caller whose trace is the official SDK's, the caller's span, and the headers that it sent."""
    with TracerProvider(sampler=sampler).get_tracer("test").start_as_current_span("caller") as span:
        propagate.inject(headers)
        assert "traceparent" in headers
        return server.client.post(path, json=body or {"inputs": "cold"}, headers=headers), span.get_span_context()


def nanoseconds(span):
    return span.end_time_unix_nano - span.start_time_unix_nano


def test_a_request_goes_on_in_its_callers_trace(traced, receiver):
    answer, caller = called(traced, body={"inputs": ["cold", "start"]})
    assert answer.status_code == 200
    server, queue, predict, batch, start = receiver.until("POST /predict", "queue", "predict", "batch", "cold start")
    for span, parent in ((server, caller.span_id.to_bytes(8, "big")), (queue, server.span_id), (predict, server.span_id)):
        assert (span.trace_id, span.parent_span_id) == (caller.trace_id.to_bytes(16, "big"), parent)
    assert server.start_time_unix_nano <= queue.start_time_unix_nano <= queue.end_time_unix_nano <= predict.end_time_unix_nano
    # By the clock on the wall and the steady one.
    assert predict.end_time_unix_nano <= server.end_time_unix_nano + 5_000_000
    assert told(predict) == {"pilotlight.batch.requests": 1, "pilotlight.batch.inputs": 2, "pilotlight.inputs": 2}
    # A batch is of many requests, and so within the trace of none.
    assert (batch.trace_id == server.trace_id, batch.parent_span_id) == (False, b"")
    assert [(link.trace_id, link.span_id) for link in predict.links] == [(batch.trace_id, batch.span_id)]
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(server.trace_id, server.span_id)]
    # It waited for the start.
    assert told(server)["faas.coldstart"] is True
    assert [(link.trace_id, link.span_id) for link in server.links] == [(start.trace_id, start.span_id)]
    again, _ = called(traced)
    (request,) = [line for line in logged(traced.log, "request") if line["request_id"] == answer.headers["x-request-id"]]
    assert (request["trace_id"], request["span_id"]) == (server.trace_id.hex(), server.span_id.hex())
    until(lambda: len(receiver.named("POST /predict")) == 2)
    assert "faas.coldstart" not in told(receiver.named("POST /predict")[1])
    assert again.status_code == 200
    assert counters(traced)['pilotlight_spans_total{outcome="dropped"}'] == 0
    assert counters(traced)['pilotlight_spans_total{outcome="sent"}'] == len(receiver.spans)


def test_a_start_is_a_trace_whose_stages_follow_each_other(traced, receiver):
    start, *stages = receiver.until("cold start", *STAGES)
    assert [span.parent_span_id for span in stages] == [start.span_id] * 4
    assert {span.trace_id for span in stages} == {start.trace_id}
    assert start.parent_span_id == b""
    assert stages[0].start_time_unix_nano == start.start_time_unix_nano
    for before, after in itertools.pairwise(stages):
        assert abs(after.start_time_unix_nano - before.end_time_unix_nano) < 1_000_000
    assert abs(sum(map(nanoseconds, stages)) - nanoseconds(start)) < 1_000_000
    # The same as the metric has, in its unit.
    for span in stages:
        assert counters(traced)[f'pilotlight_cold_start_seconds{{stage="{span.name}"}}'] == pytest.approx(nanoseconds(span) / 1e9, abs=1e-3)


def test_who_is_not_recorded_is_not_told_of(traced, receiver):
    receiver.until("cold start")
    answer, caller = called(traced, ALWAYS_OFF)
    called(traced)
    receiver.until("POST /predict")
    assert len(receiver.named("POST /predict")) == len(receiver.named("predict")) == len(receiver.named("batch")) == 1
    assert caller.trace_id.to_bytes(16, "big") not in {span.trace_id for span in receiver.spans}
    # Its lines are found by its trace nevertheless.
    lines = [line for line in logged(traced.log, "request") if line["request_id"] == answer.headers["x-request-id"]]
    assert [line["trace_id"] for line in lines] == [f"{caller.trace_id:032x}"]


@pytest.mark.parametrize(
    "parent", [None, f"ff-{OTHER}-{7:016x}-01", f"00-{OTHER}-{0:016x}-01", "nonsense", f"00-{OTHER}-{7:016x}-01-x"], ids=str
)
def test_without_a_valid_trace_there_is_a_new_one(traced, receiver, parent):
    assert traced.client.post("/predict", json={"inputs": 1}, headers={"traceparent": parent} if parent else {}).status_code == 422
    (server,) = receiver.until("POST /predict")
    assert (server.trace_id.hex() == OTHER, server.parent_span_id, server.flags) == (False, b"", 0x101)


def test_pings_and_probes_are_no_requests(traced, receiver):
    receiver.until("cold start")
    for path in (
        "/ping",
        "/health",
        "/health/live",
        "/health/ready",
        "/health/startup",
        "/",
        "/health-check",
        "/v2/health/live",
        "/metrics",
    ):
        assert traced.client.get(path, headers={"traceparent": f"00-{OTHER}-{7:016x}-01"}).status_code == 200
    answer, _ = called(traced, path="/invocations", **{ATTRIBUTES: Ping("ping-1", 0.1).attributes})
    assert "ping" in answer.json()
    assert counters(traced)["pilotlight_request_seconds_count"] == 0
    # A prediction is one on whichever route.
    assert called(traced, path="/")[0].status_code == 200
    receiver.until("POST /", "batch")
    # The batch is told by the model's thread, whoever is first.
    told = [span.name for span in receiver.spans if span.name not in (*STAGES, "cold start")]
    assert sorted(told) == ["POST /", "batch", "predict", "queue"]
    assert counters(traced)["pilotlight_request_seconds_count"] == 1


def test_what_fails_in_the_batch_is_told_with_its_class(traced, receiver):
    assert called(traced, body={"inputs": "cold", "parameters": {"odd": 1}})[0].status_code == 422
    predict, server = receiver.until("predict", "POST /predict")
    assert (predict.status.code, server.status.code) == (2, 0)
    assert told(predict)["error.type"] == "InputRefused"


def test_spans_are_sent_before_the_server_leaves(receiver, tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), **{ENDPOINT: receiver.endpoint, PAUSE: "60000"}) as started:
        assert called(started)[0].status_code == 200
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(timeout=10) == 0
    assert {span.name for span in receiver.spans} == {*STAGES, "cold start", "queue", "predict", "batch", "POST /predict"}


@pytest.mark.parametrize("kind", ["silent", "closed", "no name"])
def test_a_collector_that_takes_nothing_is_nobodys_trouble(tiny, tmp_path, kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {"silent": f"127.0.0.1:{silent.getsockname()[1]}", "closed": "127.0.0.1:9", "no name": "collector.invalid:4318"}[kind]
        more = {PAUSE: "10", "OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        with running(tmp_path, MODEL_DIR=str(tiny), **{ENDPOINT: f"http://{address}"}, **more) as started:
            answers = [called(started)[0] for _ in range(30)]
            assert {answer.status_code for answer in answers} == {200}
            # Half of what one that waited for the collector would take, OTEL_EXPORTER_OTLP_TIMEOUT.
            assert max(answer.elapsed.total_seconds() for answer in answers) < 5
            # 5 of the start and 4 of each request, of which no more than 30 have a place.
            until(lambda: counters(started)['pilotlight_spans_total{outcome="dropped"}'] >= 95)
            assert counters(started)['pilotlight_spans_total{outcome="sent"}'] == 0
            began = time.monotonic()
            started.process.send_signal(signal.SIGTERM)
            assert started.process.wait(timeout=10) == 0
            assert time.monotonic() - began < 9


def test_each_of_several_processes_tells_its_own(receiver, tiny, tmp_path):
    variables = {ENDPOINT: receiver.endpoint, PAUSE: "20", "OTEL_SERVICE_NAME": "mine"}
    with running(tmp_path, MODEL_DIR=str(tiny), WORKERS="2", MODEL_THREADS="1", **variables) as started:
        pids = until(lambda: len(found := children(started.process.pid)) == 2 and found)
        ask(started, 20)
        until(lambda: len(receiver.named("POST /predict")) == 20 and len(receiver.named("cold start")) == 2)
        assert {resource["process.pid"] for resource in receiver.resources} == set(pids)
        assert len({resource["service.instance.id"] for resource in receiver.resources}) == 2
        assert len(receiver.named("fork")) == 2
        until(lambda: counters(started)['pilotlight_spans_total{outcome="sent"}'] == len(receiver.spans))


@pytest.mark.parametrize(
    "variables", [{}, {"OTEL_SDK_DISABLED": "true", ENDPOINT: "http://127.0.0.1:9"}], ids=["not asked for", "disabled"]
)
def test_nothing_is_sent_or_imported_where_it_is_off(tiny, tmp_path, variables):
    with running(tmp_path, MODEL_DIR=str(tiny), PYTHONPROFILEIMPORTTIME="1", **variables) as started:
        assert called(started)[0].status_code == 200
        assert "pilotlight_spans_total{" not in started.client.get("/metrics").text
    assert "handlers.server.worker" in started.log
    assert "opentelemetry" not in started.log
    if not variables:
        assert [name for name in ("handlers.functions.otlp", "handlers.functions.sending") if name in started.log] == []


def test_a_variable_that_can_not_be_used_stops_no_server(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), **{ENDPOINT: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) as started:
        assert called(started)[0].status_code == 200
        (line,) = logged(started.log, "tracing_settings")
    assert "use http/protobuf" in line["message"]


def test_lines_of_lambda_have_their_gateways_trace(tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        api.invoke(EVENTS["rest"]({"inputs": "call"}, traceparent=f"00-{OTHER}-{7:016x}-01"), SECONDS)
        api.invoke({"inputs": "call"}, SECONDS)
    lines = logged((tmp_path / "lambda.log").read_text(), "request")
    assert [line.get("trace_id") for line in lines] == [OTHER, None]
    assert json.dumps(lines).count(OTHER) == 1

"""Spans over OTLP: what is sent, by which variables, what becomes of it when nobody takes it."""

import json
import os
import socket
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Told
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from handlers.functions import otlp, otlp_encoding, sampling, spans, traces
from handlers.functions.otlp import Otlp, OtlpSettings
from handlers.functions.spans import Span
from handlers.functions.traces import Trace
from tests.parts.handlers.otlp_receiver import receiving, told

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SCOPE = {"method": "POST", "path": "/predict", "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8080)}


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made
    spans.collect(None)


def collecting(receiver, **variables):
    """A collector of this process's spans that sends to the receiver."""
    settings = OtlpSettings.read({ENDPOINT: receiver.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20"} | variables)
    made = Otlp(settings)
    spans.collect(made)
    return made


def ask(status=200, headers=None, scope=SCOPE, route="/predict"):
    with spans.serving(scope, headers or {}, request_id="mine-1") as span:
        span.answered(status)
        span.attributes["http.route"] = route


def warnings(capsys):
    return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["level"] == "WARNING"]


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({}, "/v1/traces"),
        ({ENDPOINT: "{}/otlp/"}, "/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{}/mine?key=1"}, "/mine?key=1"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{}", ENDPOINT: "http://127.0.0.1:1"}, "/"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "/v1/traces"),
    ],
    ids=str,
)
def test_spans_go_where_the_variables_say(receiver, variables, path):
    told_headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc, x-mine=1"}
    made = collecting(receiver, **told_headers, **{name: value.format(receiver.endpoint) for name, value in variables.items()})
    ask()
    made.flush(10)
    assert receiver.paths == [path]
    (headers,) = receiver.headers
    assert (headers["authorization"], headers["x-mine"]) == ("Bearer abc", "1")
    assert headers["content-type"] == "application/x-protobuf"
    assert [span.name for span in receiver.spans] == ["POST /predict"]
    assert made.counts() == {"sent": 1, "dropped": 0}


def test_a_request_is_a_server_span_of_its_callers_trace(receiver):
    made = collecting(receiver, OTEL_SERVICE_NAME="mine", OTEL_RESOURCE_ATTRIBUTES="service.name=other,deployment.environment.name=a%2Cb")
    before = time.time_ns()
    ask(headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "one=1,two=2"})
    made.flush(10)
    (span,) = receiver.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, CALLER, "one=1,two=2")
    assert (span.name, span.kind, span.flags, span.status.code) == ("POST /predict", Told.SPAN_KIND_SERVER, 0x301, 0)
    assert before - 10**6 <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns() + 10**6
    assert told(span) == {
        "http.request.method": "POST",
        "url.path": "/predict",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "http.route": "/predict",
        "http.response.status_code": 200,
        "pilotlight.request_id": "mine-1",
    }
    (resource,) = receiver.resources
    assert (resource["service.name"], resource["deployment.environment.name"], resource["process.pid"]) == ("mine", "a,b", os.getpid())


@pytest.mark.parametrize(("status", "failed"), [(200, False), (404, False), (422, False), (500, True), (503, True)])
def test_what_the_caller_did_wrong_is_no_error_of_the_servers(receiver, status, failed):
    made = collecting(receiver)
    ask(status)
    made.flush(10)
    (span,) = receiver.spans
    assert (span.status.code == 2, told(span).get("error.type")) == (failed, str(status) if failed else None)


def test_a_path_that_is_no_route_and_a_method_that_is_none_are_no_names(receiver):
    made = collecting(receiver)
    with spans.serving(SCOPE | {"path": "/secret/" + "x" * 5000}, {}) as span:
        span.answered(404)
    with spans.serving(SCOPE | {"method": "BREW"}, {}) as span:
        span.answered(405)
    made.flush(10)
    assert [span.name for span in receiver.spans] == ["POST", "HTTP"]
    assert len(told(receiver.spans[0])["url.path"]) < 300
    assert told(receiver.spans[1])["http.request.method"] == "_OTHER"


def test_what_is_asked_of_others_is_a_client_span_within(receiver):
    made = collecting(receiver)
    with spans.serving(SCOPE, {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "one=1"}) as span:
        with spans.calling("POST /invocations", "model.internal", "mine-1") as call:
            call.answered(404)
            onward = traces.current.get().headers
        span.answered(200)
    made.flush(10)
    client, server = receiver.spans
    assert (client.kind, client.parent_span_id, client.status.code) == (Told.SPAN_KIND_CLIENT, server.span_id, 2)
    assert onward == {"traceparent": f"00-{TRACE}-{client.span_id.hex()}-01", "tracestate": "one=1"}


@pytest.mark.parametrize(
    ("sampler", "came", "heard"),
    [
        ("", None, True),
        ("", "01", True),
        ("", "00", False),
        ("always_on", "00", True),
        ("always_off", "01", False),
        ("parentbased_always_off", "01", True),
        ("parentbased_always_off", None, False),
        ("traceidratio", "01", False),
        ("parentbased_traceidratio", "01", True),
    ],
)
def test_the_sampler_and_the_callers_flag_decide(receiver, sampler, came, heard):
    made = collecting(receiver, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0")
    with spans.serving(SCOPE, {"traceparent": f"00-{TRACE}-{CALLER}-{came}"} if came else {}) as span:
        span.answered(200)
        here = traces.current.get()
        assert here.sampled == heard
        assert here.span != CALLER
        assert came is None or here.id == TRACE
        assert spans.heard() == (here if heard else None)
    made.flush(1)
    assert len(receiver.spans) == heard


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_ratio_takes_the_traces_that_the_official_sdk_takes(trace, ratio):
    official = TraceIdRatioBased(ratio).should_sample(None, trace, "any").decision.is_sampled()
    assert sampling.sampler("traceidratio", ratio)(None, f"{trace:032x}") == official


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc': use http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'http/json'"),
        ({ENDPOINT: "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is 'collector:4318': use https://HOST:PORT/PATH"),
        ({ENDPOINT: "http://host:port"}, "OTEL_EXPORTER_OTLP_ENDPOINT is"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin': use otlp or none"),
    ],
    ids=str,
)
def test_what_can_not_be_had_is_told_and_nothing_is_collected(capsys, variables, message):
    assert OtlpSettings.read({ENDPOINT: "http://127.0.0.1:4318"} | variables) is None
    (line,) = warnings(capsys)
    assert message in line["message"]
    assert (line["event"], line["traces"]) == ("tracing_settings", "off")


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, lambda read: read.sampler(None, TRACE)),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, lambda read: read.sampler(None, TRACE)),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0ac: d"}, lambda read: read.headers == {}),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a"}, lambda read: read.headers == {}),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, lambda read: read.timeout_s == 10),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, lambda read: read.most_kept == 2048),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, lambda read: read.zipped is False),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "",
)
def test_a_mistake_is_told_and_passed_over(capsys, variables, kept):
    settings = OtlpSettings.read({ENDPOINT: "http://127.0.0.1:4318"} | variables)
    assert kept(settings)
    (line,) = warnings(capsys)
    assert (next(iter(variables)) in line["message"], line["traces"]) == (True, "on")


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_HEADERS": "api-key: SECRET"},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=Bearer SECRET\u00e9"},
        {ENDPOINT: "https://name:SECRET@collector"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://SECRET@collector/v1/traces"},
    ],
    ids=str,
)
def test_what_is_secret_is_in_no_log(capsys, variables):
    OtlpSettings.read({ENDPOINT: "http://127.0.0.1:4318"} | variables)
    (line,) = warnings(capsys)
    assert next(iter(variables)) in line["message"]
    assert "SECRET" not in line["message"]


@pytest.mark.parametrize("variables", [{"OTEL_SDK_DISABLED": "TRUE"}, {"OTEL_TRACES_EXPORTER": "none"}, {ENDPOINT: ""}], ids=str)
def test_off_is_off(capsys, variables):
    assert OtlpSettings.read({ENDPOINT: "http://127.0.0.1:4318"} | variables) is None
    assert not warnings(capsys)


def test_what_may_be_taken_later_comes_again_and_anything_else_does_not(receiver, capsys):
    made = collecting(receiver)
    receiver.statuses[:] = [503, 429]
    ask()
    made.flush(10)
    assert (len(receiver.paths), len(receiver.spans)) == (3, 1)
    assert {line["event"] for line in warnings(capsys)} == {"spans_kept"}
    receiver.statuses[:] = [400]
    ask()
    made.flush(10)
    assert (len(receiver.paths), len(receiver.spans)) == (4, 1)
    assert made.counts() == {"sent": 1, "dropped": 1}
    assert [line["event"] for line in warnings(capsys)] == ["spans_refused", "spans_lost"]


def test_a_collector_is_left_alone_for_as_long_as_it_asks(receiver):
    made = collecting(receiver)
    receiver.statuses[:], receiver.said = [503], {"Retry-After": "1"}
    began = time.monotonic()
    ask()
    receiver.until("POST /predict")
    assert time.monotonic() - began > 0.9
    made.flush(5)


def test_what_is_refused_in_part_is_counted(receiver):
    made = collecting(receiver)
    receiver.rejects = 1
    for _ in range(3):
        with spans.serving(SCOPE, {}):
            pass
    made.flush(10)
    assert made.counts()["dropped"] == len(receiver.requests)
    assert sum(made.counts().values()) == 3


def test_nobody_waits_for_a_collector_that_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5", "OTEL_BSP_SCHEDULE_DELAY": "1"}
        made = Otlp(OtlpSettings.read({ENDPOINT: address} | variables))
        spans.collect(made)
        began = time.monotonic()
        for _ in range(1000):
            ask()
        made.flush(0.2)
        assert time.monotonic() - began < 3
        # Ten wait, five are on their way.
        counts = made.counts()
    spans.collect(None)
    # No thread goes on trying while other tests look at what is written.
    made.most_kept = 0
    made.flush(20)
    assert counts["sent"] == 0
    assert 985 <= counts["dropped"] <= 990
    assert made.counts() == {"sent": 0, "dropped": 1000}


def test_neither_thread_nor_spans_of_a_process_are_anothers(receiver):
    made = collecting(receiver, OTEL_BSP_SCHEDULE_DELAY="60000")
    ask(route="/parent")
    if (pid := os.fork()) == 0:
        try:
            ask(route="/child")
            made.flush(10)
        finally:
            os._exit(0 if made.counts() == {"sent": 1, "dropped": 0} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    made.flush(10)
    assert sorted(span.name for span in receiver.spans) == ["POST /child", "POST /parent"]
    one, other = receiver.resources
    assert one["service.instance.id"] != other["service.instance.id"]
    assert {one["process.pid"], other["process.pid"]} == {pid, os.getpid()}


def test_a_thread_that_can_not_begin_fails_no_request(receiver, monkeypatch):
    made = collecting(receiver)
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", lambda self: (_ for _ in ()).throw(RuntimeError("can't start new thread")))
        ask()
    ask()
    made.flush(10)
    assert made.counts() == {"sent": 2, "dropped": 0}


def test_a_fault_of_the_sender_does_not_end_it(receiver, monkeypatch, capsys):
    made = collecting(receiver)
    with monkeypatch.context() as patch:
        patch.setattr(otlp_encoding, "request", lambda *_: 1 // 0)
        ask()
        made.flush(10)
    ask()
    made.flush(10)
    assert made.counts() == {"sent": 1, "dropped": 1}
    assert "ZeroDivisionError" in capsys.readouterr().out


VALUES = st.text() | st.booleans() | st.integers(0, 2**63 - 1) | st.floats(allow_nan=False)


@given(
    st.dictionaries(st.text(), VALUES, max_size=4),
    st.text(),
    st.floats(0, 4e9),
    st.floats(0, 1e6),
    st.booleans(),
)
def test_whatever_a_span_holds_the_official_protobufs_read(attributes, name, began, seconds, success):
    link = Trace(TRACE, CALLER, True, "a=1")
    made = Span(asked=False, name=name, trace=TRACE, parent=CALLER, inside=True, began=began, seconds=seconds, success=success)
    made.attributes, made.links = {f"x{key}": value for key, value in attributes.items()}, [link]
    decoded = ExportTraceServiceRequest.FromString(otlp_encoding.request({"service.name": "mine"}, [made, made]))
    first, second = decoded.resource_spans[0].scope_spans[0].spans
    assert first == second
    assert (first.span_id.hex(), first.kind, first.status.code) == (made.id, Told.SPAN_KIND_INTERNAL, 0 if success else 2)
    assert told(first) == {key.encode(errors="replace").decode(): value for key, value in made.attributes.items()}
    assert first.end_time_unix_nano - first.start_time_unix_nano == round(seconds * 1e9)
    assert (first.links[0].trace_id.hex(), first.links[0].span_id.hex(), first.links[0].trace_state) == (TRACE, CALLER, "a=1")


@given(st.integers(0, 2**40), st.text())
def test_an_answer_tells_how_many_were_refused(count, message):
    answer = ExportTraceServiceResponse()
    answer.partial_success.error_message = message
    answer.partial_success.rejected_spans = count
    assert otlp_encoding.refused(answer.SerializeToString()) == count
    assert otlp_encoding.refused(b"") == 0


@given(st.binary())
def test_an_answer_that_is_none_of_otlps_is_read_or_refused_as_one(answer):
    with suppress(ValueError):
        assert otlp_encoding.refused(answer) >= 0


def test_start_collects_only_where_it_is_asked_for():
    otlp.start({})
    assert spans.counts() == {}
    otlp.start({ENDPOINT: "http://127.0.0.1:4318"})
    assert spans.counts() == {"sent": 0, "dropped": 0}
    spans.collect(None)

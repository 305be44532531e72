"""Log lines as Cloud Logging reads them, and as they are elsewhere."""

import contextvars
import json
import re
import sys
from contextlib import suppress
from functools import partial

import orjson
import pytest

from handlers.functions import logs, traces

TRACE, SPAN = "105445aa7843bc8bf206b12000100000", "000000000000001f"
GOOGLE = {"x-cloud-trace-context": f"{TRACE}/31;o=1"}
W3C = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.fixture
def cloud_run(monkeypatch):
    monkeypatch.setenv("K_SERVICE", "mine")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")


def written(capsys, headers=None, **fields):
    def write():
        traces.follow(headers or {})
        logs.write("odd", **fields)

    contextvars.copy_context().run(write)
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


LATER = {"traceparent": f"cc-{TRACE}-{SPAN}-01-what-comes-later"}


@pytest.mark.parametrize(
    "headers",
    [GOOGLE, W3C, GOOGLE | {"traceparent": f"00-{'0' * 31}1-{SPAN}-00"}, LATER],
    ids=["google", "w3c", "both", "later version"],
)
def test_a_line_on_cloud_run_stands_beside_its_request(capsys, cloud_run, headers):
    line = written(capsys, headers, level="WARNING", request_id="r1")
    assert (line["severity"], line["level"], line["request_id"], line["event"]) == ("WARNING", "WARNING", "r1", "odd")
    assert line["time"] == line["timestamp"]
    assert line["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
    assert (line["logging.googleapis.com/spanId"], line["logging.googleapis.com/trace_sampled"]) == (SPAN, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "00-1-2-3"},
        {"x-cloud-trace-context": f"{TRACE}/1\n"},
        {"x-cloud-trace-context": f"{'0' * 32}/1;o=1"},
        # W3C Trace Context, 3.2.2: no version, ids of zeros, capitals, more than its version has.
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01-more"},
        {"traceparent": f"cc-{TRACE}-{SPAN}-01.more"},
    ],
    ids=str,
)
def test_headers_that_tell_of_no_trace_are_passed_over(capsys, cloud_run, headers):
    line = written(capsys, headers)
    assert line["severity"] == "INFO"
    assert [name for name in line if name.startswith("logging.googleapis.com")] == []


def test_a_trace_without_a_span_or_a_decision_is_one(capsys, cloud_run):
    assert traces.of({"x-cloud-trace-context": TRACE}) == traces.Trace(TRACE, None, False)
    # A span is a number of 64 bits, and 0 is none.
    assert traces.of({"x-cloud-trace-context": f"{TRACE}/{2**64 - 1}"}) == traces.Trace(TRACE, "f" * 16, False)
    for span in (0, 2**64, 10**20 - 1):
        assert traces.of({"x-cloud-trace-context": f"{TRACE}/{span};o=1"}) == traces.Trace(TRACE, None, True)
    assert "logging.googleapis.com/spanId" not in written(capsys, {"x-cloud-trace-context": TRACE})


def test_elsewhere_a_line_has_the_ids_alone(capsys, monkeypatch):
    monkeypatch.delenv("K_SERVICE", raising=False)
    assert set(written(capsys)) == {"timestamp", "level", "event"}
    line = written(capsys, GOOGLE)
    assert set(line) == {"timestamp", "level", "event", "trace_id", "span_id"}
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize(("state", "kept"), [("one=1,two=2", "one=1,two=2"), ("a=\n", ""), ("x" * 513, "")], ids=["some", "a line", "long"])
def test_what_vendors_keep_in_a_trace_goes_on(state, kept):
    assert traces.of(W3C | {"tracestate": state}).headers == W3C | ({"tracestate": kept} if kept else {})
    assert traces.of({"tracestate": state}) is None


def test_one_requests_trace_is_not_anothers(capsys, cloud_run):
    assert "logging.googleapis.com/trace" in written(capsys, GOOGLE)
    assert "logging.googleapis.com/trace" not in written(capsys)


def test_a_faster_encoder_writes_the_same_line_and_what_is_no_ascii_stays_escaped(capsys):
    fields = {"route": "/x\x85\u2028\x9b31m", "kept": {1: "no JSON name"}, "half": "\ud800"}
    written = []
    for encode in (None, partial(orjson.dumps, default=repr)):
        logs._faster[:] = [encode] if encode else []
        for name, value in {**fields, "status": 200}.items():
            logs.write("request", **{name: value})
        written.append([re.sub(r'"timestamp":"[^"]+"', "", line) for line in capsys.readouterr().out.splitlines()])
    logs._faster.clear()
    assert len(written[0]) == len(fields) + 1
    assert written[0] == written[1]


class Pipe:
    """What is written at once, each time."""

    def __init__(self):
        self.written = []

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass


def test_what_is_written_at_once_is_whole_lines_that_a_pipe_does_not_part(monkeypatch):
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    logs.write_together("many", [(1.0, None, {"number": number, "text": "a" * (number % 700)}) for number in range(200)])
    logs.write("long", text="a" * 5000)
    assert [json.loads(line)["number"] for text in pipe.written[:-1] for line in text.splitlines()] == list(range(200))
    assert all(text.endswith("\n") and len(text) <= 4096 for text in pipe.written[:-1])
    assert len(pipe.written) < 30
    assert json.loads(pipe.written[-1])["text"] == "a" * 5000


def test_of_a_long_traceback_the_end_is_told(monkeypatch):
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)

    def deep(levels):
        if levels:
            deep(levels - 1) if levels % 2 else (lambda: deep(levels - 1))()
        raise ValueError("it broke")

    try:
        deep(60)
    except ValueError as error:
        logs.write_fault("fault", error)
    (line,) = pipe.written
    assert len(line) <= 4096
    assert json.loads(line)["traceback"].endswith("ValueError: it broke\n")


@pytest.mark.parametrize(
    "write", [lambda: logs.write("odd"), lambda: logs.write_together("odd", [(1.0, None, {})])], ids=["one", "several"]
)
def test_a_log_that_can_not_be_written_is_nobodys_fault(monkeypatch, capsys, write):
    monkeypatch.setattr(logs, "_unwritten", [])
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        write()
        write()
        assert capsys.readouterr().err == "The log can't be written: No space left on device. This is told once.\n"
        monkeypatch.undo()
        with suppress(OSError):
            full.close()

"""The role `api` as a process: a gateway's requests in, calls of an endpoint that lets nobody in without a token, answers out."""

import concurrent.futures
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from handlers.functions.environment import SettingsError
from handlers.functions.gcp import api
from handlers.web.process import AHEAD_S, Boot
from tests.parts.handlers.gcp.servers import metadata_server
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import exit_of, running
from tests.parts.handlers.test_lingering import answer_while_sending

ROLE = ("handlers.functions.gcp", "api")
PROBE = "/health/startup"
TRACE = "105445aa7843bc8bf206b12000100000"
LIMIT = 4096


@pytest.fixture(scope="module")
def metadata():
    with metadata_server() as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(server, metadata):
    """The model server, in front of it what Cloud Run does: the caller's ID token is judged."""
    with front_of(str(server.client.base_url), "/run/endpoint") as made:
        made.guard = lambda headers: metadata.lets_in(headers, made.address)
        yield made


def variables(endpoint, metadata, **more):
    told = {"ENDPOINT_URL": endpoint.address, "GCE_METADATA_HOST": metadata.host, "MODEL_TASK": "feature-extraction"}
    return told | {"K_SERVICE": "mine", "GOOGLE_CLOUD_PROJECT": "my-project", "MAX_BODY_BYTES": str(LIMIT), "SERVICE": "mine"} | more


@contextlib.contextmanager
def function_of(folder, endpoint, metadata, **more):
    with running(folder, module=ROLE, probe=PROBE, **variables(endpoint, metadata, **more)) as started:
        yield started


@pytest.fixture(scope="module")
def function(endpoint, metadata, workshop):
    limits = {"BODY_TIMEOUT_S": "0.5", "ENDPOINT_TIMEOUT_S": "10", "CONCURRENCY": "4"}
    with function_of(workshop, endpoint, metadata, **limits) as started:
        yield started


@pytest.fixture(autouse=True)
def mended(endpoint, metadata):
    """Whatever the test before has broken."""
    endpoint.statuses.clear()
    endpoint.cut_after.clear()
    endpoint.seen.clear()
    endpoint.delay_s = 0
    metadata.asked.clear()
    metadata.failing.clear()


def assert_problem(answer, status, name):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert (answer.json()["status"], answer.json()["type"]) == (status, f"urn:pilotlight:problem:{name}")
    return answer.json()["detail"]


def lines(started, event):
    # Among them are lines of the web server's own, about requests of other tests that were none.
    found = [json.loads(line) for line in started.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def test_a_request_reaches_the_model_and_its_answer_comes_back_as_it_is(function, server, endpoint, metadata):
    answer = function.predict({"inputs": "cold start"})
    assert (answer.status_code, answer.content) == (200, server.predict({"inputs": "cold start"}).content)
    method, path, headers = endpoint.seen[-1]
    assert (method, path) == ("POST", "/run/endpoint/predict")
    assert metadata.lets_in(headers, endpoint.address) is None


def test_one_token_serves_many_requests(function, metadata):
    for _ in range(3):
        assert function.predict({"inputs": "cold"}).status_code == 200
    assert len(metadata.asked) <= 1


def test_one_id_and_one_trace_go_along(function, server, endpoint):
    headers = {"x-request-id": "mine-1", "x-cloud-trace-context": f"{TRACE}/31;o=1"}
    answer = function.client.post("/predict", json={"inputs": "cold"}, headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    _, _, handed_on = endpoint.seen[-1]
    assert (handed_on["x-request-id"], handed_on["traceparent"]) == ("mine-1", f"00-{TRACE}-{31:016x}-01")
    line = lines(function, "request")[-1]
    assert (line["request_id"], line["gateway_request_id"], line["status"], line["severity"]) == ("mine-1", TRACE, 200, "INFO")
    assert line["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
    # The model server writes its line when its answer is gone.
    until = time.monotonic() + 5
    while (told := [each["request_id"] for each in lines(server, "request")])[-1] != "mine-1" and time.monotonic() < until:
        time.sleep(0.01)
    assert told[-1] == "mine-1"


def test_without_an_id_of_the_callers_the_traces_is_taken(function):
    answer = function.client.post("/predict", json={"inputs": "cold"}, headers={"traceparent": f"00-{TRACE}-{1:016x}-00"})
    assert answer.headers["x-request-id"] == TRACE


def test_a_cold_start_is_told_once_with_the_functions_own_part_in_front(tiny, metadata, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny)) as model, front_of(str(model.client.base_url)) as front:
        with function_of(tmp_path, front, metadata) as started:
            cold, warm = (started.predict({"inputs": "cold"}) for _ in range(2))
        names = [part.split(";")[0].strip() for part in cold.headers["server-timing"].split(",")]
        assert names == ["function-init", "endpoint-boot", "endpoint-import", "endpoint-fetch", "endpoint-load", "endpoint-first"]
        assert "server-timing" not in warm.headers
        (line,) = lines(started, "cold_start")
        assert list(line["stages"]) == names
        metrics = [(line["Service"], line["Stage"]) for line in lines(started, "metrics")]
        assert metrics == [("mine", name) for name in names]


def test_a_process_that_was_started_ahead_tells_no_cold_start(monkeypatch):
    def after(seconds):
        boot = Boot()
        boot.ready()
        now = time.monotonic()
        with monkeypatch.context() as patched:
            patched.setattr("handlers.web.process.time.monotonic", lambda: now + seconds)
            boot.came()
        return boot.take(), boot.take()

    (waited, later), (ahead, _) = after(AHEAD_S - 1), after(AHEAD_S + 1)
    assert set(waited) == {"function-init"}, "however short it was"
    assert (ahead, later) == ({}, {})


def test_a_token_that_is_refused_is_replaced_once(function, endpoint, metadata):
    endpoint.statuses[:] = [401]
    assert function.predict({"inputs": "cold"}).status_code == 200
    assert len(metadata.asked) == 1
    refused, taken = (headers["authorization"] for _, _, headers in endpoint.seen)
    assert refused != taken


@pytest.mark.parametrize(
    ("statuses", "status", "name", "calls"),
    [
        ([401, 401], 503, "not-ready", 2),
        ([403], 503, "not-ready", 1),
        ([404], 502, "model-failed", 1),
        ([500], 503, "not-ready", 1),
        ([503], 503, "not-ready", 1),
        ([504], 504, "deadline-exceeded", 1),
        ([429, 429, 429], 429, "throttled", 3),
    ],
    ids=str,
)
def test_what_cloud_run_refuses_is_mapped_and_nothing_internal_leaks(function, endpoint, statuses, status, name, calls):
    endpoint.statuses[:] = statuses
    answer = function.predict({"inputs": "cold"})
    assert "refused" not in assert_problem(answer, status, name)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert len(endpoint.seen) == calls
    line = lines(function, "endpoint_error")[-1]
    assert (line["status"], line["message"]) == (statuses[-1], f"refused with {statuses[-1]}")
    assert line["severity"] == ("ERROR" if statuses[-1] in (401, 403, 404) else "WARNING")


def test_a_throttled_call_and_a_lost_connection_are_tried_again(function, endpoint):
    endpoint.statuses[:] = [429]
    assert function.predict({"inputs": "cold"}).status_code == 200
    for bytes_ in (0, 20):
        endpoint.cut_after[:] = [bytes_]
        assert function.predict({"inputs": "cold"}).status_code == 200
    assert len(lines(function, "endpoint_dropped")) == 2


def test_a_refusal_of_the_model_server_is_handed_on(function):
    told = assert_problem(function.predict({"inputs": "cold", "parameters": {"top_k": 3}}), 422, "input-refused")
    assert "feature-extraction" in told
    # Fits the function's limit, not the server's of 8 texts.
    assert "8" in assert_problem(function.predict({"inputs": ["a"] * 9}), 422, "input-refused")


def test_an_endpoint_that_is_slow_is_given_up_in_time(endpoint, metadata, tmp_path):
    with function_of(tmp_path, endpoint, metadata, ENDPOINT_TIMEOUT_S="0.5") as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
        endpoint.delay_s = 2
        began = time.monotonic()
        assert_problem(started.predict({"inputs": "cold"}), 504, "deadline-exceeded")
        assert time.monotonic() - began < 1.5


def test_an_endpoint_or_a_metadata_server_that_is_not_there_is_not_ready(endpoint, metadata, tmp_path):
    with function_of(tmp_path, endpoint, metadata, ENDPOINT_URL="http://127.0.0.1:1") as started:
        assert_problem(started.predict({"inputs": "cold"}), 503, "not-ready")
        assert [line["severity"] for line in lines(started, "endpoint_unreachable")] == ["WARNING"]
    with function_of(tmp_path, endpoint, metadata, GCE_METADATA_HOST="127.0.0.1:1") as started:
        assert_problem(started.predict({"inputs": "cold"}), 503, "not-ready")
        assert [line["severity"] for line in lines(started, "token_unavailable")] == ["ERROR"]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"{", 400, "malformed-body"),
        (b"", 400, "malformed-body"),
        (b'{"inputs": []}', 422, "input-refused"),
        (b'{"inputs": {"uri": "gs://mine/private.txt"}}', 422, "input-refused"),
        (json.dumps({"inputs": "a" * LIMIT}).encode(), 413, "body-too-large"),
        (json.dumps({"inputs": "a" * LIMIT * 20}).encode(), 413, "body-too-large"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_request_that_can_only_fail_wakes_no_endpoint(function, endpoint, body, status, name):
    answer = function.client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert_problem(answer, status, name)
    assert endpoint.seen == []


def test_the_size_limit_holds_to_the_byte(function):
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        body = json.dumps({"inputs": "a" * (size - len('{"inputs": ""}'))}).encode()
        assert len(body) == size
        answer = function.client.post("/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status
        chunked = function.client.post("/predict", content=iter([body[:10], body[10:]]), headers={"content-type": "application/json"})
        assert chunked.status_code == status


@pytest.mark.parametrize(("header", "status"), [("Expect: 100-continue", 413), ("Content-Encoding: gzip", 415)])
def test_what_is_refused_unread_is_told_to_whoever_still_sends(function, header, status):
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\n{header}\r\nContent-Length: {1000 * LIMIT}\r\n\r\n"
    assert answer_while_sending(function.port, head.encode(), b"a" * LIMIT, 1000)[0] == status


def test_another_method_path_media_type_or_encoding_is_refused(function):
    answer = function.client.get("/predict")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert_problem(function.client.post("/", json={"inputs": "a"}), 404, "route-unknown")
    assert_problem(function.client.get("/results/1"), 404, "route-unknown")
    assert_problem(function.client.post("/predict", content=b"a", headers={"content-type": "text/plain"}), 415, "media-type-unsupported")
    assert_problem(function.client.post("/predict", json={}, headers={"content-encoding": "gzip"}), 415, "media-type-unsupported")
    assert_problem(function.client.post("/predict", json={}, headers={"x": "a" * 40_000, "y": "a" * 30_000}), 431, "headers-too-large")
    told = assert_problem(
        function.client.post("/predict", json={"inputs": "a"}, headers={"idempotency-key": "k"}), 400, "idempotency-key-refused"
    )
    assert "answers" in told


def test_a_body_that_comes_too_slowly_is_given_up(function):
    with socket.create_connection(("127.0.0.1", function.port), timeout=10) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {LIMIT}\r\n\r\n"
        connection.sendall(head.encode() + b'{"inputs": "')
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body-too-slow" in answer


def test_probes_are_answered_by_the_process_alone(function, endpoint):
    for path in ("/health/startup", "/health/live", "/health/ready"):
        assert function.client.get(path).status_code == 200
    assert endpoint.seen == []


def test_requests_are_answered_side_by_side_and_one_too_many_is_refused(function, endpoint):
    endpoint.delay_s = 1
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: function.predict({"inputs": "cold"}), range(6)))
    assert time.monotonic() - began < 3
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 503, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    endpoint.delay_s = 0
    assert function.predict({"inputs": "cold"}).status_code == 200


def test_a_client_that_leaves_while_it_sends_is_no_fault(function):
    with socket.create_connection(("127.0.0.1", function.port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    until = time.monotonic() + 5
    while not lines(function, "client_gone") and time.monotonic() < until:
        time.sleep(0.02)
    assert lines(function, "client_gone")
    assert lines(function, "function_fault") == []


def test_a_signal_lets_the_request_under_way_end_and_takes_no_new_one(endpoint, metadata, tmp_path):
    with function_of(tmp_path, endpoint, metadata) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
        endpoint.delay_s = 1
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": "cold"})))
        asking.start()
        time.sleep(0.3)
        started.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{started.port}{PROBE}")
        asking.join(timeout=30)
        assert answers[0].status_code == 200
        assert started.process.wait(timeout=10) == 0


def test_a_drain_that_runs_out_says_so_and_ends(endpoint, metadata, tmp_path):
    with function_of(tmp_path, endpoint, metadata, DRAIN_S="1") as started:
        endpoint.delay_s = 4
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": "cold"})))
        asking.start()
        time.sleep(0.3)
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(timeout=10) == 0
        assert time.monotonic() - began < 3
        asking.join(timeout=30)
        assert_problem(answers[0], 503, "overloaded")


def test_everything_that_it_writes_is_a_json_line_with_a_severity(function):
    assert function.predict({"inputs": "cold"}).status_code == 200
    assert {json.loads(line)["severity"] for line in function.log.splitlines()} <= {"INFO", "WARNING", "ERROR"}


def test_bad_variables_are_refused_all_at_once(tmp_path):
    with pytest.raises(SettingsError) as refusal:
        api.make({"ENDPOINT_URL": "endpoint", "ENDPOINT_TIMEOUT_S": "soon", "MODEL_TASK": "guess", "CONCURRENCY": "0"}, Boot())
    for part in ("ENDPOINT_URL is 'endpoint'", "ENDPOINT_TIMEOUT_S is 'soon'", "MODEL_TASK is 'guess'", "CONCURRENCY is '0'"):
        assert part in str(refusal.value)
    status, log = exit_of(tmp_path, ROLE)
    assert (status, json.loads(log)["event"]) == (1, "settings_refused")


def test_another_role_is_refused_with_those_that_there_are(tmp_path):
    status, log = exit_of(tmp_path, ("handlers.functions.gcp", "server"))
    assert status == 2
    assert "give one of api" in json.loads(log)["message"]


def test_its_cold_start_imports_no_sdk_and_nothing_of_the_model_server():
    modules = "handlers.functions.gcp.api, handlers.web.app, handlers.web.running"
    code = f"import sys, {modules}; print(*sys.modules)"
    found = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not {"google", "requests", "urllib3", "httpx", "botocore", "boto3", "numpy", "orjson"} & {
        name.partition(".")[0] for name in found
    }
    assert {name.split(".")[1] for name in found if name.startswith("handlers.")} == {"functions", "web"}

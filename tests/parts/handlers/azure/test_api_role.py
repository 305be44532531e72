"""The role `api` as a process: API Management's requests in, calls of a container app over TLS, answers out."""

import concurrent.futures
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from handlers.functions.azure import api
from handlers.functions.azure.endpoint import ContainerAppEndpoint
from handlers.functions.endpoint import Dropped, NotLetIn
from handlers.functions.environment import SettingsError
from handlers.functions.problems import DeadlineExceeded, ModelFailed, Throttled
from handlers.web.process import Boot
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import exit_of, running

ROLE = ("handlers.functions.azure", "api")
TRACE = "105445aa7843bc8bf206b12000100000"
UUID = "019c757a-5bd9-7d7e-8465-ab6273ab9e31"
LIMIT = 4096
# What the ingress answers where no replica does: Envoy's words, and the page of an app that is stopped.
NO_HOST = b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"
STOPPED = b"<!DOCTYPE html><html><title>Azure Container App - Unavailable</title><h1>Error 404 - This Container App is stopped</h1></html>"


@pytest.fixture(scope="module")
def endpoint(server, certificate):
    """The model server, in front of it an ingress."""
    with front_of(str(server.client.base_url), tls=certificate.context) as made:
        yield made


@contextlib.contextmanager
def function_of(folder, endpoint, certificate, **more):
    told = {"ENDPOINT_URL": endpoint.address, "SSL_CERT_FILE": str(certificate.ca_file), "MODEL_TASK": "feature-extraction"}
    told |= {"MAX_BODY_BYTES": str(LIMIT), "SERVICE": "mine", "ENDPOINT_TIMEOUT_S": "10", "CONTAINER_APP_NAME": "mine-predict"}
    with running(folder, module=ROLE, probe="/health/startup", **told | more) as started:
        yield started


@pytest.fixture(scope="module")
def function(endpoint, certificate, workshop):
    with function_of(workshop, endpoint, certificate, CONCURRENCY="4") as started:
        yield started


@pytest.fixture(autouse=True)
def mended(endpoint):
    """Whatever the test before has broken."""
    for each in (endpoint.statuses, endpoint.said, endpoint.cut_after, endpoint.lost, endpoint.seen, endpoint.bodies):
        each.clear()
    endpoint.delay_s = 0


def assert_problem(answer, status, name):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert (answer.json()["status"], answer.json()["type"]) == (status, f"urn:pilotlight:problem:{name}")
    return answer.json()["detail"]


def lines(started, event):
    found = [json.loads(line) for line in started.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def test_a_request_reaches_the_model_and_its_answer_comes_back_as_it_is(function, server, endpoint):
    answer = function.predict({"inputs": "cold start"})
    assert (answer.status_code, answer.content) == (200, server.predict({"inputs": "cold start"}).content)
    ((method, path, headers),) = endpoint.seen
    assert (method, path) == ("POST", "/predict")
    # An internal ingress asks for none, and what is not sent can't be kept by anybody.
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-ms-client-request-id": UUID, "x-request-id": UUID.replace("7d7e", "4d7e")}, UUID),
        ({"x-request-id": "mine-1"}, "mine-1"),
        ({"traceparent": f"00-{TRACE}-{1:016x}-00"}, TRACE),
        ({"x-ms-client-request-id": "mine\t2", "x-request-id": "mine-2"}, "mine-2"),
    ],
    ids=["as the ingress changes it", "the callers own", "the traces", "one that breaks lines"],
)
def test_one_id_goes_along_whichever_header_brings_it(function, endpoint, server, headers, expected):
    answer = function.client.post("/predict", json={"inputs": "cold"}, headers=headers)
    assert answer.headers["x-request-id"] == expected
    _, _, handed_on = endpoint.seen[-1]
    assert handed_on["x-request-id"] == handed_on["x-ms-client-request-id"] == expected
    assert lines(function, "request")[-1]["request_id"] == expected
    until = time.monotonic() + 5
    while lines(server, "request")[-1]["request_id"] != expected and time.monotonic() < until:
        time.sleep(0.01)
    assert lines(server, "request")[-1]["request_id"] == expected


def test_the_trace_goes_along(function, endpoint):
    function.client.post("/predict", json={"inputs": "cold"}, headers={"traceparent": f"00-{TRACE}-{31:016x}-01"})
    assert endpoint.seen[-1][2]["traceparent"] == f"00-{TRACE}-{31:016x}-01"


def test_a_cold_start_is_told_once_with_the_functions_own_part_in_front(tiny, certificate, tmp_path):
    with (
        running(tmp_path, MODEL_DIR=str(tiny)) as model,
        front_of(str(model.client.base_url), tls=certificate.context) as front,
        function_of(tmp_path, front, certificate) as started,
    ):
        cold, warm = (started.predict({"inputs": "cold"}) for _ in range(2))
        (line,) = lines(started, "cold_start")
        metrics = [(line["Service"], line["Stage"]) for line in lines(started, "metrics")]
    names = [part.split(";")[0].strip() for part in cold.headers["server-timing"].split(",")]
    assert names == ["function-init", "endpoint-boot", "endpoint-import", "endpoint-fetch", "endpoint-load", "endpoint-first"]
    assert "server-timing" not in warm.headers
    assert list(line["stages"]) == names
    assert metrics == [("mine", name) for name in names]


REFUSALS = {
    401: (b"", 503, "not-ready", 1),
    403: (b"RBAC: access denied", 503, "not-ready", 1),
    404: (STOPPED, 503, "not-ready", 1),
    429: (b"local_rate_limited", 429, "throttled", 3),
    500: (b"", 502, "model-failed", 1),
    502: (NO_HOST, 503, "not-ready", 3),
    503: (NO_HOST, 503, "not-ready", 3),
    504: (b"upstream request timeout", 504, "deadline-exceeded", 1),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_what_the_ingress_says_in_the_models_place_is_a_problem_of_ours(function, endpoint, status):
    said, expected, name, attempts = REFUSALS[status]
    endpoint.said[status] = ({"Content-Type": "text/html"}, said)
    endpoint.statuses[:] = [status] * attempts
    answer = function.predict({"inputs": "cold"})
    detail = assert_problem(answer, expected, name)
    assert len(endpoint.seen) == attempts
    assert "ingress" not in detail.lower() + answer.text.lower()
    assert ("retry-after" in answer.headers) == (expected in (429, 503))
    line = lines(function, "endpoint_error")[-1]
    assert (line["status"], line["level"]) == (status, "ERROR" if status in (401, 403, 404) else "WARNING")
    assert line["message"] == said.decode()


@pytest.mark.parametrize("status", [429, 502, 503])
def test_what_passes_is_asked_again_and_nobody_hears_of_it(function, endpoint, status):
    endpoint.statuses[:] = [status]
    assert function.predict({"inputs": "cold"}).status_code == 200
    assert len(endpoint.seen) == 2


def test_whether_it_was_let_in_says_nothing_of_the_request(certificate, monkeypatch, endpoint):
    """By which the pipeline of events decides whether an attempt counts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    called = ContainerAppEndpoint(endpoint.address)
    expected = {401: NotLetIn, 403: NotLetIn, 404: NotLetIn, 429: Throttled, 503: Dropped, 504: DeadlineExceeded, 418: ModelFailed}
    for status, problem in expected.items():
        endpoint.statuses[:] = [status] * 3
        with pytest.raises(problem):
            called.invoke(b'{"inputs":"a"}', request_id="id", budget_s=10)


def test_the_models_own_refusals_are_handed_on(function):
    assert "parameter" in assert_problem(function.predict({"inputs": "a", "parameters": {"none": 1}}), 422, "input-refused")
    assert_problem(function.predict({"inputs": ["a"] * 9}), 422, "input-refused")


def test_a_model_that_takes_too_long_is_a_deadline_that_was_kept(endpoint, certificate, tmp_path):
    endpoint.delay_s = 5
    with function_of(tmp_path, endpoint, certificate, ENDPOINT_TIMEOUT_S="1") as started:
        began = time.monotonic()
        assert_problem(started.predict({"inputs": "cold"}), 504, "deadline-exceeded")
        assert 0.9 < time.monotonic() - began < 3


def test_an_app_that_can_not_be_reached_or_proven_is_not_ready(endpoint, certificate, tmp_path):
    gone = "https://127.0.0.1:1"
    with function_of(tmp_path, endpoint, certificate, ENDPOINT_URL=gone) as started:
        assert_problem(started.predict({"inputs": "cold"}), 503, "not-ready")
        assert lines(started, "endpoint_unreachable")[-1]["endpoint"] == gone
    with function_of(tmp_path, endpoint, certificate, SSL_CERT_FILE="/dev/null") as started:
        assert_problem(started.predict({"inputs": "cold"}), 503, "not-ready")
    assert endpoint.seen == []


def test_requests_that_can_not_succeed_reach_no_model(function, endpoint):
    assert_problem(function.client.get("/predict"), 405, "method-not-allowed")
    assert_problem(function.client.post("/", json={"inputs": "a"}), 404, "route-unknown")
    assert_problem(function.client.get("/results/1"), 404, "route-unknown")
    assert_problem(function.predict({"inputs": "a" * LIMIT}), 413, "body-too-large")
    assert endpoint.seen == []


def test_an_answer_that_is_too_large_for_the_way_back_is_told(endpoint, certificate, tmp_path):
    with function_of(tmp_path, endpoint, certificate, MAX_ANSWER_BYTES="100") as started:
        assert_problem(started.predict({"inputs": "cold"}), 422, "answer-too-large")


def test_probes_are_answered_by_the_process_alone(function, endpoint):
    for path in ("/health/startup", "/health/live", "/health/ready"):
        assert function.client.get(path).status_code == 200
    assert endpoint.seen == []


def test_one_request_too_many_is_refused(function, endpoint):
    endpoint.delay_s = 1
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: function.predict({"inputs": "cold"}), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 503, 503]


def test_a_replica_that_is_told_to_go_has_longer_than_a_request_may_take(endpoint, certificate, tmp_path):
    with function_of(tmp_path, endpoint, certificate) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
        endpoint.delay_s = 9
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": "cold"})))
        asking.start()
        time.sleep(0.3)
        started.process.send_signal(signal.SIGTERM)
        asking.join(timeout=30)
        assert answers[0].status_code == 200
        assert started.process.wait(timeout=10) == 0


def test_bad_variables_are_refused_all_at_once(tmp_path):
    with pytest.raises(SettingsError) as refusal:
        api.make({"ENDPOINT_URL": "endpoint", "ENDPOINT_TIMEOUT_S": "soon", "MODEL_TASK": "guess", "MAX_ANSWER_BYTES": "many"}, Boot())
    for part in ("ENDPOINT_URL is 'endpoint'", "ENDPOINT_TIMEOUT_S is 'soon'", "MODEL_TASK is 'guess'", "MAX_ANSWER_BYTES is 'many'"):
        assert part in str(refusal.value)
    status, log = exit_of(tmp_path, ROLE)
    assert (status, json.loads(log)["event"]) == (1, "settings_refused")
    status, log = exit_of(tmp_path, ("handlers.functions.azure", "server"))
    assert status == 2
    assert "give one of api" in json.loads(log)["message"]


def test_its_cold_start_imports_no_sdk_no_storage_and_nothing_of_the_model_server():
    code = "import sys, handlers.functions.azure.api, handlers.web.app, handlers.web.running; print(*sys.modules)"
    found = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    tops = {name.partition(".")[0] for name in found}
    assert not {"azure", "msal", "requests", "urllib3", "httpx", "cryptography", "numpy", "orjson", "xml"} & tops
    ours = {name for name in found if name.startswith("handlers.")}
    assert {name.split(".")[1] for name in ours} == {"functions", "web"}
    assert {name for name in ours if name.startswith("handlers.functions.azure.")} == {
        f"handlers.functions.azure.{name}" for name in ("api", "callers", "endpoint", "places", "settings")
    }

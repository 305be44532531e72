"""The role `warmer`: as many pings as a schedule asks for reach the model behind its IAM, and count as no caller's request."""

import json

import pytest

from handlers.functions.deadline import Until
from handlers.functions.environment import SettingsError
from handlers.functions.gcp import warmer
from handlers.functions.http_request import HttpRequest
from handlers.web.process import Boot
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import running

ROLE = ("handlers.functions.gcp", "warmer")


def asked(role, body, path="/", method="POST"):
    request = HttpRequest(method, path, {}, body, None)
    return role.answer(lambda: request, call_id="batch", deadline=Until(10))


@pytest.fixture
def role():
    made, _ = warmer.make({"ENDPOINT_URL": "http://127.0.0.1:1", "GCE_METADATA_HOST": "127.0.0.1:1"}, Boot())
    return made


def test_a_schedule_warms_the_model_behind_its_iam(tiny, metadata, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny)) as model, front_of(str(model.client.base_url)) as front:
        front.guard = lambda headers: metadata.lets_in(headers, front.address)
        told = {"ENDPOINT_URL": front.address, "GCE_METADATA_HOST": metadata.host, "SERVICE": "mine", "K_SERVICE": "mine-warmer"}
        with running(tmp_path, module=ROLE, probe="/health/startup", **told) as started:
            first = started.client.post("/", content=b'{"parallel": 3}')
            second = started.client.post("/", content=b"")
            third = started.client.post("/", content=b'{"parallel": 2, "instances": 1}')
        assert (first.status_code, first.json()) == (200, {"pings": 3, "answered": 3, "cold": 1, "instances": 1})
        assert second.json() == {"pings": 1, "answered": 1, "cold": 0, "instances": 1}
        # Two pings that one instance may answer.
        assert third.json() == {"pings": 2, "answered": 2, "cold": 0, "instances": 1}
        assert 'pilotlight_pings_total{status="200"} 6' in model.client.get("/metrics").text
        assert "server-timing" not in model.predict({"inputs": "cold"}).headers
    lines = [json.loads(line) for line in started.log.splitlines()]
    assert [(line["Pings"], line["PingsCold"], line["PingsFailed"]) for line in lines if line["event"] == "metrics"] == [
        (3, 1, 0),
        (1, 0, 0),
        (2, 0, 0),
    ]
    assert [line["severity"] for line in lines if line["event"] == "warmed"] == ["WARNING", "INFO", "INFO"]


def test_pings_that_nobody_answers_are_a_failure_for_the_schedule(role):
    answer = asked(role, b'{"parallel": 2}')
    assert (answer.status, json.loads(answer.body)["type"]) == (502, "urn:pilotlight:problem:model-failed")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"parallel": 0}',
        b'{"parallel": "2"}',
        b'{"instances": 0}',
        b'{"until": 1}',
        b'{"until": "2027-01-31"}',
        b"[]",
        b'"many"',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_another_order_is_refused(role, body):
    assert asked(role, body).status == 422


def test_when_the_lease_is_over_nothing_is_pinged(role):
    answer = asked(role, b'{"parallel": 2, "until": "2020-01-31T23:00:00Z"}')
    assert (answer.status, json.loads(answer.body)) == (200, {"over": "2020-01-31 23:00:00+00:00"})
    assert asked(role, b'{"until": "2999-01-31T23:00:00Z"}').status == 502


def test_only_a_post_to_the_root_is_an_order(role):
    assert asked(role, b"{}", path="/predict").status == 404
    assert asked(role, b"{}", method="GET").status == 405


def test_bad_variables_are_refused_all_at_once():
    with pytest.raises(SettingsError, match=r"(?s)ENDPOINT_URL is not set.*REQUEST_TIMEOUT_S is 'soon'"):
        warmer.make({"REQUEST_TIMEOUT_S": "soon"}, Boot())

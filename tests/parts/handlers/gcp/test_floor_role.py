"""The role `floor`: a budget's messages in; schedules paused and the floor dropped once all of it is spent."""

import base64
import json

import pytest

from handlers.functions.deadline import Until
from handlers.functions.environment import SettingsError
from handlers.functions.gcp import floor
from handlers.functions.http_request import HttpRequest
from handlers.web.process import Boot
from tests.parts.handlers.gcp.servers import apis_of

JOBS = [f"projects/my-project/locations/europe-west1/jobs/mine-{name}" for name in ("up", "ping")]
SERVICE = "projects/my-project/locations/europe-west1/services/mine"


@pytest.fixture
def apis():
    with apis_of(jobs=dict.fromkeys(JOBS, "ENABLED"), floors={SERVICE: 2}) as made:
        yield made


@pytest.fixture
def role(apis, metadata, monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", f"{apis.address}/")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER", f"{apis.address}/")
    made, _ = floor.make({"SCHEDULES": ",".join(JOBS), "ENDPOINT_SERVICE": SERVICE}, Boot())
    return made


def told(role, **message):
    """The answer to a budget's message."""
    data = {"budgetDisplayName": "mine", "costAmount": 0, "budgetAmount": 100, "currencyCode": "USD"} | message
    return pushed(role, json.dumps(data).encode())


def pushed(role, data):
    body = {"message": {"data": base64.b64encode(data).decode(), "messageId": "1", "attributes": {"billingAccountId": "0"}}}
    request = HttpRequest("POST", "/", {}, json.dumps(body).encode(), None)
    return role.answer(lambda: request, call_id="call", deadline=Until(10))


def test_a_spent_budget_pauses_what_raises_the_floor_and_drops_it(role, apis, capsys):
    answer = told(role, costAmount=100.0, alertThresholdExceeded=1.0)
    assert (answer.status, json.loads(answer.body)["done"]) == (200, [*(f"paused {job}" for job in JOBS), f"cooled {SERVICE}"])
    assert (apis.jobs, apis.floors) == (dict.fromkeys(JOBS, "PAUSED"), {SERVICE: 0})
    assert {authorization for _, _, authorization in apis.asked} == {"Bearer access-1", "Bearer access-2"}
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["level"]) == ("floor_dropped", "WARNING")


def test_a_budget_that_tells_how_it_stands_changes_nothing(role, apis):
    for share in (0, 0.5, 0.999):
        assert json.loads(told(role, costAmount=100 * share, alertThresholdExceeded=share).body) == {"done": []}
    assert apis.asked == []


def test_a_message_that_comes_again_changes_nothing_more(role, apis, capsys):
    told(role, costAmount=120)
    capsys.readouterr()
    apis.asked.clear()
    assert json.loads(told(role, costAmount=130).body) == {"done": []}
    assert [method for method, _, _ in apis.asked] == ["GET"] * 3
    assert capsys.readouterr().out == ""


def test_a_part_that_fails_leaves_the_others_done_and_comes_again(role, apis, capsys):
    apis.failing[f"/v1/{JOBS[0]}:pause"] = 503
    assert told(role, costAmount=120).status == 503
    assert (apis.jobs, apis.floors) == ({JOBS[0]: "ENABLED", JOBS[1]: "PAUSED"}, {SERVICE: 0})
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["part"]) == ("floor_in_part", JOBS[0])
    apis.failing.clear()
    assert json.loads(told(role, costAmount=120).body) == {"done": [f"paused {JOBS[0]}"]}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"costAmount": 1}', b'{"costAmount": "much", "budgetAmount": 1}'])
def test_what_is_no_budgets_message_is_refused(role, apis, data):
    assert pushed(role, data).status == 400
    assert apis.asked == []


def test_what_is_no_message_is_refused(role):
    request = HttpRequest("POST", "/", {}, b'{"costAmount": 2, "budgetAmount": 1}', None)
    assert role.answer(lambda: request, call_id="call", deadline=Until(10)).status == 400


@pytest.mark.parametrize(
    "variables", [{}, {"SCHEDULES": "mine-up"}, {"ENDPOINT_SERVICE": "mine"}, {"SCHEDULES": f"{JOBS[0]},"}, {"ENDPOINT_SERVICE": JOBS[0]}]
)
def test_names_that_are_none_are_refused(variables):
    with pytest.raises(SettingsError, match=r"SCHEDULES|ENDPOINT_SERVICE"):
        floor.make(variables, Boot())


def test_a_stack_without_schedules_has_a_floor_too(apis, metadata, monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", apis.address)
    made, _ = floor.make({"ENDPOINT_SERVICE": SERVICE}, Boot())
    assert json.loads(told(made, costAmount=120).body) == {"done": [f"cooled {SERVICE}"]}

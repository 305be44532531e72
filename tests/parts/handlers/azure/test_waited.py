"""What a caller has waited before its request came here: the gateway tells it, and the function has that much less."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from handlers.functions.azure import callers
from tests.parts.handlers.answering import Model
from tests.parts.handlers.answers_told import accepted
from tests.parts.handlers.azure.answering import Cloud, asked

TIMES = {"ENDPOINT_TIMEOUT_S": "28", "REQUEST_TIMEOUT_S": "29"}


@pytest.fixture
def cloud(azure, monkeypatch):
    monkeypatch.setenv("CONTAINER_APP_NAME", "mine-predict")
    return Cloud(azure)


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def budget(cloud, **headers):
    """The seconds that the model is given."""
    model = Model()
    assert asked(cloud.function(model, **TIMES), seconds=29, **headers).status == 200
    [given] = model.budgets
    return given


def test_a_function_that_started_for_its_caller_has_what_the_gateway_will_still_wait(cloud):
    # Half a second for the answer, two to hand over.
    assert budget(cloud, x_pilotlight_arrived=ago(22)) == pytest.approx(29 - 22 - 2.5, abs=0.5)
    assert budget(cloud) == pytest.approx(26, abs=0.5)


def test_with_nothing_left_the_work_is_handed_over_at_once(cloud):
    model = Model()
    accepted(asked(cloud.function(model, **TIMES), seconds=29, x_pilotlight_arrived=ago(27)))
    assert model.budgets == []


@pytest.mark.parametrize("told", [-3600, 29, 3600, None], ids=["of the future", "too long", "long ago", "untold"])
def test_what_can_not_be_takes_nothing_away(cloud, told):
    headers = {"x_pilotlight_arrived": "soon" if told is None else ago(told)}
    assert budget(cloud, **headers) == pytest.approx(26, abs=0.5)


@pytest.mark.parametrize("text", ["{}.1234567Z", "{}.123+00:00", "{}"])
def test_moments_are_read_as_the_gateway_may_write_them(text):
    """.NET has seven digits, and a zone where it knows one."""
    at = datetime.fromtimestamp(time.time() - 5, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert callers.waited_s({callers.ARRIVED_HEADER: text.format(at)}) == pytest.approx(5, abs=1.5)

"""Alarms on what is slow or too busy, on whole stacks: silent at rest, going off while it lasts, silent again afterwards."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.observed import observed_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.support.deployment import Deployment, post
from tests.support.size import only_all

# A deadline that a large request surely comes close to, and how many of these are sent at once: more than Lambda may run.
SECONDS, AT_ONCE = 1, 4
LARGE = {"inputs": ["scales to zero and starts fast " * 40] * 256}
# Two times, as far apart as the calls of a stack that mostly rests, and on Azure the next quarter of an hour; over in an hour, wherever.
TIMES, APART_S, MINUTES, QUARTER_S, OVER_S = 2, 600, 3, 900, 3600
# By default the one whose model is a function, which is watched twice: for its requests and for its throttles.
USUAL = "aws-lambda-api"
APIS = [ready for ready in STACKS if ready.pattern == "api" and "gpu" not in ready.service["endpoint"]]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A stack that is up, and the time that goes on for it."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]

    def goes_on(self, seconds: float) -> None:
        self.deployment.twin("clock", {"advance_s": seconds})

    def alarms(self) -> set[str]:
        return observed_of(self.deployment, self.outputs).alarms()


def watched(deployment: Deployment, ready: ReadyStack, changes: dict[str, Any]) -> Watched:
    deployment.configure(ready.name, changes)
    assert deployment.up(ready.name)["result"] == "succeeded"
    return Watched(deployment=deployment, ready=ready, outputs=deployment.outputs(ready.name))


@pytest.mark.parametrize("ready", [pytest.param(each, id=each.name, marks=() if each.name == USUAL else only_all) for each in APIS])
def test_slow_predictions_set_off_the_models_alarm_and_calls_beyond_its_concurrency_their_own(
    deployment: Deployment, ready: ReadyStack
) -> None:
    lambda_ = ready.service["endpoint"]["platform"] == "aws-lambda"
    aws = ready.cloud == "aws"
    bounded = {"maxConcurrency": 1} if aws else {}
    # So that who waits for an answer can wait for it on Azure, where the function has a start of its own.
    quick = {"coldStartSeconds": 4} if ready.cloud == "azure" else {}
    made = watched(deployment, ready, {"answers": None, "endpoint": {"predictSeconds": SECONDS, **bounded, **quick}})
    for _ in range(TIMES):
        assert post(made.outputs, {"inputs": "quick"}).status_code == 200
        made.goes_on(APART_S)
    made.goes_on(QUARTER_S)
    assert made.alarms() == set()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for time_ in range(TIMES):
            made.goes_on(APART_S if time_ else 0.001)
            said = {answer.status_code for answer in pool.map(lambda _: post(made.outputs, LARGE), range(AT_ONCE))}
            # A gateway of AWS has no other words for a function that is throttled.
            assert said <= {200, 429, 500 if lambda_ else 502, 502, 503, 504}, said
            made.goes_on(60)
    made.goes_on(QUARTER_S if ready.cloud == "azure" else 0.001)
    slow = "function-duration" if lambda_ else "endpoint-latency"
    expected = {slow, "function-throttles" if lambda_ else "endpoint-throttles"} if aws else {slow}
    # The model server's last line is read a moment after its answer.
    for _ in range(MINUTES):
        if not expected <= made.alarms():
            made.goes_on(60)
    assert made.alarms() >= expected, deployment.run("logs", ready.name, "--tail", "60").stdout
    made.goes_on(OVER_S)
    assert made.alarms() == set()
    deployment.report("destroy", ready.name)

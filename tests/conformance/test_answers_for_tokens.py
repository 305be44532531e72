"""Answers that come later behind an HTTP API: its stage deploys every change at once, so a route never outlives its grant.

In the large run; what REST APIs do without answers is in every run (test_answers.py).
"""

import time
from typing import Any

import httpx

from tests.conformance.answering import STACK, assert_accepted
from tests.support.deployment import Deployment
from tests.support.issuer import AUDIENCE, serving, token
from tests.support.load import at_a_steady_rate
from tests.support.size import only_all

BODY = {"inputs": "a caller with a token"}
ANSWER_S = 90


def answered(url: str, headers: dict[str, str]) -> httpx.Response:
    """What is at the address once it is no longer 202."""
    deadline = time.monotonic() + ANSWER_S
    while (found := httpx.get(url, headers=headers, timeout=60)).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


@only_all
def test_without_answers_the_gateway_knows_no_results_and_no_call_fails_meanwhile(deployment: Deployment) -> None:
    with serving() as issuer:
        identity = {"mode": "jwt", "issuer": issuer, "audience": [AUDIENCE], "dailyQuota": None}
        deployment.configure(STACK, {"auth": identity, "accessLogs": None})
        assert deployment.up(STACK)["result"] == "succeeded"
        url = deployment.outputs(STACK)["url"]

        def caller() -> dict[str, str]:
            return {"authorization": f"Bearer {token(issuer)}"}

        accepted = httpx.post(url, json=BODY, headers=caller() | {"prefer": "respond-async"}, timeout=60)
        result = assert_accepted(accepted)
        assert answered(result, caller()).status_code == 200

        def seen() -> tuple[int, dict[str, Any]]:
            answer = httpx.get(result, headers=caller(), timeout=60)
            return answer.status_code, answer.json()

        deployment.configure(STACK, {"answers": None})
        with at_a_steady_rate(seen, per_second=10) as calls:
            assert deployment.up(STACK)["result"] == "succeeded"
        assert calls.errors == []
        # The new function knows of no results (405), then the route goes. Without a right (503) or a grant (500) in between, neither would.
        assert {status for status, _ in calls.results} <= {200, 404, 405}, calls.results
        assert seen() == (404, {"message": "Not Found"})
        assert httpx.post(url, json=BODY, headers=caller(), timeout=60).status_code == 200
    deployment.report("destroy", STACK)

"""Who may not call is told so with the documented status, and neither function nor endpoint hears of it: the gateway answers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.conformance.observed import Observed, Reached
from tests.support.deployment import Deployment
from tests.support.issuer import AUDIENCE, OTHER_KEY, serving, token
from tests.support.size import only_all

BURST, DAILY = 5, 12
BODY = {"inputs": "may I?"}
UNREACHED = Reached(function=0, endpoint=0, started=frozenset())
# More calls than the limits let through, so that one is refused for certain.
MANY = 3 * DAILY


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A stack that is up, and how its callers say who they are."""

    deployment: Deployment
    outputs: dict[str, Any]
    observed: Observed
    issuer: str | None

    @property
    def right(self) -> dict[str, str]:
        """Headers of somebody who may call."""
        return {"x-api-key": self.outputs["apiKey"]} if self.issuer is None else bearer(token(self.issuer))

    def call(self, headers: Mapping[str, str], *, method: str = "POST", path: str = "predict") -> httpx.Response:
        url = self.outputs["url"].removesuffix("predict") + path
        return httpx.request(method, url, json=BODY if method == "POST" else None, headers=headers, timeout=60)

    def until_refused(self) -> tuple[int, httpx.Response]:
        """How many calls in a row were answered 200, and the first other answer. The twin's clock stands still meanwhile."""
        self.deployment.twin("clock", {"speed": 0})
        try:
            for count in range(MANY):
                answer = self.call(self.right)
                if answer.status_code != 200:
                    return count, answer
        finally:
            self.deployment.twin("clock", {"speed": 1})
        raise AssertionError(f"{MANY} calls at once were answered 200")


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def guarded(deployment: Deployment, stack: str, issuer: str | None) -> Guarded:
    limits = {"requestsPerSecond": 1, "burst": BURST}
    if issuer is None:
        deployment.configure(stack, {"auth": {**limits, "dailyQuota": DAILY}})
    else:
        identity = {"mode": "jwt", "issuer": issuer, "audience": [AUDIENCE], "scopes": ["read"], "dailyQuota": None}
        deployment.configure(stack, {"auth": {**limits, **identity}, "accessLogs": None})
    assert deployment.up(stack)["result"] == "succeeded"
    outputs = deployment.outputs(stack)
    return Guarded(deployment=deployment, outputs=outputs, observed=Observed(deployment, outputs), issuer=issuer)


@pytest.fixture(scope="module", params=["aws-sagemaker-api", pytest.param("aws-lambda-api", marks=only_all)])
def keyed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Guarded]:
    yield guarded(deployment, request.param, None)
    deployment.report("destroy", request.param)


@pytest.fixture(scope="module", params=["aws-lambda-api", pytest.param("aws-sagemaker-api", marks=only_all)])
def tokened(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Guarded]:
    with serving() as issuer:
        yield guarded(deployment, request.param, issuer)
    deployment.report("destroy", request.param)


def assert_problem(answer: httpx.Response, status: int, detail: str) -> None:
    """A problem document of the gateway, with the id that the access log has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (said["status"], said["requestId"]) == (status, answer.headers["x-amzn-requestid"])
    assert detail in said["detail"]


@pytest.mark.parametrize(
    ("headers", "how", "status", "detail"),
    [
        ({}, {}, 403, "x-api-key"),
        ({"x-api-key": "not-the-key"}, {}, 403, "x-api-key"),
        (bearer("x.y.z"), {}, 403, "x-api-key"),
        (None, {"path": "nowhere"}, 404, "POST /predict"),
        (None, {"path": "predict/deeper"}, 404, "POST /predict"),
        (None, {"method": "GET"}, 404, "POST /predict"),
    ],
)
def test_a_call_without_a_right_key_or_route_starts_nothing(
    keyed: Guarded, headers: dict[str, str] | None, how: dict[str, str], status: int, detail: str
) -> None:
    assert_problem(keyed.call(keyed.right if headers is None else headers, **how), status, detail)
    assert keyed.observed.reached() == UNREACHED


def test_calls_beyond_the_rate_are_told_when_to_come_again(keyed: Guarded) -> None:
    answered, refused = keyed.until_refused()
    assert answered == BURST
    assert_problem(refused, 429, "a second")
    assert refused.headers["retry-after"] == "1"
    seen = keyed.observed.reached()
    assert (seen.function, seen.endpoint) == (BURST, BURST), "calls that were answered, and no others"
    assert seen.started, "a call that is let through is seen"


def test_calls_beyond_the_quota_are_refused_until_the_next_day(keyed: Guarded) -> None:
    answered = BURST
    while answered < DAILY:
        keyed.deployment.twin("clock", {"advance_s": BURST})
        count, refused = keyed.until_refused()
        answered += count
    keyed.deployment.twin("clock", {"advance_s": BURST})
    refused = keyed.call(keyed.right)
    assert_problem(refused, 429, "quota")
    assert "retry-after" not in refused.headers
    seen = keyed.observed.reached()
    assert (seen.function, seen.endpoint) == (DAILY, DAILY)
    keyed.deployment.twin("clock", {"advance_s": 24 * 3600})
    assert keyed.call(keyed.right).status_code == 200


WRONG_TOKENS: dict[str, Callable[[str], dict[str, str]]] = {
    "none": lambda issuer: {},
    "broken": lambda issuer: bearer("x.y.z"),
    "a key instead": lambda issuer: {"x-api-key": "x" * 40},
    "expired": lambda issuer: bearer(token(issuer, exp=1)),
    "another audience": lambda issuer: bearer(token(issuer, aud="elsewhere")),
    "another issuer": lambda issuer: bearer(token(issuer, iss="https://issuer.example")),
    "another's signature": lambda issuer: bearer(token(issuer, OTHER_KEY)),
}


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_a_call_without_a_valid_token_starts_nothing(tokened: Guarded, wrong: str) -> None:
    assert tokened.issuer is not None
    answer = tokened.call(WRONG_TOKENS[wrong](tokened.issuer))
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert tokened.observed.reached() == UNREACHED


def test_a_token_without_the_scope_starts_nothing(tokened: Guarded) -> None:
    assert tokened.issuer is not None
    answer = tokened.call(bearer(token(tokened.issuer, scope="write")))
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert tokened.observed.reached() == UNREACHED


@pytest.mark.parametrize("how", [{"path": "nowhere"}, {"path": "predict/deeper"}, {"method": "GET"}])
def test_a_token_opens_no_other_route(tokened: Guarded, how: dict[str, str]) -> None:
    answer = tokened.call(tokened.right, **how)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert tokened.observed.reached() == UNREACHED


def test_calls_beyond_the_rate_of_the_stage_are_refused(tokened: Guarded) -> None:
    answered, refused = tokened.until_refused()
    assert answered == BURST
    assert (refused.status_code, refused.json()) == (429, {"message": "Too Many Requests"})
    seen = tokened.observed.reached()
    assert (seen.function, seen.endpoint) == (BURST, BURST)
    assert seen.started

"""Who may not call is told so with the documented status, and neither function nor endpoint hears of it: the gateways of AWS answer."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conformance.guarded import UNREACHED, Guarded, bearer, guarded
from tests.support.deployment import Deployment
from tests.support.issuer import AUDIENCE, OTHER_KEY, token
from tests.support.size import only_all

BURST, DAILY = 5, 12
# More calls than the limits let through, so that one is refused for certain.
MANY = 3 * DAILY
LIMITS = {"requestsPerSecond": 1, "burst": BURST}
# Settings beside the mode, and of the service, by mode.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "api-key": ({**LIMITS, "dailyQuota": DAILY}, {}),
    "jwt": ({**LIMITS, "audience": [AUDIENCE], "scopes": ["read"], "dailyQuota": None}, {"accessLogs": None}),
}


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Guarded]:
    """The stack of that name behind that gateway; one of them at a time."""
    stack, mode = request.param
    auth, others = SETTINGS[mode]
    with guarded(deployment, stack, mode, auth, **others) as found:
        yield found


def behind(mode: str, first: str, other: str) -> pytest.MarkDecorator:
    """One stack behind the gateway of that mode by default, and another one on request."""
    runs = [pytest.param((first, mode), id=f"{first}-{mode}"), pytest.param((other, mode), id=f"{other}-{mode}", marks=only_all)]
    return pytest.mark.parametrize("up", runs, indirect=True, scope="module")


keyed = behind("api-key", "aws-sagemaker-api", "aws-lambda-api")
tokened = behind("jwt", "aws-lambda-api", "aws-sagemaker-api")


def assert_problem(answer: httpx.Response, status: int, detail: str) -> None:
    """A problem document of the gateway, with the id that the access log has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (said["status"], said["requestId"]) == (status, answer.headers["x-amzn-requestid"])
    assert detail in said["detail"]


@keyed
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
    up: Guarded, headers: dict[str, str] | None, how: dict[str, str], status: int, detail: str
) -> None:
    assert_problem(up.call(up.right if headers is None else headers, **how), status, detail)
    assert up.reached() == UNREACHED


@keyed
def test_calls_beyond_the_rate_are_told_when_to_come_again(up: Guarded) -> None:
    answered, refused = up.until_refused(MANY)
    assert answered == BURST
    assert_problem(refused, 429, "a second")
    assert refused.headers["retry-after"] == "1"
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (BURST, BURST), "calls that were answered, and no others"
    assert seen.started or up.before.started, "a call that is let through is seen"


@keyed
def test_calls_beyond_the_quota_are_refused_until_the_next_day(up: Guarded) -> None:
    answered = BURST
    while answered < DAILY:
        up.deployment.twin("clock", {"advance_s": BURST})
        count, refused = up.until_refused(MANY)
        answered += count
    up.deployment.twin("clock", {"advance_s": BURST})
    refused = up.call(up.right)
    assert_problem(refused, 429, "quota")
    assert "retry-after" not in refused.headers
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (DAILY, DAILY)
    up.deployment.twin("clock", {"advance_s": 24 * 3600})
    assert up.call(up.right).status_code == 200


WRONG_TOKENS: dict[str, Callable[[str], dict[str, str]]] = {
    "none": lambda issuer: {},
    "broken": lambda issuer: bearer("x.y.z"),
    "a key instead": lambda issuer: {"x-api-key": "x" * 40},
    "expired": lambda issuer: bearer(token(issuer, exp=1)),
    "another audience": lambda issuer: bearer(token(issuer, aud="elsewhere")),
    "another issuer": lambda issuer: bearer(token(issuer, iss="https://issuer.example")),
    "another's signature": lambda issuer: bearer(token(issuer, OTHER_KEY)),
}


@tokened
@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_a_call_without_a_valid_token_starts_nothing(up: Guarded, wrong: str) -> None:
    assert up.issuer is not None
    answer = up.call(WRONG_TOKENS[wrong](up.issuer))
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert up.reached() == UNREACHED


@tokened
def test_a_token_without_the_scope_starts_nothing(up: Guarded) -> None:
    assert up.issuer is not None
    answer = up.call(bearer(token(up.issuer, scope="write")))
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert up.reached() == UNREACHED


@tokened
@pytest.mark.parametrize("how", [{"path": "nowhere"}, {"path": "predict/deeper"}, {"method": "GET"}])
def test_a_token_opens_no_other_route(up: Guarded, how: dict[str, str]) -> None:
    answer = up.call(up.right, **how)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert up.reached() == UNREACHED


@tokened
def test_calls_beyond_the_rate_of_the_stage_are_refused(up: Guarded) -> None:
    answered, refused = up.until_refused(MANY)
    assert answered == BURST
    assert (refused.status_code, refused.json()) == (429, {"message": "Too Many Requests"})
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (BURST, BURST)
    assert seen.started or up.before.started

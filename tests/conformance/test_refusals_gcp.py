"""Who may not call is told so with the documented status, and neither function nor endpoint hears of it: API Gateway answers."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conformance.guarded import UNREACHED, Guarded, bearer, guarded
from tests.support.deployment import Deployment
from tests.support.issuer import AUDIENCE, OTHER_KEY, token
from tests.support.size import only_all

# All that API Gateway counts are minutes.
RATE, A_MINUTE = 1, 60
# More calls than the quota lets through, so that one is refused for certain.
MANY = 2 * A_MINUTE
API, GPU_API = "gcp-cloud-run-api", "gcp-cloud-run-gpu-api"
SETTINGS: dict[str, dict[str, Any]] = {
    "api-key": {"requestsPerSecond": RATE},
    "jwt": {"audience": [AUDIENCE], "requestsPerSecond": None},
}


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Guarded]:
    """The stack of that name behind that gateway; one of them at a time."""
    stack, mode = request.param
    with guarded(deployment, stack, mode, SETTINGS[mode]) as found:
        yield found


def behind(mode: str) -> pytest.MarkDecorator:
    """One stack behind the gateway of that mode by default, and the other one on request."""
    runs = [pytest.param((API, mode), id=f"{API}-{mode}"), pytest.param((GPU_API, mode), id=f"{GPU_API}-{mode}", marks=only_all)]
    return pytest.mark.parametrize("up", runs, indirect=True, scope="module")


keyed, tokened = behind("api-key"), behind("jwt")


def assert_refused(answer: httpx.Response, status: int, message: str) -> None:
    """An error of the gateway's own."""
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["code"] == status
    assert message in said["message"]


@keyed
@pytest.mark.parametrize(
    ("headers", "how", "status", "message"),
    [
        ({}, {}, 401, "UNAUTHENTICATED"),
        ({"x-api-key": "not-the-key"}, {}, 400, "API key not valid"),
        (bearer("x.y.z"), {}, 401, "UNAUTHENTICATED"),
        (None, {"path": "nowhere"}, 404, "not defined by this API"),
        (None, {"path": "predict/deeper"}, 404, "not defined by this API"),
        (None, {"method": "GET"}, 405, "predict"),
    ],
)
def test_a_call_without_a_right_key_or_route_starts_nothing(
    up: Guarded, headers: dict[str, str] | None, how: dict[str, str], status: int, message: str
) -> None:
    assert_refused(up.call(up.right if headers is None else headers, **how), status, message)
    assert up.reached() == UNREACHED


@keyed
def test_calls_beyond_the_quota_are_refused_until_the_next_minute(up: Guarded) -> None:
    answered, refused = up.until_refused(MANY)
    assert answered == A_MINUTE
    assert_refused(refused, 429, "RESOURCE_EXHAUSTED")
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (A_MINUTE, A_MINUTE), "calls that were answered, and no others"
    assert seen.started, "a call that is let through is seen"
    up.deployment.twin("clock", {"advance_s": 60})
    assert up.call(up.right).status_code == 200


@keyed
def test_who_goes_past_the_gateway_is_kept_out(up: Guarded) -> None:
    """Function and endpoint have addresses of their own, which let in only whom they are to be called by."""
    reached = up.reached()
    for service in (up.outputs["functionName"], up.outputs["endpointName"]):
        where = f"{up.front}/_gcp/run/{up.outputs['project']}/{up.outputs['region']}/{service}/predict"
        assert httpx.post(where, json={"inputs": "x"}).status_code == 403
        assert httpx.post(where, json={"inputs": "x"}, headers=bearer("x.y.z")).status_code == 401
        assert httpx.post(where, json={"inputs": "x"}, headers=up.right).status_code == 403
    assert up.reached() == reached


WRONG_TOKENS: dict[str, tuple[Callable[[str], dict[str, str]], int]] = {
    "none": (lambda issuer: {}, 401),
    "broken": (lambda issuer: bearer("x.y.z"), 401),
    "a key instead": (lambda issuer: {"x-api-key": "x" * 39}, 401),
    "expired": (lambda issuer: bearer(token(issuer, exp=1)), 401),
    "another audience": (lambda issuer: bearer(token(issuer, aud="elsewhere")), 403),
    "another issuer": (lambda issuer: bearer(token(issuer, iss="https://issuer.example")), 401),
    "another's signature": (lambda issuer: bearer(token(issuer, OTHER_KEY)), 401),
}


@tokened
@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_a_call_without_a_valid_token_starts_nothing(up: Guarded, wrong: str) -> None:
    assert up.issuer is not None
    headers, status = WRONG_TOKENS[wrong]
    assert_refused(up.call(headers(up.issuer)), status, "J" if status == 401 else "Audiences in Jwt are not allowed")
    assert up.reached() == UNREACHED


@tokened
@pytest.mark.parametrize(("how", "status"), [({"path": "nowhere"}, 404), ({"path": "predict/deeper"}, 404), ({"method": "GET"}, 405)])
def test_a_token_opens_no_other_route(up: Guarded, how: dict[str, str], status: int) -> None:
    assert up.call(up.right, **how).status_code == status
    assert up.reached() == UNREACHED


@tokened
def test_a_valid_token_is_answered(up: Guarded) -> None:
    assert up.call(up.right).status_code == 200
    assert up.reached().endpoint == 1

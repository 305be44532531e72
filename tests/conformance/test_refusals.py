"""Who may not call is told so with the documented status, and neither function nor endpoint hears of it: the gateways answer.

One stack of a cloud behind each of its gateways by default, all of them with PILOTLIGHT_ALL=1.
"""

import json
import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from components.azure.function import AUDIENCE as FUNCTION
from pilotlight.twin.azure.account import PRINCIPAL
from pilotlight.twin.azure.tokens import Tokens
from tests.conformance.gates import DAILY, GATES, MANY
from tests.conformance.guarded import UNREACHED, Guarded, bearer, guarded
from tests.conformance.stacks import STACKS, ReadyStack
from tests.support.deployment import Deployment
from tests.support.issuer import OTHER_KEY, token
from tests.support.size import only_all

# Routes that there are none, whoever asks.
ROUTES = {"nowhere": {"path": "nowhere"}, "deeper": {"path": "predict/deeper"}, "another method": {"method": "GET"}}
WITHOUT_KEY: dict[str, dict[str, str]] = {"no key": {}, "a wrong key": {"x-api-key": "not-the-key"}, "a token instead": bearer("x.y.z")}
WRONG_TOKENS: dict[str, Callable[[str], dict[str, str]]] = {
    "none": lambda issuer: {},
    "broken": lambda issuer: bearer("x.y.z"),
    "a key instead": lambda issuer: {"x-api-key": "x" * 40},
    "expired": lambda issuer: bearer(token(issuer, exp=1)),
    "another audience": lambda issuer: bearer(token(issuer, aud="elsewhere")),
    "another issuer": lambda issuer: bearer(token(issuer, iss="https://issuer.example")),
    "another's signature": lambda issuer: bearer(token(issuer, OTHER_KEY)),
}


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Guarded]:
    """The stack behind that gateway; one of them at a time."""
    ready, mode = request.param
    auth, others = GATES[ready.cloud].settings[mode]
    with guarded(deployment, ready, mode, auth, **others) as found:
        yield found


APIS = [ready for ready in STACKS if ready.pattern == "api"]
# One object of each, by which pytest knows that a stack is up already.
RUNS = {mode: [(ready, mode) for ready in APIS] for mode in ("api-key", "jwt")}


def behind(mode: str, *clouds: str, needs: str | None = None) -> pytest.MarkDecorator:
    """Every API behind the gateway of that mode: by default the first one of each cloud for keys, its rolling one for tokens. Those alone
    that have a setting which the test `needs` (`components/capabilities.py`), and with `clouds`, for where a test goes past a gateway."""
    runs = []
    for run in RUNS[mode]:
        alike = [ready for ready in APIS if ready.cloud == run[0].cloud]
        usual: ReadyStack = alike[0] if mode == "api-key" else next(ready for ready in alike if ready.rolls)
        always = run[0] is usual and (mode == "api-key" or GATES[usual.cloud].tokens_always)
        marks = [] if always else [only_all]
        if clouds and run[0].cloud not in clouds:
            marks = [pytest.mark.skip(reason=f"only {' and '.join(clouds)}")]
        elif needs is not None and not run[0].has(needs):
            marks = [pytest.mark.skip(reason=f"{run[0].cloud} has no {needs}: components/capabilities.py")]
        runs.append(pytest.param(run, id=f"{run[0].name}-{mode}", marks=marks))
    return pytest.mark.parametrize("up", runs, indirect=True, scope="module")


keyed, tokened = behind("api-key"), behind("jwt")


def test_every_cloud_with_an_api_has_its_gateways_here() -> None:
    assert {ready.cloud for ready in APIS} == set(GATES)


@keyed
@pytest.mark.parametrize("wrong", [*WITHOUT_KEY, *ROUTES])
def test_a_call_without_a_right_key_or_route_starts_nothing(up: Guarded, wrong: str) -> None:
    answer = up.call(WITHOUT_KEY.get(wrong, up.right), **ROUTES.get(wrong, {}))
    up.gate.assert_keyed(answer, *up.gate.keyed[wrong])
    assert up.reached() == UNREACHED


@keyed
def test_calls_beyond_what_comes_through_at_once_are_refused_until_there_is_room(up: Guarded) -> None:
    answered, refused = up.until_refused(MANY)
    assert answered == up.gate.at_once
    up.gate.assert_too_many(refused)
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (answered, answered), "calls that were answered, and no others"
    assert seen.started or up.before.started, "a call that is let through is seen"
    up.deployment.twin("clock", {"advance_s": up.gate.again_s})
    assert up.call(up.right).status_code == 200


@behind("api-key", needs="auth.dailyQuota")
def test_calls_beyond_the_quota_are_refused_until_the_next_day(up: Guarded) -> None:
    answered = up.reached().endpoint
    while answered < DAILY:
        up.deployment.twin("clock", {"advance_s": up.gate.again_s})
        count, _ = up.until_refused(MANY)
        answered += count
    up.deployment.twin("clock", {"advance_s": up.gate.again_s})
    up.gate.assert_spent(up.call(up.right))
    seen = up.reached()
    assert (seen.function, seen.endpoint) == (DAILY, DAILY)
    up.deployment.twin("clock", {"advance_s": 24 * 3600})
    assert up.call(up.right).status_code == 200


@behind("api-key", "gcp")
def test_who_goes_past_the_gateway_is_kept_out(up: Guarded) -> None:
    """Function and endpoint have addresses of their own, which let in only whom they are to be called by."""
    reached = up.reached()
    for service in (up.outputs["functionName"], up.outputs["endpointName"]):
        where = f"{up.front}/_gcp/run/{up.outputs['project']}/{up.outputs['region']}/{service}/predict"
        assert httpx.post(where, json={"inputs": "x"}).status_code == 403
        assert httpx.post(where, json={"inputs": "x"}, headers=bearer("x.y.z")).status_code == 401
        assert httpx.post(where, json={"inputs": "x"}, headers=up.right).status_code == 403
    assert up.reached() == reached


@behind("api-key", "azure")
def test_who_goes_past_azures_gateway_is_kept_out(up: Guarded) -> None:
    """The function has an address of its own, which lets in its gateway alone; the endpoint's is one of its environment only."""
    reached = up.reached()
    state = json.loads(up.deployment.pulumi("stack", "export", "-s", up.stack))["deployment"]["resources"]
    apps = [one["outputs"] for one in state if one["type"] == "azure-native:app:ContainerApp"]
    address = {
        app["name"]: f"https://{app['configuration']['ingress']['fqdn']}/predict" for app in apps if "ingress" in app["configuration"]
    }
    function, endpoint = (address[up.outputs[name]] for name in ("functionName", "endpointName"))
    trusted = ssl.create_default_context(cafile=up.deployment.twin("azure")["SSL_CERT_FILE"])
    developers = bearer(Tokens(up.deployment.home).access(PRINCIPAL, PRINCIPAL, FUNCTION))
    with httpx.Client(verify=trusted, timeout=60) as client:
        for headers, status in (({}, 401), (bearer("x.y.z"), 401), (up.right, 401), (developers, 403)):
            assert client.post(function, json={"inputs": "x"}, headers=headers).status_code == status
            assert client.post(endpoint, json={"inputs": "x"}, headers=headers).status_code == 404
    assert up.reached() == reached


@tokened
@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_a_call_without_a_valid_token_starts_nothing(up: Guarded, wrong: str) -> None:
    assert up.issuer is not None
    up.gate.assert_tokened(up.call(WRONG_TOKENS[wrong](up.issuer)), *up.gate.tokened[wrong])
    assert up.reached() == UNREACHED


@tokened
@pytest.mark.parametrize("wrong", ROUTES)
def test_a_token_opens_no_other_route(up: Guarded, wrong: str) -> None:
    up.gate.assert_tokened(up.call(up.right, **ROUTES[wrong]), *up.gate.tokened[wrong])
    assert up.reached() == UNREACHED


@behind("jwt", needs="auth.scopes")
def test_a_token_without_the_scope_starts_nothing(up: Guarded) -> None:
    assert up.issuer is not None
    up.gate.assert_tokened(up.call(bearer(token(up.issuer, scope="write"))), *up.gate.tokened["no scope"])
    assert up.reached() == UNREACHED


@tokened
def test_a_valid_token_is_answered(up: Guarded) -> None:
    assert up.call(up.right).status_code == 200
    # A model that is the function is called by `up` too.
    assert up.reached().endpoint == 1


@behind("jwt", needs="auth.burst")
def test_calls_beyond_the_rate_of_the_stage_are_refused(up: Guarded) -> None:
    up.deployment.twin("clock", {"advance_s": up.gate.again_s})
    before = up.reached()
    answered, refused = up.until_refused(MANY)
    assert answered == up.gate.at_once
    up.gate.assert_tokened(refused, 429, "Too Many Requests")
    seen = up.reached()
    assert (seen.function - before.function, seen.endpoint - before.endpoint) == (answered, answered)
    assert seen.started or up.before.started

"""Where the live floor is another one than the plan's and no schedule mends it, `doctor` says so, and what does.

Large runs: what `doctor` says of a floor is in tests/parts/cli/doctor by default.
"""

from collections.abc import Iterator

import pytest

from pilotlight.cli.doctor import after_up, subject_of
from pilotlight.cli.project import find
from pilotlight.doctor.checks import checks_of
from pilotlight.doctor.run import examine
from tests.conformance.use import ApiUse
from tests.conformance.warmed import APIS, CLOUDS, SOON, WINDOW, AwsWarmed, Warmed, brought_up, local_now, next_monday, requests_of
from tests.support.deployment import Deployment, post
from tests.support.size import only_all

pytestmark = only_all
USD = 100
BUDGET = {"monthlyUsd": USD, "email": "ops@example.com", "onExceeded": "drop-warming"}
# On Azure an endpoint's own rules are its floor, so that there is no other one to tell of (test_warming.py) but what a budget left of them
# (test_bounds.py).
DRIFTING = [name for name, ready in APIS.items() if CLOUDS[ready.cloud].drifts]
HIGH, LOW = 3, 1
ALWAYS = {"kind": "provisioned", "instances": LOW}
# So many instances there may be.
MOST = 10
PER_SECOND = 5


@pytest.fixture(scope="module", params=DRIFTING)
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before its window, with a budget that drops the floor."""
    stack = str(request.param)
    window = {**WINDOW, "instances": HIGH}
    deployment.configure(stack, {"endpoint": {"maxConcurrency": MOST * requests_of(stack)}})
    yield brought_up(deployment, stack, next_monday(local_now(deployment)), [window], {"budget": BUDGET})
    deployment.report("destroy", stack)


def told_before_up(warmed: Warmed, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `up` is told of the floor where it asks first, as it does in a cloud."""
    monkeypatch.setenv("PILOTLIGHT_HOME", str(warmed.deployment.home))
    subject = subject_of(find(warmed.deployment.checkout), warmed.stack, "local")
    checks = checks_of(subject.cloud)
    return [finding.found for finding in examine(subject, checks.who, checks.before_up) if finding.id == "floor"]


def allow(warmed: Warmed, instances: int) -> None:
    """From the next `up` on there may be so many."""
    warmed.deployment.configure(warmed.stack, {"endpoint": {"maxConcurrency": instances * warmed.requests}})


def of_lambda(warmed: Warmed) -> bool:
    return isinstance(warmed, AwsWarmed) and warmed.is_function


def test_a_floor_that_is_the_plans_is_well(warmed: Warmed) -> None:
    told = warmed.told()
    assert (told["status"], told["found"]) == ("ok", "0 instances are kept warm, as the plan says for now")
    warmed.goes_to(warmed.at("08:00") + SOON)
    warmed.up()
    told = warmed.told()
    assert (told["status"], told["found"]) == ("ok", f"{HIGH} instances are kept warm, as the plan says for now")


def test_what_the_budget_dropped_is_told_with_its_day_until_an_up_with_a_refresh(warmed: Warmed, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed.deployment.twin("spend", {"usd": 1.01 * USD})
    warmed.goes_to(warmed.at("10:00"))
    dropped = f"the budget dropped the warming floor on {warmed.day.date()} at "
    assert warmed.floor() == 0
    for moment, wanted in ((warmed.at("10:30"), HIGH), (warmed.at("12:30"), 0), (warmed.at("08:30", days=1), HIGH)):
        warmed.goes_to(moment)
        said = warmed.told()
        assert (said["status"], said["mend"]) == ("warn", f"pilotlight up {warmed.stack} --refresh")
        assert said["found"].startswith(dropped), said
        assert said["found"].endswith(f" UTC: 0 instances are kept warm, the plan says {wanted} for now")
    assert told_before_up(warmed, monkeypatch) == [said["found"]]
    warmed.up()
    assert warmed.told()["status"] == "warn", "an up alone sees nothing of it"
    # As in a new month: on Google Cloud a budget that is still spent drops it again (test_bounds.py).
    warmed.deployment.twin("spend", {"usd": 0})
    warmed.deployment.run("up", warmed.stack, "--local", "--refresh")
    assert (warmed.floor(), warmed.told()["status"]) == (HIGH, "ok")


def test_a_plan_that_goes_in_a_window_that_no_up_saw_takes_its_floor_along(
    warmed: Warmed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And on the twin callers notice neither that nor a plan that comes, though a function is called by another alias then."""
    warmed.goes_to(warmed.at("12:00", days=1) + SOON)
    warmed.up()
    warmed.goes_to(warmed.at("08:00", days=2) + SOON)
    assert (warmed.floor(), warmed.declared()) == (HIGH, 0)
    kept = {key: warmed.deployment.outputs(warmed.stack).get(key) for key in ("url", "endpointName", "functionName")}
    called = warmed.deployment.outputs(warmed.stack).get("functionAlias")
    assert called == ("warmed" if of_lambda(warmed) else warmed.made.get("functionAlias"))
    warmed.deployment.configure(warmed.stack, {"warming": None, "budget": None})
    assert told_before_up(warmed, monkeypatch) == [], "what `up` itself takes away"
    with ApiUse(warmed.made).steadily(PER_SECOND) as meanwhile:
        warmed.up()
    assert (meanwhile.right > 0, meanwhile.failed) == (True, [])
    assert warmed.floor() == 0
    assert warmed.deployment.outputs(warmed.stack).get("functionAlias") == ("live" if of_lambda(warmed) else called)
    monkeypatch.setenv("PILOTLIGHT_HOME", str(warmed.deployment.home))
    after_up(find(warmed.deployment.checkout), warmed.stack, "local")
    assert (capsys.readouterr().err, warmed.told()) == ("", {})
    warmed.deployment.configure(warmed.stack, {"warming": [{**WINDOW, "instances": HIGH}]})
    with ApiUse(warmed.made).steadily(PER_SECOND) as meanwhile:
        warmed.up()
    assert (meanwhile.right > 0, meanwhile.failed) == (True, [])
    assert (warmed.floor(), warmed.told()["status"]) == (HIGH, "ok")
    made = warmed.deployment.outputs(warmed.stack)
    assert {key: made.get(key) for key in kept} == kept
    assert made.get("functionAlias") == called


def test_a_floor_and_its_maximum_lowered_together(warmed: Warmed) -> None:
    """An endpoint takes both as one configuration. A function's reservation comes before its alias, and below the floor it is refused:
    nothing has changed then, `doctor` says in which order it goes, and both can be raised together."""
    deployment, stack = warmed.deployment, warmed.stack
    deployment.configure(stack, {"warming": [{**ALWAYS, "instances": HIGH}]})
    warmed.up()
    deployment.configure(stack, {"warming": [ALWAYS]})
    allow(warmed, HIGH - LOW)
    if of_lambda(warmed):
        said = warmed.told()
        assert (said["status"], f"maxConcurrency is {HIGH - LOW}" in said["found"]) == ("warn", True)
        assert "ReservedConcurrentExecutions" in deployment.run("up", stack, "--local", code=1).stderr
        assert warmed.floor() == HIGH
        assert post(warmed.made, {"inputs": "still there"}).status_code == 200
        allow(warmed, MOST)
        warmed.up()
        allow(warmed, HIGH - LOW)
    warmed.up()
    assert (warmed.floor(), warmed.told()["status"]) == (LOW, "ok")
    deployment.configure(stack, {"warming": [{**ALWAYS, "instances": HIGH}]})
    allow(warmed, MOST)
    warmed.up()
    assert warmed.floor() == HIGH

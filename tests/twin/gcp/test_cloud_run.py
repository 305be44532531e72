"""Cloud Run's services on the twin: the image's processes behind their addresses, called by a plain client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pilotlight.twin.gcp import cloud_run_instances
from pilotlight.twin.gcp.cloud_run_revision import GPU_IDLE_S, IDLE_S
from pilotlight.twin.gcp.rows_compute import KEPT_S
from pilotlight.twin.gcp.run_limits import GPU, L4
from pilotlight.twin.gcp.types import NETWORK, SUBNETWORK
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, PROBE, Run, harness_in


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("run"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def image(harness: GoogleHarness) -> str:
    return harness.pushed()


@pytest.fixture(scope="module")
def caller(harness: GoogleHarness) -> str:
    return harness.account("caller")


@pytest.fixture(scope="module")
def runner(harness: GoogleHarness) -> str:
    return harness.account("runner")


@pytest.fixture
def run(harness: GoogleHarness, image: str, caller: str, runner: str) -> Iterator[Run]:
    made = Run(harness, image, caller, runner)
    yield made
    harness.twin.faults.clear()
    made.clear()


def test_the_first_request_starts_the_image_with_its_environment(run: Run) -> None:
    service = run({"MODEL_TASK": "feature-extraction"})
    assert service["uri"] == f"{run.harness.twin.front_url}/_gcp/run/{PROJECT}/{REGION}/{service['name']}"
    assert run.processes(service) == []
    answer = run.ask(service, "/predict?a=1%202")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    env = seen["env"]
    assert (seen["path"], seen["argv"], env["MODEL_TASK"]) == ("/predict?a=1%202", ["api"], "feature-extraction")
    assert (env["K_SERVICE"], env["K_REVISION"]) == (service["name"], service["latestReadyRevision"].rsplit("/", 1)[-1])
    assert env["GCE_METADATA_HOST"] == env["GCE_METADATA_IP"]
    assert not {"HOME", "PILOTLIGHT_CACHE", "PYTEST_CURRENT_TEST"} & set(env), "nothing of this machine's"
    assert seen["headers"]["authorization"].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
    assert run.ask(service).json()["pid"] == seen["pid"]


def test_a_container_that_is_told_to_refuse_without_a_gpu_is_told_otherwise_where_there_is_none(run: Run) -> None:
    told = run({"REQUIRE_GPU": "1"})
    assert told["template"]["containers"][0]["envs"] == [{"name": "REQUIRE_GPU", "value": "1"}]
    assert run.ask(told).json()["env"]["REQUIRE_GPU"] == "0"
    assert "REQUIRE_GPU" not in run.ask(run()).json()["env"]


def test_the_container_sees_the_callers_headers_and_no_others(run: Run) -> None:
    service = run()
    raw = httpx.Request("POST", service["uri"], headers=[(b"X-Name", b"\xe9\xff"), *run.bearer(service).items()], content=b"{}")
    answer = CLIENT.send(raw)
    assert answer.status_code == 200, answer.text
    headers = answer.json()["headers"]
    assert headers["x-name"] == "\xe9\xff"
    assert not {"accept", "accept-encoding", "user-agent", "cookie"} & set(headers)


def test_several_requests_in_one_instance_several_instances_and_no_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_run_instances, "QUEUE_S", 0.5)
    service = run()
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(run.ask, service, sleep=6) for _ in range(5)]
        answers = [one.result() for one in asked]
    good = [one.json() for one in answers if one.status_code == 200]
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 200, 429]
    assert (len({one["pid"] for one in good}), {one["most"] for one in good}) == (2, {2})
    assert len(run.processes(service)) == 2


@pytest.mark.parametrize(("target", "running"), [(0.2, 2), (0.95, 1), (None, 1)])
def test_more_instances_than_there_must_be_are_there_as_the_target_says(run: Run, target: float | None, running: int) -> None:
    """A request for half a minute in an instance that takes two: a quarter of what it takes, over the minute."""
    twin, service = run.harness.twin, run(scaling={"maxInstanceCount": 2, "concurrencyUtilization": target})
    run.ask(service)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(run.ask, service, sleep=3)
        time.sleep(1)
        run.harness.wait(twin.timers.forward(twin.clock.now() + 30))
        assert len(run.processes(service)) == running
        assert not asked.done()
        assert asked.result().status_code == 200


def test_a_floor_is_there_at_once_and_what_is_above_it_stops_when_idle(run: Run) -> None:
    service = run(floor=1)
    assert len(run.processes(service)) == 1
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: run.ask(service, sleep=1), range(3)))
    assert len(run.processes(service)) == 2
    twin = run.harness.twin
    run.harness.wait(twin.timers.forward(twin.clock.now() + IDLE_S + 1))
    until(lambda: len(run.processes(service)) == 1)
    run.harness.change(service, scaling={"minInstanceCount": 0})
    run.harness.wait(twin.timers.forward(twin.clock.now() + IDLE_S + 1))
    until(lambda: run.processes(service) == [])
    assert run.ask(service).status_code == 200


def test_an_instance_with_a_gpu_is_kept_for_less_long(run: Run) -> None:
    (container,) = run.template()["containers"]
    sized = {"limits": {"cpu": "4", "memory": "16Gi", GPU: "1"}, "cpuIdle": False}
    service = run(containers=[{**container, "resources": sized}], nodeSelector={"accelerator": L4})
    twin = run.harness.twin
    assert run.ask(service).status_code == 200
    run.harness.wait(twin.timers.forward(twin.clock.now() + GPU_IDLE_S - 30))
    assert len(run.processes(service)) == 1
    run.harness.wait(twin.timers.forward(twin.clock.now() + 31))
    until(lambda: run.processes(service) == [])


def test_a_container_that_does_not_start_is_told_with_what_it_said(run: Run) -> None:
    answer = run.ask(run({"BROKEN": "1"}))
    assert answer.status_code == 503
    assert "container exited" in answer.text
    assert "no model here" in answer.text
    sick = run({"SICK": "1"})
    probe = {**PROBE, "failureThreshold": 2}
    container = {**run.template({"SICK": "1"})["containers"][0], "startupProbe": probe}
    sick = run.harness.change(sick, template=run.template(containers=[container]))
    assert "within 2 s" in run.ask(sick).text
    with pytest.raises(Refusal, match="no model here"):
        run({"BROKEN": "1"}, floor=1)


def _that_tells_whether_it_is_ready(run: Run, instances: int) -> Resource:
    probe = {"httpGet": {"path": "/health/ready"}, "periodSeconds": 1, "failureThreshold": 1, "successThreshold": 1}
    container = {**run.template()["containers"][0], "readinessProbe": probe}
    return run(containers=[container], scaling={"maxInstanceCount": instances})


def test_an_instance_that_is_not_ready_gets_no_requests_and_is_not_ended(run: Run) -> None:
    service = _that_tells_whether_it_is_ready(run, 2)
    first = run.ask(service, unready_s=4).json()["pid"]
    until(lambda: run.ask(service).json()["pid"] != first)
    until(lambda: run.ask(service).json()["pid"] == first)
    assert len(run.processes(service)) == 2


def test_a_request_waits_for_the_only_instance_to_be_ready_again(run: Run) -> None:
    service = _that_tells_whether_it_is_ready(run, 1)
    first, waited = run.ask(service, unready_s=3).json()["pid"], []

    def asked() -> bool:
        began = time.monotonic()
        assert run.ask(service).json()["pid"] == first
        waited.append(time.monotonic() - began)
        return waited[-1] > 0.5

    until(asked)


def test_an_instance_that_ends_is_replaced(run: Run) -> None:
    service = run()
    before = run.ask(service).json()["pid"]
    assert run.ask(service, exit=True).status_code == 503
    assert run.ask(service).json()["pid"] != before


def test_a_request_takes_no_longer_than_its_timeout(run: Run) -> None:
    service = run(timeout="1s")
    began = time.monotonic()
    answer = run.ask(service, sleep=5)
    assert (answer.status_code, answer.text) == (504, "upstream request timeout")
    assert time.monotonic() - began < 4


def test_a_new_revision_takes_over_without_a_failed_request(run: Run) -> None:
    service, answers, end = run({"WHICH": "one"}), [], threading.Event()
    assert run.ask(service).status_code == 200

    def keep_asking() -> None:
        while not end.is_set():
            answers.append(run.ask(service, sleep=0.1))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        time.sleep(0.5)
        changed = run.harness.change(service, template=run.template({"WHICH": "two", "START_S": "1"}))
        until(lambda: answers[-1].json()["env"]["WHICH"] == "two")
        end.set()
        for one in asking:
            one.result()
    assert {one.status_code for one in answers} == {200}
    assert changed["uri"] == service["uri"]
    until(lambda: len(run.processes(service)) == 1)
    with pytest.raises(Refusal, match="no model here"):
        run.harness.change(changed, template=run.template({"BROKEN": "1"}))
    assert run.ask(service).json()["env"]["WHICH"] == "two", "the old one goes on"


def test_delete_ends_everything(run: Run) -> None:
    service = run(floor=2)
    assert len(run.processes(service)) == 2
    run.harness.remove(service)
    assert run.processes(service) == []
    assert run.ask(service).status_code == 404


def test_delete_ends_an_earlier_revision_at_its_requests(run: Run) -> None:
    service = run({"WHICH": "one"})
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(run.ask, service, sleep=15)
        until(lambda: len(run.processes(service)) == 1)
        time.sleep(0.5)
        changed = run.harness.change(service, template=run.template({"WHICH": "two"}))
        until(lambda: len(run.processes(service)) == 2)
        run.harness.remove(changed)
        assert run.processes(service) == []
        assert asked.result().status_code == 503


def test_who_may_come_in(run: Run, caller: str, runner: str) -> None:
    service, other = run(), run()
    assert run.ask(service, headers={}).status_code == 403
    assert run.ask(service, headers=run.bearer(service, runner)).status_code == 403
    assert run.ask(service, headers=run.bearer(other)).status_code == 401
    assert run.ask(service, headers={"Authorization": f"Bearer {run.tokens.access(caller)}"}).status_code == 401
    assert 'error="invalid_token"' in run.ask(service, headers={"Authorization": "Bearer x.y.z"}).headers["www-authenticate"]
    assert run.processes(service) == [], "nobody who is kept out starts anything"
    own = {"Authorization": "Bearer for.the.container", "X-Serverless-Authorization": run.bearer(service)["Authorization"]}
    seen = run.ask(service, headers=own).json()["headers"]
    assert seen["authorization"] == "Bearer for.the.container"
    assert "x-serverless-authorization" not in seen


def test_internal_ingress_takes_what_comes_through_the_projects_network(run: Run) -> None:
    run.harness.make("gcp:projects/service:Service", "api-compute", service="compute.googleapis.com")
    network = run.harness.make(NETWORK, "network", name="network", autoCreateSubnetworks=False)

    def subnetwork(name: str, third: int, **more: Any) -> Resource:
        return run.harness.make(SUBNETWORK, name, name=name, network=network.id, ipCidrRange=f"10.0.{third}.0/26", region=REGION, **more)

    def through(sub: Resource, egress: str = "ALL_TRAFFIC") -> Resource:
        access = {"egress": egress, "networkInterfaces": [{"network": network["name"], "subnetwork": sub["name"]}]}
        return run(vpcAccess=access, serviceAccount=run.caller)

    open_, closed = subnetwork("open", 1, privateIpGoogleAccess=True), subnetwork("closed", 2)
    hidden = run(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    assert run.ask(hidden).status_code == 404
    # The first one's own account, where its instances are not, or where Google's addresses are not reached from the network.
    callers = [through(open_), through(open_, "PRIVATE_RANGES_ONLY"), through(closed), run(serviceAccount=run.caller)]
    assert [run.ask(one, call=hidden["uri"]).json()["called"] for one in callers] == [200, 404, 404, 404]
    assert run.ask(hidden).status_code == 404


def test_a_subnetwork_of_services_goes_when_cloud_run_has_given_its_addresses_back(run: Run) -> None:
    run.harness.make("gcp:projects/service:Service", "api-compute-too", service="compute.googleapis.com")
    run.harness.make(NETWORK, "kept", name="kept", autoCreateSubnetworks=False)
    given = {"network": f"projects/{PROJECT}/global/networks/kept", "region": REGION}
    small = run.harness.make(SUBNETWORK, "small", name="small", ipCidrRange="10.0.0.0/27", **given)
    access = {"networkInterfaces": [{"subnetwork": small["name"]}]}
    with pytest.raises(Refusal, match="needs /26 or larger"):
        run(vpcAccess=access)
    run.harness.remove(small)
    # The one that a service takes which names a network alone.
    sub = run.harness.make(SUBNETWORK, "kept-sub", name="kept", ipCidrRange="10.0.0.0/26", **given)
    service = run(vpcAccess={"networkInterfaces": [{"network": "kept"}]})
    with pytest.raises(Refusal, match=f"is used by {service.id}"):
        run.harness.remove(sub)
    run.harness.change(service, template=run.template())
    with pytest.raises(Refusal, match="addresses of Cloud Run"):
        run.harness.remove(sub)
    twin = run.harness.twin
    run.harness.wait(twin.timers.forward(twin.clock.now() + KEPT_S))
    run.harness.remove(sub)
    assert twin.world.get(SUBNETWORK, sub.id) is None


def test_a_service_calls_another_under_its_own_account(run: Run) -> None:
    endpoint, function = run(), run(serviceAccount=run.caller)
    assert run.ask(function, call=endpoint["uri"]).json()["called"] == 200
    assert run.ask(endpoint, call=function["uri"]).json()["called"] == 403


def test_what_is_too_large_is_refused(run: Run) -> None:
    service = run()
    answer = CLIENT.post(service["uri"], content=b"x" * (32 * 1024**2 + 1), headers=run.bearer(service))
    assert answer.status_code == 413


def test_an_instance_is_killed_in_the_middle_of_a_request_when_a_test_asks_for_it(run: Run) -> None:
    service, other = run(), run()
    before = run.ask(service).json()["pid"]
    run.harness.twin.faults.set({"executions": {f"run:{service['name']}": {"kill": 1}, "times": 2}})
    for wanted in ({"sleep": 5}, {}):
        began = time.monotonic()
        answer = run.ask(service, **wanted)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (503, "text/plain")
        assert time.monotonic() - began < 4
    assert run.ask(other).status_code == 200
    assert run.ask(service).json()["pid"] != before
    assert run.harness.twin.faults.state()["executions"]["times"] == 0


def test_a_request_fails_or_hangs_when_a_test_asks_for_it(run: Run) -> None:
    service, faults = run(timeout="1s"), run.harness.twin.faults
    faults.set({"executions": {"run": {"error": 1}}})
    assert run.ask(service).status_code == 503
    for hold_s, least, most in ((0.5, 0.4, 0.95), (60, 0.95, 10)):
        faults.set({"executions": {"run": {"timeout": 1}, "hold_s": hold_s}})
        began = time.monotonic()
        assert run.ask(service).status_code == 504
        assert least < time.monotonic() - began < most
    assert run.processes(service) == [], "none of them came to a container"
    assert run.ask(service, headers={}).status_code == 403, "nor is it what those meet who may not come in"


def test_nobody_comes_in_during_an_outage(run: Run) -> None:
    service = run()
    run.harness.twin.faults.set({"outages": ["run"]})
    assert (run.ask(service).status_code, run.processes(service)) == (503, [])
    run.harness.twin.faults.set({"outages": None})
    assert run.ask(service).status_code == 200

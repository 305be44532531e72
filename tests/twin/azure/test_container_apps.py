"""Container apps on the twin: the image's processes behind their addresses, called by a plain client."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pilotlight.twin.azure.app_jobs import Execution
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.azure.accounts import account, queue
from tests.twin.azure.apps import PROBES, Apps, probe, url
from tests.twin.azure.harness import harness_in


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    harness = harness_in(tmp_path_factory.mktemp("apps"))
    made = Apps(harness)
    yield made
    made.client.close()
    harness.down()


@pytest.fixture
def apps(environment: Apps) -> Iterator[Apps]:
    yield environment
    environment.harness.twin.faults.clear()
    environment.clear()


def replicas(apps: Apps, app: Resource) -> int:
    return len(apps.processes(app))


def test_an_app_has_a_replica_with_its_environment_when_it_is_made(apps: Apps) -> None:
    app = apps.app({"MODEL_TASK": "feature-extraction"})
    assert replicas(apps, app) == 1
    answer = apps.ask(app, "/predict?a=1%202", headers={"X-Forwarded-For": "spoofed", "X-MS-CLIENT-PRINCIPAL-ID": "spoofed"})
    assert answer.status_code == 200, answer.text
    seen, domain = answer.json(), apps.environment["defaultDomain"]
    env, headers = seen["env"], seen["headers"]
    assert (seen["path"], seen["argv"], env["MODEL_TASK"]) == ("/predict?a=1%202", ["api"], "feature-extraction")
    assert (env["CONTAINER_APP_NAME"], env["CONTAINER_APP_REVISION"]) == (app["name"], app["latestRevisionName"])
    assert env["CONTAINER_APP_REPLICA_NAME"].startswith(f"{app['latestRevisionName']}-")
    assert (env["CONTAINER_APP_ENV_DNS_SUFFIX"], env["CONTAINER_APP_HOSTNAME"]) == (domain, f"{app['latestRevisionName']}.{domain}")
    assert env["CONTAINER_APP_PORT"] == env["PORT"]
    assert not {"HOME", "PILOTLIGHT_CACHE", "PYTEST_CURRENT_TEST"} & set(env), "nothing of this machine's"
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert headers["x-forwarded-host"] == f"{app['name']}.{domain}"
    assert "x-ms-client-principal-id" not in headers


def test_an_app_without_a_minimum_is_scaled_to_zero_and_back_by_a_request(apps: Apps) -> None:
    app = apps.app()
    apps.ask(app)
    apps.forward(15)
    assert replicas(apps, app) == 1
    apps.forward(301)
    until(lambda: replicas(apps, app) == 0)
    assert apps.ask(app).status_code == 200
    assert replicas(apps, app) == 1


def test_requests_under_way_bring_replicas_and_their_end_takes_them(apps: Apps) -> None:
    rule = {"name": "http", "http": {"metadata": {"concurrentRequests": "2"}}}
    app = apps.app(scale={"minReplicas": 1, "maxReplicas": 3, "rules": [rule]})
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(apps.ask, app, sleep=4) for _ in range(5)]
        time.sleep(1)
        apps.forward(15)
        assert replicas(apps, app) == 3
        pids = {one.result().json()["pid"] for one in asked}
    assert len(pids) == 1, "all were there before the others"
    with ThreadPoolExecutor(3) as pool:
        assert len({one.json()["pid"] for one in pool.map(lambda _: apps.ask(app, sleep=1), range(3))}) == 3
    apps.forward(320)
    until(lambda: replicas(apps, app) == 1)


def test_no_more_than_the_maximum_and_nobody_is_turned_away(apps: Apps) -> None:
    rule = {"name": "http", "http": {"metadata": {"concurrentRequests": "1"}}}
    app = apps.app(scale={"maxReplicas": 1, "rules": [rule]})
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(apps.ask, app, sleep=2) for _ in range(6)]
        time.sleep(0.5)
        apps.forward(15)
        assert {one.result().status_code for one in asked} == {200}
    assert replicas(apps, app) == 1


def test_a_clocks_rule_has_its_replicas_from_its_start_to_its_end(apps: Apps) -> None:
    now = time.gmtime(apps.harness.twin.clock.now() + 3 * 3600)
    start, end = f"0 {now.tm_hour} * * *", f"30 {now.tm_hour} * * *"
    metadata = {"timezone": "UTC", "start": start, "end": end, "desiredReplicas": "2"}
    app = apps.app(front=False, scale={"rules": [{"name": "office", "custom": {"type": "cron", "metadata": metadata}}]})
    apps.forward(400)
    until(lambda: replicas(apps, app) == 0)
    wait = (3 * 3600) - 400 - (now.tm_min * 60 + now.tm_sec)
    apps.forward(wait + 60)
    until(lambda: replicas(apps, app) == 2)
    apps.forward(29 * 60)
    until(lambda: replicas(apps, app) == 2)
    apps.forward(30 + 300 + 60)
    until(lambda: replicas(apps, app) == 0)


def test_a_queues_messages_bring_replicas_once_the_rules_identity_may_count_them(apps: Apps) -> None:
    stored = account(apps.harness)
    messages = queue(apps.harness, stored, "objects")
    asked = {"accountName": stored["name"], "queueName": "objects", "queueLength": 2, "identity": apps.who.id}
    app = apps.app(front=False, scale={"maxReplicas": 3, "rules": [{"name": "objects", "azureQueue": asked}]})
    apps.forward(301)
    until(lambda: replicas(apps, app) == 0)
    for _ in range(5):
        messages.send_message("one")
    apps.forward(60)
    assert replicas(apps, app) == 0, "it has no role"
    apps.harness.grant(apps.who, "Storage Queue Data Reader", stored.id)
    apps.forward(60)
    until(lambda: replicas(apps, app) == 3)
    messages.clear_messages()
    messages.close()
    apps.forward(331)
    until(lambda: replicas(apps, app) == 0)


def test_an_app_without_ingress_and_rule_is_stuck_at_zero(apps: Apps) -> None:
    app = apps.app(front=False)
    apps.forward(301)
    until(lambda: replicas(apps, app) == 0)
    apps.forward(24 * 3600)
    assert replicas(apps, app) == 0


def test_a_request_brings_nothing_back_where_no_rule_is_for_requests(apps: Apps) -> None:
    metadata = {"timezone": "UTC", "start": "0 0 1 1 *", "end": "1 0 1 1 *", "desiredReplicas": "1"}
    app = apps.app(scale={"rules": [{"name": "once", "custom": {"type": "cron", "metadata": metadata}}]})
    assert apps.ask(app).status_code == 200
    apps.forward(301)
    until(lambda: replicas(apps, app) == 0)
    answer = apps.ask(app)
    assert (answer.status_code, "no rule by which requests would bring it back" in answer.text) == (503, True)


def test_an_app_that_does_not_start_is_not_made_and_told_with_what_it_said(apps: Apps) -> None:
    with pytest.raises(Refusal, match=r"Failed to provision revision.*exited.*no model here"):
        apps.app({"BROKEN": "1"})
    with pytest.raises(Refusal, match="did not start within 2 s"):
        apps.app({"SICK": "1"}, probes=[probe("Startup", "/health/startup", failureThreshold=2)])
    with pytest.raises(Refusal, match="listens on port 9000, and the ingress's targetPort is 8080"):
        apps.app({"PORT": "9000"})
    assert [one.name for one in apps.harness.twin.processes.running() if one.name.startswith("replica")] == []


def test_a_replica_that_is_ready_later_than_its_probe_may_fail_is_waited_for(apps: Apps) -> None:
    began = time.monotonic()
    app = apps.app({"READY_AFTER_S": "3"}, probes=[PROBES[0], probe("Readiness", "/health/ready", failureThreshold=1), PROBES[2]])
    assert time.monotonic() - began >= 3
    assert apps.ask(app).status_code == 200


def test_a_replica_that_ends_is_replaced(apps: Apps) -> None:
    app = apps.app(scale={"minReplicas": 1})
    before = apps.ask(app).json()["pid"]
    assert apps.ask(app, exit=True).status_code == 503
    until(lambda: apps.ask(app).status_code == 200)
    assert apps.ask(app).json()["pid"] != before


def test_a_replica_that_is_not_alive_is_replaced(apps: Apps) -> None:
    app = apps.app(scale={"minReplicas": 1})
    before = apps.ask(app, state={"alive": False}).json()["pid"]
    until(lambda: apps.processes(app) not in ([before], []))
    assert apps.ask(app).json()["pid"] != before


def test_a_replica_that_is_not_ready_has_no_requests_until_it_is(apps: Apps) -> None:
    app = apps.app(scale={"minReplicas": 2})
    first = apps.ask(app, state={"ready": False}).json()["pid"]
    time.sleep(1.5)
    assert {apps.ask(app).json()["pid"] for _ in range(6)} == set(apps.processes(app)) - {first}


def test_a_new_revision_takes_over_without_a_failed_request(apps: Apps) -> None:
    app, answers, end = apps.app({"WHICH": "one"}), list[tuple[int, str]](), threading.Event()

    def keep_asking() -> None:
        while not end.is_set():
            answer = apps.ask(app, sleep=0.1)
            answers.append((answer.status_code, answer.json()["env"]["WHICH"] if answer.status_code == 200 else answer.text))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        time.sleep(0.5)
        changed = apps.harness.change(app, template=apps.template({"WHICH": "two", "START_S": "1"}))
        until(lambda: answers[-1][1] == "two")
        end.set()
        for one in asking:
            one.result()
    assert set(answers) == {(200, "one"), (200, "two")}
    assert url(changed) == url(app)
    assert changed["latestRevisionName"] != app["latestRevisionName"]
    until(lambda: replicas(apps, app) == 1)
    with pytest.raises(Refusal, match="no model here"):
        apps.harness.change(changed, template=apps.template({"BROKEN": "1"}))
    assert apps.ask(app).json()["env"]["WHICH"] == "two", "the old one goes on"


def test_a_request_under_way_is_answered_although_its_revision_goes(apps: Apps) -> None:
    app = apps.app({"WHICH": "one"})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(apps.ask, app, sleep=3)
        time.sleep(0.5)
        apps.harness.change(app, template=apps.template({"WHICH": "two"}))
        assert slow.result().json()["env"]["WHICH"] == "one"


def test_a_process_that_does_not_end_is_ended_after_its_grace(apps: Apps) -> None:
    template = apps.template(command=["python", "-c", _STUBBORN], args=[], probes=[])
    app = apps.app(front=False, scale={"minReplicas": 1})
    stubborn = apps.harness.change(app, template={**template, "scale": {"minReplicas": 1}, "terminationGracePeriodSeconds": 1})
    until(lambda: replicas(apps, stubborn) == 1)
    time.sleep(0.5)
    began = time.monotonic()
    apps.harness.remove(stubborn)
    assert 0.9 < time.monotonic() - began < 5
    assert apps.processes(stubborn) == []


_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def test_delete_ends_everything(apps: Apps) -> None:
    app = apps.app(scale={"minReplicas": 2})
    assert replicas(apps, app) == 2
    apps.harness.remove(app)
    assert (apps.processes(app), apps.ask(app).status_code) == ([], 404)


def test_internal_ingress_takes_apps_of_its_environment_alone(apps: Apps) -> None:
    hidden = apps.app(external=False)
    assert apps.ask(hidden).status_code == 404
    inside, outside = apps.app(), apps.app(environment=apps.new_environment())
    assert apps.ask(inside, call=url(hidden)).json()["called"] == [200, None]
    assert apps.ask(outside, call=url(hidden)).json()["called"] == [404, None]
    assert apps.ask(outside, call=url(inside)).json()["called"] == [200, None]


def test_who_does_not_speak_tls_is_sent_where_it_is_spoken(apps: Apps) -> None:
    app, open_ = apps.app(), apps.app(ingress={"allowInsecure": True})
    caller = apps.app()
    for target, wanted in ((app, [301, f"{url(app)}/x"]), (open_, [200, None])):
        plain = url(target).replace(f"https://{apps.harness.twin.azure.host(apps.harness.twin)}", f"{apps.harness.twin.front_url}/_azure")
        assert apps.ask(caller, call=f"{plain}/x").json()["called"] == wanted


def test_nobody_else_comes_in_by_the_plain_front_either(apps: Apps) -> None:
    hidden = apps.app(external=False)
    plain = url(hidden).replace(f"https://{apps.harness.twin.azure.host(apps.harness.twin)}", f"{apps.harness.twin.front_url}/_azure")
    code = f"import urllib.request as u\ntry: print(u.urlopen('{plain}/').status)\nexcept u.HTTPError as e: print(e.code)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "404"


def test_easy_auth_lets_in_whom_it_names(apps: Apps) -> None:
    app, other = apps.app(), apps.harness.identity("other")
    apps.guard(app)

    def asked(who: Resource | None, resource: str = "https://management.azure.com/", path: str = "/predict") -> int:
        given = {"Authorization": f"Bearer {apps.harness.token(who, resource)}"} if who else {}
        return apps.ask(app, path, headers=given).status_code

    assert asked(None) == 401
    assert apps.ask(app, headers={"Authorization": "Bearer x.y.z"}).status_code == 401
    assert asked(apps.who, "https://storage.azure.com/") == 401
    assert asked(other) == 403
    assert asked(apps.who) == 200
    assert apps.client.get(f"{url(app)}/health/ready").status_code == 200, "an excluded path"
    assert apps.client.get(f"{url(app)}/health/ready/x").status_code == 401


def test_the_container_is_told_who_came(apps: Apps) -> None:
    app = apps.app()
    apps.guard(app)
    bearer = {"Authorization": f"Bearer {apps.harness.token(apps.who, 'https://management.azure.com/')}"}
    headers = apps.ask(app, headers={**bearer, "X-MS-CLIENT-PRINCIPAL-NAME": "spoofed"}).json()["headers"]
    assert (headers["x-ms-client-principal-id"], headers["x-ms-client-principal-idp"]) == (apps.who["principalId"], "aad")
    assert "x-ms-client-principal-name" not in headers
    assert headers["authorization"] == bearer["Authorization"]


def test_easy_auth_keeps_out_tokens_of_the_other_version(apps: Apps) -> None:
    app = apps.app()
    v2 = {"clientId": apps.who["clientId"], "openIdIssuer": f"https://login.microsoftonline.com/{apps.who['tenantId']}/v2.0"}
    apps.guard(app, entra={"registration": v2})
    bearer = {"Authorization": f"Bearer {apps.harness.token(apps.who, 'https://management.azure.com/')}"}
    assert apps.ask(app, headers=bearer).status_code == 401


def test_an_app_gets_tokens_of_its_identity_and_calls_a_guarded_one(apps: Apps) -> None:
    guarded, caller = apps.app(), apps.app()
    apps.guard(guarded)
    token = apps.ask(caller, token="https://management.azure.com/").json()["token"]
    called = apps.ask(caller, call=url(guarded), headers={"Authorization": f"Bearer {token}"})
    assert called.status_code == 200
    assert apps.ask(guarded, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_job_runs_when_its_schedule_says_so(apps: Apps) -> None:
    hidden = apps.app(external=False)
    job = apps.job({"CALL": url(hidden)}, {"triggerType": "Schedule", "scheduleTriggerConfig": {"cronExpression": "*/20 * * * *"}})
    said = [text for text in apps.forward(3600) if text.startswith(job["name"])]
    assert len(said) == 3
    assert [one.status for one in apps.plane.jobs.history(job)] == ["Succeeded"] * 3, said
    assert apps.processes(job) == []


def test_a_job_starts_at_the_moment_that_its_schedule_means_and_what_serves_keeps_the_machines_clock(apps: Apps) -> None:
    days_s, app = 30 * 86_400, apps.app()
    apps.forward(days_s)
    due = {"triggerType": "Schedule", "scheduleTriggerConfig": {"cronExpression": "*/20 * * * *"}}
    job = apps.job({"STATUS": "3"}, due)
    apps.forward(1200)
    [execution] = apps.plane.jobs.history(job)
    [at] = re.findall(r"at ([\d.]+)", execution.said)
    assert 0 <= float(at) - execution.started < 20
    assert execution.started - apps.ask(app).json()["now"] > days_s - 3600


def test_a_job_is_tried_again_as_often_as_it_may(apps: Apps) -> None:
    manual = {"triggerType": "Manual", "replicaRetryLimit": 2, "manualTriggerConfig": {"replicaCompletionCount": 1, "parallelism": 1}}
    job = apps.job({"STATUS": "3"}, manual)
    execution = apps.harness.wait(_begun(apps, job))
    until(lambda: execution.status != "Running")
    assert (execution.status, execution.replicas) == ("Failed", 3)
    assert "with status 3" in execution.said


def test_a_job_that_takes_too_long_is_ended(apps: Apps) -> None:
    job = apps.job({"WORK_S": "30"}, {"triggerType": "Manual", "replicaTimeout": 1})
    execution = apps.harness.wait(_begun(apps, job))
    until(lambda: execution.status != "Running")
    assert "did not end within 1 s" in execution.said
    assert apps.processes(job) == []


async def _begun(apps: Apps, job: Resource) -> Execution:
    return apps.plane.jobs.begin(job)


def test_a_replica_dies_in_the_middle_of_a_request_when_a_test_asks_for_it(apps: Apps) -> None:
    app, other = apps.app(), apps.app()
    apps.harness.twin.faults.set({"executions": {f"app:{app['name']}": {"kill": 1}, "times": 1}})
    began = time.monotonic()
    assert apps.ask(app, sleep=5).status_code == 503
    assert time.monotonic() - began < 4
    assert apps.ask(other).status_code == apps.ask(app).status_code == 200


def test_nobody_comes_in_during_an_outage(apps: Apps) -> None:
    app = apps.app()
    apps.harness.twin.faults.set({"outages": ["app"]})
    assert apps.ask(app).status_code == 503
    apps.harness.twin.faults.set({"outages": None})
    assert apps.ask(app).status_code == 200


def test_probes_are_what_the_container_declares(apps: Apps) -> None:
    assert {one["type"] for one in PROBES} == {"Startup", "Readiness", "Liveness"}
    app = apps.app(probes=[])
    assert apps.ask(app).status_code == 200, "the ingress waits until the container listens"

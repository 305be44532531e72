"""What the twin's own services count for metric alerts: requests, restarts, messages, events that were given up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pilotlight.twin.azure.monitor_counts import PLACE
from pilotlight.twin.azure.replicas import Replicas
from pilotlight.twin.azure.types import ALERT, METRIC_ALERT
from pilotlight.twin.metrics import MINUTE_S
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.test_alerts import alert, criterion
from tests.support.waiting import until
from tests.twin.azure.accounts import account, queue
from tests.twin.azure.apps import Apps
from tests.twin.azure.gateways import CLIENT, Gateway, backend, document
from tests.twin.azure.harness import AzureHarness, harness_in
from tests.twin.azure.storage.test_event_grid import Pipeline, eventually

APPS, JOBS, QUEUES = "Microsoft.App/containerApps", "Microsoft.App/jobs", "Microsoft.Storage/storageAccounts/queueServices"
TOPICS = "Microsoft.EventGrid/systemTopics"
HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHarness]:
    running = harness_in(tmp_path_factory.mktemp("watched"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def apps(harness: AzureHarness) -> Iterator[Apps]:
    made = Apps(harness)
    yield made
    made.clear()
    made.client.close()


def watch(harness: AzureHarness, name: str, scope: str, **given: Any) -> Resource:
    """An alert above a threshold (0 if it is not given), by the names of one criterion; `every` is its frequency, `over` its window, the
    same if it is not given."""
    every = given.pop("every", "PT1M")
    over = given.pop("over", every)
    dimensions = [{"name": key, "operator": "Include", "values": [value]} for key, value in given.pop("where", {}).items()]
    declared = alert(scope, criterion(dimensions=dimensions, **given), evaluationFrequency=every, windowSize=over, ruleName=name)
    return harness.make(METRIC_ALERT, name, **declared)


def forward(harness: AzureHarness, step_s: float = MINUTE_S) -> None:
    now = harness.twin.clock.now()
    harness.wait(harness.twin.timers.forward((now // step_s + 1) * step_s))


def fired(harness: AzureHarness) -> set[str]:
    """The rules of alerts that stand."""
    return {one["rule"].rpartition("/")[2] for one in harness.twin.world.find(ALERT, monitorCondition="Fired")}


def figures(harness: AzureHarness, scope: str, metric: str, statistic: str = "Sum") -> dict[str, float]:
    """What came of a metric, by its dimensions' values."""
    metrics: Any = harness.twin.azure.planes.made(PLACE)
    held = [one for one in metrics.metrics.known() if (one.namespace, one.name) == (scope.lower(), metric)]
    end = harness.twin.clock.now() + MINUTE_S
    return {" ".join(value for _, value in one.dimensions): metrics.metrics.statistic(one, 0, end, statistic) for one in held}


def test_answers_of_a_gateway_are_counted_its_own_too(harness: AzureHarness) -> None:
    with backend() as url:
        gateway = Gateway(harness, url, document())
        watch(harness, "gateway", gateway.service.id, where={"GatewayResponseCodeCategory": "5xx"})
        every = watch(harness, "every", gateway.service.id, threshold=100)
        key = {"Ocp-Apim-Subscription-Key": gateway.key}
        for status in (200, 404, 502):
            assert CLIENT.post(f"{gateway.url}/predict", json={"status": status}, headers=key).status_code == status
        assert CLIENT.post(f"{gateway.url}/predict").status_code == 401
        harness.twin.faults.set({"outages": ["apigateway"]})
        assert CLIENT.post(f"{gateway.url}/predict").status_code == 503
        harness.twin.faults.clear()
    told = {"200 2xx": 1.0, "404 4xx": 1.0, "401 4xx": 1.0, "502 5xx": 1.0, "503 5xx": 1.0}
    assert figures(harness, gateway.service.id, "Requests") == told
    forward(harness)
    assert fired(harness) == {"gateway"}
    harness.remove(every)


def test_requests_that_a_replica_had_are_counted_and_how_long_they_took(harness: AzureHarness, apps: Apps) -> None:
    app = apps.app()
    inside = apps.app(external=False)
    watch(harness, "app", app.id, metricNamespace=APPS, metricName="Requests", threshold=100)
    watch(harness, "inside", inside.id, metricNamespace=APPS, metricName="Requests")
    slow = {"metricNamespace": APPS, "metricName": "ResponseTime", "timeAggregation": "Maximum", "threshold": 300}
    watch(harness, "slow", app.id, **slow)
    watch(harness, "not-so-slow", app.id, **{**slow, "threshold": 5000})
    for status in (200, 500):
        assert apps.ask(app, status=status).status_code == status
    assert apps.ask(app, sleep=0.4).status_code == 200
    assert apps.ask(app, exit=True).status_code == 503
    for kind, hold_s in (("error", 0), ("timeout", 0.1), ("kill", 0)):
        harness.twin.faults.set({"executions": {f"app:{app['name']}": {kind: 1}, "times": 1, "hold_s": hold_s}})
        assert apps.ask(app).status_code == (504 if kind == "timeout" else 503)
    harness.twin.faults.clear()
    # Kept out by the network: no request of a replica's.
    assert apps.ask(inside).status_code == 404
    assert figures(harness, app.id, "Requests") == {"200 2xx": 2.0, "500 5xx": 1.0, "503 5xx": 3.0, "504 5xx": 1.0}
    assert figures(harness, inside.id, "Requests") == {}
    assert 400 <= figures(harness, app.id, "ResponseTime", "Maximum")["200 2xx"] < 2000
    forward(harness)
    assert {"slow", "not-so-slow", "inside", "app"} & fired(harness) == {"slow"}


def test_replicas_that_end_again_and_again_are_told(harness: AzureHarness, apps: Apps) -> None:
    app = apps.app(scale={"minReplicas": 1, "maxReplicas": 1})
    replicas = apps.plane.replicas(app)
    restarts = {"metricNamespace": APPS, "metricName": "RestartCount", "timeAggregation": "Maximum", "threshold": 2}
    watch(harness, "restarts", app.id, **restarts)
    forward(harness)
    assert replicas.restarts() == [0]
    for count in range(1, 4):
        assert apps.ask(app, exit=True).status_code == 503
        until(partial(_again, replicas, count))
        while not any(one.ready for one in replicas.running()):
            # The later ones wait for their turn.
            forward(harness)
        forward(harness)
        assert ("restarts" in fired(harness)) == (count > 2)
    harness.change(app, template={**app["template"], "revisionSuffix": "mended"})
    assert apps.plane.replicas(app).restarts() == [0]


def test_executions_of_jobs_are_counted_by_how_they_ended(harness: AzureHarness, apps: Apps) -> None:
    every = {"triggerType": "Schedule", "scheduleTriggerConfig": {"cronExpression": "*/2 * * * *"}}
    jobs = {name: apps.job({"STATUS": status}, {**every, "replicaRetryLimit": 1}) for name, status in (("good-job", "0"), ("bad-job", "1"))}
    for name, job in jobs.items():
        watch(harness, name, job.id, metricNamespace=JOBS, metricName="Executions", where={"state": "Failed"})
    # A run is due at the end of it, so that the next minute judges one.
    forward(harness, 2 * MINUTE_S)
    forward(harness)
    told, ended = fired(harness), figures(harness, jobs["bad-job"].id, "Executions")
    runs = len(apps.plane.jobs.history(jobs["bad-job"]))
    for job in jobs.values():
        # They would run 720 times in a day of the next test.
        harness.remove(job)
    assert {*jobs} & told == {"bad-job"}
    assert ended == {"Failed": runs}


def _again(replicas: Replicas, count: int) -> bool:
    return replicas.restarts() == [count]


def test_messages_are_counted_when_they_are_put_and_by_the_day_while_they_wait(harness: AzureHarness) -> None:
    stored = account(harness)
    letters, more = queue(harness, stored, "dead"), queue(harness, stored, "events")
    service = f"{stored.id}/queueServices/default"
    put = {"ApiName": "PutMessage", "ResponseType": "Success"}
    watch(harness, "dead-letters", service, metricNamespace=QUEUES, metricName="Transactions", where=put)
    held = {"metricNamespace": QUEUES, "metricName": "QueueMessageCount", "timeAggregation": "Average"}
    watch(harness, "age", service, **held, threshold=1, every="PT1H", over="P1D")
    forward(harness, DAY_S)
    assert {"dead-letters", "age"} & fired(harness) == set()
    letters.send_message("x")
    list(letters.peek_messages())
    forward(harness)
    assert {"dead-letters", "age"} & fired(harness) == {"dead-letters"}
    more.send_message("y")
    forward(harness, HOUR_S)
    assert "age" not in fired(harness), "nobody has counted them yet"
    forward(harness, DAY_S)
    assert figures(harness, service, "Transactions") == {"PutMessage Success": 2.0}
    assert "age" in fired(harness), "two messages in two queues"


def test_events_that_are_given_up_are_counted(harness: AzureHarness) -> None:
    made = Pipeline(harness)
    watch(harness, "undelivered", made.topic.id, metricNamespace=TOPICS, metricName="DeadLetteredCount")
    watch(harness, "dropped", made.topic.id, metricNamespace=TOPICS, metricName="DroppedEventCount")
    made.objects.upload_blob("one", b"1")
    made.taken(1)
    forward(harness)
    assert {"undelivered", "dropped"} & fired(harness) == set()
    made.without_role()
    made.objects.upload_blob("two", b"2")
    eventually(lambda: made.waiting() == 1)
    made.forward(10 * MINUTE_S)
    assert len(made.dead()) == 1
    assert figures(harness, made.topic.id, "DeadLetteredCount") == {made.subscription["name"]: 1.0}
    assert figures(harness, made.topic.id, "DroppedEventCount") == {}
    made.objects.upload_blob("three", b"3")
    harness.twin.faults.set({"outages": ["blob"]})
    made.forward(5 * HOUR_S)
    harness.twin.faults.clear()
    made.forward(10 * MINUTE_S)
    assert figures(harness, made.topic.id, "DroppedEventCount") == {made.subscription["name"]: 1.0}


def test_events_without_a_place_for_dead_letters_are_dropped(harness: AzureHarness) -> None:
    made = Pipeline(harness, deadLetterWithResourceIdentity=None)
    watch(harness, "lost", made.topic.id, metricNamespace=TOPICS, metricName="DroppedEventCount")
    made.without_role()
    made.objects.upload_blob("gone", b"x")
    eventually(lambda: made.waiting() == 0)
    forward(harness)
    assert "lost" in fired(harness)

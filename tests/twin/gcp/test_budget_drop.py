"""A budget that is spent, told to the real function `floor` as a service: jobs are paused, and the floor goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.budgets_plane import REFRESH_S
from pilotlight.twin.gcp.cloud_run_revision import IDLE_S
from pilotlight.twin.gcp.types import ACCOUNT, ACCOUNT_MEMBER, BUDGET, CHANNEL, CUSTOM_ROLE, JOB, RUN_MEMBER, SUBSCRIPTION, TOPIC
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, Run, harness_in

# In the middle of a month, and of the hours between two refreshes.
START = datetime(2026, 3, 17, 9, 2, tzinfo=UTC).timestamp()
LIMITS = {"amount": {"specifiedAmount": {"currencyCode": "USD", "units": "100"}}, "billingAccount": "012345-6789AB-CDEF01"}
RULES = [{"thresholdPercent": 0.5, "spendBasis": "CURRENT_SPEND"}, {"thresholdPercent": 1.0, "spendBasis": "CURRENT_SPEND"}]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("budget"), Clock(START))
    running.enable("cloudscheduler", "pubsub", "billingbudgets", "monitoring")
    running.agent("pubsub")
    yield running
    running.down()


def forward(harness: GoogleHarness, seconds: float) -> list[str]:
    ran = harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + seconds))
    return [one.said for one in ran if one.name == "Cloud Billing's budgets"]


def spend(harness: GoogleHarness, usd: float, budget: str | None = None) -> Any:
    asked = {"usd": usd, **({"budget": budget} if budget else {})}
    return CLIENT.post(f"{harness.twin.front_url}/_twin/spend", headers={"x-twin-token": "token"}, json=asked).json()


def role(harness: GoogleHarness, name: str, *permissions: str) -> str:
    return str(harness.make(CUSTOM_ROLE, name, roleId=name, title=name, permissions=list(permissions))["name"])


def let_the_floor_go(harness: GoogleHarness, run: Run, service: Resource, email: str) -> None:
    """The grants of components/gcp/drop.py."""
    member, runner = f"serviceAccount:{email}", harness.twin.world.one(ACCOUNT, email=run.runner)
    assert runner is not None
    sets = role(harness, "setsFloor", "run.services.get", "run.services.update")
    harness.make(RUN_MEMBER, "sets", name=service["name"], location=REGION, role=sets, member=member)
    harness.make(ACCOUNT_MEMBER, "acts", serviceAccountId=runner["name"], role="roles/iam.serviceAccountUser", member=member)
    harness.grant(role(harness, "pausesJobs", "cloudscheduler.jobs.get", "cloudscheduler.jobs.pause"), email)


def test_a_spent_budget_pauses_the_jobs_and_drops_the_floor(harness: GoogleHarness) -> None:
    run = Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner"))
    endpoint, dropper, image = run(floor=1), harness.account("dropper"), harness.functions()
    let_the_floor_go(harness, run, endpoint, dropper)
    target = {"uri": f"{endpoint['uri']}/ping", "httpMethod": "POST", "oidcToken": {"serviceAccountEmail": run.caller}}
    job = harness.make(JOB, "ping", name="ping", region=REGION, schedule="0 12 1 1 *", httpTarget=target)
    server = Run(harness, image, run.caller, dropper)
    container = {
        **server.template({"ENDPOINT_SERVICE": endpoint.id, "SCHEDULES": job.id, "GOOGLE_CLOUD_PROJECT": PROJECT})["containers"][0],
        "args": ["floor"],
    }
    function = server(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY", maxInstanceRequestConcurrency=1, timeout="60s", containers=[container])
    topic = harness.make(TOPIC, "spent", name="spent")
    token = {"serviceAccountEmail": run.caller, "audience": function["uri"]}
    push = {"pushEndpoint": f"{function['uri']}/", "oidcToken": token}
    held = harness.make(SUBSCRIPTION, "spent", name="spent", topic=topic.id, ackDeadlineSeconds=60, pushConfig=push)
    mail = harness.make(CHANNEL, "mail", type="email", labels={"email_address": "me@example.org"})
    rule = {"pubsubTopic": topic.id, "schemaVersion": "1.0", "monitoringNotificationChannels": [mail["name"]]}
    budget = harness.make(BUDGET, "mine", **LIMITS, displayName="mine", thresholdRules=RULES, allUpdatesRule=rule)

    plane: Any = harness.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    assert spend(harness, 60) == {"budgets": ["mine"]}
    assert forward(harness, REFRESH_S) == ["mine told spent; mine is over 50% (mailed to me@example.org)"]
    until(lambda: plane.service.store.held(held.id) == 0)
    assert len(run.processes(endpoint)) == 1, "not all of it is spent"

    assert spend(harness, 100, "mine") == {"budgets": ["mine"]}
    assert forward(harness, REFRESH_S) == ["mine told spent; mine is over 100% (mailed to me@example.org)"]
    until(lambda: plane.service.store.held(held.id) == 0)
    live = harness.life.read(endpoint.token, endpoint.id, endpoint.urn, endpoint.inputs)
    assert live is not None
    assert live[1]["scaling"] == {"minInstanceCount": 0}
    assert harness.twin.world.get(JOB, job.id)["state"] == "PAUSED"  # type: ignore[index]
    forward(harness, IDLE_S + 1)
    until(lambda: run.processes(endpoint) == [])
    assert forward(harness, REFRESH_S) == ["mine told spent"], "mailed once a month, told always"
    sent = [json.loads(line) for line in (harness.home / "mail.jsonl").read_text().splitlines()]
    assert [one["subject"] for one in sent] == ["Budget mine: 50% of 100.00 USD is spent", "Budget mine: 100% of 100.00 USD is spent"]
    # The subscription too: it would push to nobody, again and again, for all the days that follow.
    for made in (budget, job, held):
        harness.remove(made)
    server.clear()
    run.clear()


def test_a_new_month_begins_at_nothing(harness: GoogleHarness) -> None:
    topic = harness.make(TOPIC, "told", name="told")
    held = harness.make(SUBSCRIPTION, "told", name="told", topic=topic.id)
    harness.make(BUDGET, "month", **LIMITS, displayName="month", thresholdRules=RULES, allUpdatesRule={"pubsubTopic": topic.id})
    spend(harness, 70, "month")
    plane: Any = harness.twin.gcp.planes.made("pubsub_plane:PubsubPlane")

    def costs() -> list[tuple[float, float | None]]:
        taken = plane.service.store.take(held.id, 100)
        plane.service.store.acknowledge(held.id, [one.ack_id for one in taken])
        found = [json.loads(one.message.data) for one in taken]
        return [(one["costAmount"], one.get("alertThresholdExceeded")) for one in found]

    forward(harness, REFRESH_S)
    assert costs() == [(70, 0.5)]
    forward(harness, datetime(2026, 4, 1, 7, tzinfo=UTC).timestamp() - harness.twin.clock.now())
    assert set(costs()) == {(70, 0.5), (0, None)}
    assert spend(harness, 1, "nobody's") == {"message": 'spend: there is no budget "nobody\'s"'}


def test_what_the_twin_does_not_count_is_refused(harness: GoogleHarness) -> None:
    given = {"billingAccount": LIMITS["billingAccount"], "displayName": "other"}
    with pytest.raises(Refusal, match="specifiedAmount"):
        harness.make(BUDGET, "last", **given, amount={"lastPeriodAmount": True})
    with pytest.raises(Refusal, match="counts by the month"):
        harness.make(BUDGET, "year", **given, amount=LIMITS["amount"], budgetFilter={"calendarPeriod": "YEAR"})

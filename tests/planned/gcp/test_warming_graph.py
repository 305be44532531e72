"""What a warming plan declares on Google Cloud: the floor of the moment, the jobs that set it and ping, and who may do what for that."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.warming_plan import Ping
from components.warming_schedule import Firing, always
from pilotlight.planned import Planned
from tests.planned.conftest import Build
from tests.planned.gcp.conftest import ACCOUNT, API, INVOKER, RUN, Plan, container, plan_of, variables

JOB, ROLE = "gcp:cloudscheduler/job:Job", "gcp:projects/iAMCustomRole:IAMCustomRole"
ACTS_AS, BUDGET = "gcp:serviceaccount/iAMMember:IAMMember", "gcp:billing/budget:Budget"
TOPIC, SUBSCRIPTION = "gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription"
PREFIX, AT = "pilotlight-gcp-cloud-run-api", "projects/my-project/locations/europe-west1"
OFFICE = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin", "instances": 2}
LEASED = {**OFFICE, "leaseUntil": "2027-01-31"}
PING = {"kind": "ping", "everyMinutes": 5, "parallel": 3}
DROP = {"monthlyUsd": 100, "email": "ops@example.com", "onExceeded": "drop-warming"}


def warmed(*rules: Any, **changes: Any) -> Plan:
    return plan_of(API, {"warming": list(rules), **changes})


def body(job: Planned) -> Any:
    return json.loads(base64.b64decode(job.inputs["httpTarget"]["body"]))


def minimum(plan: Plan) -> int:
    return int(plan.one(RUN, "endpoint-service").inputs["scaling"]["minInstanceCount"])


def permissions(plan: Plan) -> dict[str, list[str]]:
    """Per custom role: what it permits."""
    return {each.outputs["name"]: each.inputs["permissions"] for each in plan.all(ROLE)}


def test_without_a_plan_there_is_nothing_of_it() -> None:
    plan = plan_of(API)
    assert [each.name for each in plan.resources if each.type in (JOB, ROLE, ACTS_AS)] == []
    assert minimum(plan) == 0


def test_the_program_declares_the_floor_of_the_moment_on_the_service_itself() -> None:
    # Plans are of a Wednesday at noon.
    assert minimum(warmed(OFFICE)) == 2
    assert minimum(warmed({**OFFICE, "cron": "0 20 * * MON-FRI", "until": "0 22 * * MON-FRI"})) == 0
    assert minimum(warmed({"kind": "provisioned", "instances": 3})) == 3
    assert warmed({"kind": "provisioned", "instances": 3}).all(JOB) == []


def test_a_plan_of_floors_leaves_its_mark_so_that_the_provider_writes_the_floor_when_it_changes_or_goes() -> None:
    def mark(*rules: Any) -> Any:
        return (warmed(*rules) if rules else plan_of(API)).one(RUN, "endpoint-service").inputs.get("annotations")

    ping = {"kind": "ping", "everyMinutes": 5}
    later = {**OFFICE, "cron": "0 20 * * MON-FRI", "until": "0 22 * * MON-FRI"}
    assert (mark(), mark(ping)) == (None, None)
    marks = [mark(OFFICE), mark(later), mark({**OFFICE, "instances": 3}), mark({"kind": "provisioned", "instances": 2})]
    assert all(list(each) == ["warming-plan"] for each in marks)
    assert len({each["warming-plan"] for each in marks}) == len(marks)
    assert mark(OFFICE, ping) == mark(OFFICE)


def test_jobs_set_the_minimum_and_nothing_else_of_the_service_at_each_edge() -> None:
    set_ = {}
    for job in warmed(OFFICE).all(JOB):
        target = job.inputs["httpTarget"]
        assert target["uri"] == f"https://run.googleapis.com/v2/{AT}/services/{PREFIX}?updateMask=scaling.minInstanceCount"
        assert (target["httpMethod"], target["oauthToken"]["scope"]) == ("PATCH", "https://www.googleapis.com/auth/cloud-platform")
        assert list(body(job)) == ["scaling"]
        assert (job.inputs["timeZone"], job.inputs["region"], job.inputs["paused"]) == ("Europe/Berlin", "europe-west1", False)
        assert all(len(job.inputs["schedule"].split()) == 5 for job in warmed(OFFICE).all(JOB))
        set_[job.inputs["schedule"]] = body(job)["scaling"]["minInstanceCount"]
    assert (set_["0 8 * * MON-FRI"], set_["0 18 * * MON-FRI"]) == (2, 0)


def test_who_sets_the_floor_may_change_this_service_as_its_identity_and_no_other() -> None:
    plan = warmed(OFFICE)
    [email] = {job.inputs["httpTarget"]["oauthToken"]["serviceAccountEmail"] for job in plan.all(JOB)}
    granted = [each for each in plan.resources if each.inputs.get("member") == f"serviceAccount:{email}"]
    [setter, acts_as] = sorted(granted, key=lambda each: each.type)
    assert (setter.type, setter.inputs["name"]) == (INVOKER, PREFIX)
    assert permissions(plan)[setter.inputs["role"]] == ["run.services.get", "run.services.update"]
    assert acts_as.inputs["role"] == "roles/iam.serviceAccountUser"
    assert acts_as.inputs["serviceAccountId"] == plan.one(ACCOUNT, "endpoint-account").outputs["name"]
    # They are there before the first job is due.
    assert all({setter.urn, acts_as.urn} <= plan.before(job) for job in plan.all(JOB))


def test_a_role_is_named_after_an_account_because_a_deleted_one_keeps_its_name_for_weeks() -> None:
    plan = warmed(OFFICE)
    number = plan.one(ACCOUNT, "endpoint-account").outputs["uniqueId"]
    assert plan.one(ROLE).inputs["roleId"] == f"pilotlightSetsFloor{number}"
    assert re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", plan.one(ROLE).inputs["roleId"])


def test_the_right_to_set_a_leased_floor_ends_with_the_lease() -> None:
    plan = warmed(LEASED)
    ends = {each.inputs["member"]: each.inputs.get("condition") for each in plan.all(ACTS_AS)}
    by_floor: dict[int, set[str]] = {}
    for job in plan.all(JOB):
        email = job.inputs["httpTarget"]["oauthToken"]["serviceAccountEmail"]
        by_floor.setdefault(body(job)["scaling"]["minInstanceCount"], set()).add(f"serviceAccount:{email}")
    [raises], [lowers] = by_floor[2], by_floor[0]
    # The lease's last day ends at midnight in Berlin.
    assert ends[raises] == {"title": "lease", "expression": 'request.time < timestamp("2027-01-31T23:00:00Z")'}
    # What lowers it must go on: outside of windows, and for good when the lease is over.
    assert ends[lowers] is None
    # A service's own policy is read without conditions by the provider.
    assert [each.name for each in plan.all(INVOKER) if "condition" in each.inputs] == []


def test_jobs_of_one_date_have_no_right_a_year_later() -> None:
    night = {**LEASED, "cron": "0 22 * * SUN", "until": "0 6 * * MON"}
    plan = warmed(night)
    dated = [job for job in plan.all(JOB) if job.inputs["schedule"].split()[2] != "*"]
    assert {job.inputs["schedule"].split(maxsplit=2)[2] for job in dated} == {"1 2 *"}
    emails = {job.inputs["httpTarget"]["oauthToken"]["serviceAccountEmail"] for job in dated}
    ends = {each.inputs["member"].partition(":")[2]: each.inputs.get("condition") for each in plan.all(ACTS_AS)}
    assert [ends[email]["expression"] for email in emails] == ['request.time < timestamp("2027-02-01T23:00:00Z")']


def test_jobs_of_one_date_are_made_until_then(build: Build) -> None:
    """As on AWS: what ends the floor of a lease inside its window, and what asserts that for an hour."""
    end = datetime(2026, 11, 25, 23, tzinfo=UTC)  # midnight in Berlin
    night = {**OFFICE, "cron": "0 22 * * *", "until": "0 6 * * *", "leaseUntil": "2026-11-25"}
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    for now, floor, left in ((end - second, 2, 5), (end, 0, 4), (end + hour / 2, 0, 2), (end + hour - second, 0, 1)):
        graph = build(API, now=now, warming=[night])
        assert graph.result["outputs"]["floor"] == floor
        assert len([each for each in graph.all(JOB) if each.inputs["schedule"].endswith(" 26 11 *")]) == left
    assert build(API, now=end + hour, warming=[night]).all(JOB) == []


def test_pings_go_through_a_function_that_may_call_this_endpoint() -> None:
    plan = warmed(PING)
    job, warmer = plan.one(JOB), plan.one(RUN, "ping-service")
    target = job.inputs["httpTarget"]
    assert (target["httpMethod"], target["uri"]) == ("POST", f"{warmer.outputs['uri']}/")
    assert target["oidcToken"]["audience"] == warmer.outputs["uri"]
    # Two requests at a time are what one instance takes.
    assert body(job) == {"parallel": 6, "instances": 3}
    assert container(warmer)["args"] == ["warmer"]
    assert variables(warmer)["ENDPOINT_URL"] == plan.one(RUN, "endpoint-service").outputs["uri"]
    caller, function = target["oidcToken"]["serviceAccountEmail"], warmer.inputs["template"]["serviceAccount"]
    rights = {each.inputs["member"].partition(":")[2]: each.inputs["name"] for each in plan.all(INVOKER)}
    assert (rights[caller], rights[function]) == (f"{PREFIX}-warmer", PREFIX)
    assert int(variables(warmer)["REQUEST_TIMEOUT_S"]) < int(job.inputs["attemptDeadline"].removesuffix("s"))
    # A ping that comes late warms nothing.
    assert job.inputs["retryConfig"] == {"retryCount": 0, "maxRetryDuration": "0s"}


def test_the_warmer_knows_when_a_lease_ends_since_a_job_does_not() -> None:
    assert body(warmed({**PING, "leaseUntil": "2027-01-31"}).one(JOB))["until"] == "2027-02-01T00:00:00Z"


@pytest.mark.parametrize(
    ("minutes", "schedule"),
    [
        (5, "0,5,10,15,20,25,30,35,40,45,50,55 * * * *"),
        (7, "0,7,14,21,28,35,42,49,56 * * * *"),
        (60, "0 * * * *"),
        (90, "0 * * * *"),
        (1440, "0 0 * * *"),
    ],
)
def test_pings_come_as_often_as_asked_in_the_words_of_unix(minutes: int, schedule: str) -> None:
    assert always(Ping(every_minutes=minutes)).unix_cron == schedule


def test_a_date_of_a_job_has_no_year() -> None:
    day = datetime(2027, 2, 1).date()
    assert Firing(minutes=(0,), hours=(0,), on=day, timezone="UTC").unix_cron == "0 0 1 2 *"


def test_a_budget_that_is_spent_tells_a_function_that_stops_every_job_and_drops_the_floor() -> None:
    plan = warmed(PING, OFFICE, budget=DROP)
    function = plan.one(RUN, "floor-service")
    told = variables(function)
    assert told["ENDPOINT_SERVICE"] == f"{AT}/services/{PREFIX}"
    assert sorted(told["SCHEDULES"].split(",")) == sorted(job.outputs["id"] for job in plan.all(JOB))
    assert container(function)["args"] == ["floor"]
    who = f"serviceAccount:{function.inputs['template']['serviceAccount']}"
    roles = {each.inputs["role"] for each in plan.resources if each.inputs.get("member") == who}
    known = permissions(plan)
    assert sorted(each for role in roles for each in known.get(role, [role])) == [
        "cloudscheduler.jobs.get",
        "cloudscheduler.jobs.pause",
        "roles/iam.serviceAccountUser",
        "run.services.get",
        "run.services.update",
    ]


def test_a_budgets_message_comes_to_the_function_or_lies_among_dead_letters() -> None:
    plan = warmed(OFFICE, budget=DROP)
    budget, topic = plan.one(BUDGET), plan.one(TOPIC, "budget-floor-topic")
    assert (budget.inputs["allUpdatesRule"]["pubsubTopic"], budget.inputs["allUpdatesRule"]["schemaVersion"]) == (
        topic.outputs["id"],
        "1.0",
    )
    assert [each["thresholdPercent"] for each in budget.inputs["thresholdRules"]] == [0.5, 0.9, 1]
    push, function = plan.one(SUBSCRIPTION, "budget-floor-subscription"), plan.one(RUN, "floor-service")
    assert (push.inputs["topic"], push.inputs["pushConfig"]["pushEndpoint"]) == (topic.outputs["id"], f"{function.outputs['uri']}/")
    dead = plan.one(TOPIC, "budget-floor-dead-topic")
    assert push.inputs["deadLetterPolicy"]["deadLetterTopic"] == dead.outputs["id"]
    # Nobody reads a topic without a subscription; the budget publishes when all is there, and Pub/Sub may move what fails.
    kept = plan.one(SUBSCRIPTION, "budget-floor-dead-subscription")
    assert kept.inputs["topic"] == dead.outputs["id"]
    moves = [plan.one(f"gcp:pubsub/{kind}", name).urn for kind, name in MOVES]
    assert {push.urn, kept.urn, function.urn, *moves} <= plan.before(budget)


MOVES = [("topicIAMMember:TopicIAMMember", "agent-buries"), ("subscriptionIAMMember:SubscriptionIAMMember", "agent-takes")]


def test_only_its_push_may_call_the_function_that_drops_the_floor() -> None:
    plan = warmed(OFFICE, budget=DROP)
    push = plan.one(SUBSCRIPTION, "budget-floor-subscription").inputs["pushConfig"]["oidcToken"]["serviceAccountEmail"]
    callers = [each.inputs["member"] for each in plan.all(INVOKER) if each.inputs["name"] == f"{PREFIX}-floor"]
    assert callers == [f"serviceAccount:{push}"]


def test_a_floor_without_schedules_needs_no_right_on_jobs() -> None:
    plan = warmed({"kind": "provisioned"}, budget=DROP)
    assert "SCHEDULES" not in variables(plan.one(RUN, "floor-service"))
    assert list(permissions(plan).values()) == [["run.services.get", "run.services.update"]]

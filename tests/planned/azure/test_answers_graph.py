"""Answers that come later on Azure: what is made, who may what, and how the gateway tells whose an answer is."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from components.azure.answers import ATTEMPTS
from docs.generate.__main__ import page_of
from handlers.functions.attempts import longest_pause_s
from pilotlight.planned import plan
from tests.planned.azure.conftest import (
    ACCOUNT,
    ALERT,
    APP,
    ASSIGNMENT,
    AT_ONCE,
    FORGETS,
    IDENTITY,
    JOB,
    JWT,
    LATER,
    OPERATION,
    POLICY,
    PREFIX,
    QUEUE,
    STACK,
    TABLE,
    container,
    granted,
    plan_of,
    policy,
    variables,
)

ASYNC: Mapping[str, Any] = {"answers": {"async": True, "keepHours": 30}}
EDGES = [
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-hands-over"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-keeps-rows"),
    (f"{APP}*function-app", f"{QUEUE}*answers-queue"),
    (f"{APP}*worker-app", f"{ASSIGNMENT}*worker-takes-work"),
    (f"{APP}*worker-app", f"{ASSIGNMENT}*worker-buries"),
    (f"{APP}*worker-app", f"{ASSIGNMENT}*worker-pulls"),
    (f"{APP}*worker-app", f"{TABLE}*answers-table"),
    (f"{APP}*worker-app", f"{QUEUE}*dead-queue"),
    (f"{JOB}*forgets-job", f"{ASSIGNMENT}*deletes-rows"),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    made = plan_of(ASYNC)
    found = [made.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in made.before(found[0])


def test_each_identity_may_do_what_its_part_does_and_no_more() -> None:
    assert granted(plan_of(ASYNC), PREFIX) == {
        ("endpoint", "AcrPull", "registry"),
        ("endpoint", "Storage Blob Data Reader", "models/containers/models"),
        ("api", "AcrPull", "registry"),
        ("api", "Storage Queue Data Message Sender", "answers/queues/answers"),
        ("api", "Storage Queue Data Reader", "answers/queues/answers"),
        ("api", "Storage Table Data Contributor", "answers/tables/answers"),
        ("api", "Storage Blob Data Contributor", "answers/containers/answers"),
        ("worker", "AcrPull", "registry"),
        ("worker", "Storage Queue Data Contributor", "answers/queues/answers"),
        ("worker", "Storage Queue Data Message Sender", "letters/queues/dead"),
        ("worker", "Storage Table Data Contributor", "answers/tables/answers"),
        ("worker", "Storage Blob Data Contributor", "answers/containers/answers"),
        ("forgetter", "AcrPull", "registry"),
        ("forgetter", "Storage Table Data Contributor", "answers/tables/answers"),
    }


def test_function_and_worker_are_told_where_requests_wait() -> None:
    made = plan_of(ASYNC)
    answers, letters = (made.one(ACCOUNT, f"{each}-account").inputs["accountName"] for each in ("answers", "letters"))
    both = {
        "ANSWERS_TABLE_URL": f"https://{answers}.table.core.windows.net/answers",
        "ANSWERS_CONTAINER_URL": f"https://{answers}.blob.core.windows.net/answers",
        "ANSWERS_QUEUE_URL": f"https://{answers}.queue.core.windows.net/answers",
        "ANSWERS_KEEP_HOURS": "30",
        "MAX_ATTEMPTS": "10",
        # Six times what the worker has for one message.
        "VISIBILITY_S": "162",
    }
    function, worker = made.one(APP, "function-app"), made.one(APP, "worker-app")
    assert both.items() | {("AUTH_MODE", "api-key")} <= variables(function).items()
    assert both.items() | {("DEAD_LETTER_QUEUE_URL", f"https://{letters}.queue.core.windows.net/dead")} <= variables(worker).items()
    assert "DEAD_LETTER_QUEUE_URL" not in variables(function)
    assert (variables(worker)["REQUEST_TIMEOUT_S"], variables(worker)["ENDPOINT_TIMEOUT_S"]) == ("27", "26")
    assert (container(worker)["args"], worker.inputs["configuration"].get("ingress")) == (["worker"], None)


def test_no_more_work_is_taken_than_the_endpoint_takes() -> None:
    made = plan_of({**ASYNC, "endpoint.maxConcurrency": 40})
    worker = made.one(APP, "worker-app")
    scale = worker.inputs["template"]["scale"]
    [rule] = scale["rules"]
    assert (rule["custom"]["type"], rule["custom"]["metadata"]["queueLength"], scale["maxReplicas"]) == ("azure-queue", "20", 2)
    assert variables(worker)["CONCURRENCY"] == "20"
    assert rule["custom"]["identity"] == made.one(IDENTITY, "worker-identity").outputs["id"]


def test_what_is_over_goes_blobs_by_days_and_rows_by_a_job_once_a_day() -> None:
    made = plan_of(ASYNC)
    [rule] = made.one(FORGETS).inputs["policy"]["rules"]
    assert rule["definition"]["actions"]["baseBlob"]["delete"] == {"daysAfterModificationGreaterThan": 3}
    job = made.one(JOB)
    assert container(job)["args"] == ["forgetter"]
    assert job.inputs["configuration"]["scheduleTriggerConfig"]["cronExpression"] == "17 3 * * *"
    assert set(variables(job)) == {"ANSWERS_TABLE_URL", "SERVICE", "AZURE_CLIENT_ID"}


def test_answers_and_their_dead_letters_go_with_the_setting_whatever_is_kept() -> None:
    """What is protected could not be turned off: the engine refuses the whole `up`."""
    made = plan_of({**ASYNC, "dataRetention": "keep"})
    assert {each.name.removeprefix("api-"): each.protect for each in made.all(ACCOUNT)} == {
        "answers-account": False,
        "answers-letters-account": False,
        "models-account": True,
    }


def test_answers_are_fetched_by_a_second_operation_where_they_may_come_later() -> None:
    [results] = [each.inputs for each in plan_of(ASYNC).all(OPERATION) if each.inputs["operationId"] == "results"]
    assert (results["method"], results["urlTemplate"]) == ("GET", "/results/{id}")
    assert results["templateParameters"] == [{"name": "id", "required": True, "type": "string"}]


@pytest.mark.parametrize("changes", [ASYNC, {**ASYNC, **JWT}], ids=["api-key", "jwt"])
def test_the_gateway_alone_says_whose_a_request_is(changes: Mapping[str, Any]) -> None:
    """Whatever a caller sends in these headers is gone before the function sees it."""
    inbound = policy(plan_of(changes).one(POLICY)).find("inbound")
    assert inbound is not None
    top = [each for each in inbound if each.tag == "set-header" and str(each.get("name")).startswith("x-pilotlight-")]
    actions = {str(each.get("name")): str(each.get("exists-action")) for each in top}
    keyed = changes is ASYNC
    always = {"x-pilotlight-arrived": "override", "x-pilotlight-gateway": "override"}
    assert actions == {"x-pilotlight-caller": "override" if keyed else "delete", **always}
    inside = [
        each for each in inbound.iter("set-header") if each.get("name") == "x-pilotlight-caller" and each.get("exists-action") != "delete"
    ]
    assert {each.get("exists-action") for each in inside} == {"override"}
    told = [re.sub(r"context\.Request\.Headers\..*?AsJwt\(\)", "token", each.findtext("value") or "") for each in inside]
    assert told == (
        ['@("key:" + context.Subscription.Id)']
        if keyed
        else [
            f'@("{kind}:" + token?.Issuer + "#" + token?.Claims.GetValueOrDefault("{claim}", ""))'
            for kind, claim in (("token", "sub"), ("client", "client_id"))
        ]
    )
    names = [str(each.get("name") or each.tag) for each in inbound]
    # Once the token is replaced by the gateway's own, nobody can tell whose it was.
    assert names.index("x-pilotlight-caller") < names.index("authentication-managed-identity")


def test_a_page_may_ask_for_an_answer_that_comes_later_and_see_where_it_is() -> None:
    def headers(changes: Mapping[str, Any], part: str) -> set[str]:
        made = plan_of({**changes, **JWT, "cors": {"allowOrigins": ["https://app.example"]}})
        return {str(each.text) for each in policy(made.one(POLICY)).findall(f"inbound/cors/{part}/header")}

    always = {"authorization", "content-type", "x-request-id"}
    assert headers({}, "allowed-headers") == always
    assert headers(ASYNC, "allowed-headers") == always | {"idempotency-key", "prefer"}
    assert headers({}, "expose-headers") == {"x-request-id", "retry-after"}
    assert headers(ASYNC, "expose-headers") == {"x-request-id", "retry-after", "location", "idempotent-replayed"}


@pytest.mark.parametrize("stack", [STACK, LATER])
def test_the_page_says_how_long_the_pauses_between_attempts_are(stack: str) -> None:
    longest_s = sum(longest_pause_s(attempt) for attempt in range(1, ATTEMPTS))
    told = f"with pauses of {round(longest_s / 2 / 60)} to {round(longest_s / 60)} minutes together"
    assert told in page_of(stack).read_text()


def test_without_answers_nothing_is_told_and_nothing_made() -> None:
    made = plan_of()
    assert set(re.findall("x-pilotlight-[a-z]+", made.one(POLICY).inputs["value"])) == {"x-pilotlight-arrived"}
    assert (made.all(JOB), made.all(QUEUE), made.all(TABLE)) == ([], [], [])


def test_alerts_watch_dead_letters_waiting_work_the_worker_and_what_forgets_rows() -> None:
    made = plan_of(ASYNC)
    rules = {each.inputs["ruleName"]: each.inputs for each in made.all(ALERT)}
    assert {"answers-dead-letters", "answers-dead-letters-waiting", "answers-age", "worker-restarts", "forgetter-errors"} <= set(rules)
    [one] = rules["forgetter-errors"]["criteria"]["allOf"]
    assert rules["forgetter-errors"]["scopes"] == [made.one(JOB, "worker-forgets-job").outputs["id"]]
    where = [{"name": "state", "operator": "Include", "values": ["Failed"]}]
    assert (one["metricNamespace"], one["metricName"], one["dimensions"]) == ("Microsoft.App/jobs", "Executions", where)


def test_what_applies_is_an_output() -> None:
    new = set(plan(STACK, ASYNC).outputs) - set(plan(STACK, AT_ONCE).outputs)
    assert new == {"answersDatabase", "answersTable", "answersQueueUrl", "deadLetterQueueUrl"}

"""What a ready event pipeline on Azure registers: order, identities, what Event Grid is told, dead letters."""

from typing import Any

import pytest

from pilotlight.planned import plan
from tests.planned.azure.conftest import (
    ACCOUNT,
    ALERT,
    APP,
    ASSIGNMENT,
    CONTAINER,
    EVENTS,
    IDENTITY,
    QUEUE,
    SUBSCRIPTION,
    TABLE,
    TOPIC,
    container,
    granted,
    plan_of,
    variables,
)

PREFIX = f"pilotlight-{EVENTS}"
BOTH: dict[str, Any] = {"events.results": ["table", "queue"]}
EDGES = [
    # Event Grid asks whether the identity may, when the subscription is made.
    (SUBSCRIPTION, f"{ASSIGNMENT}*delivery-tells"),
    (SUBSCRIPTION, f"{ASSIGNMENT}*delivery-buries"),
    (SUBSCRIPTION, f"{QUEUE}*events-queue"),
    (SUBSCRIPTION, f"{CONTAINER}*dead-events"),
    # The first event must be taken by somebody.
    (SUBSCRIPTION, f"{APP}*function-app"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-takes-events"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-reads-objects"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-writes-rows"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-writes-results"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-buries"),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-pulls"),
    (f"{APP}*function-app", f"{TABLE}*results-table"),
    (f"{APP}*function-app", f"{QUEUE}*dead-queue"),
    (f"{APP}*function-app", f"{APP}*endpoint-app"),
    (f"{APP}*endpoint-app", f"{ASSIGNMENT}*endpoint-reads-objects"),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    made = plan_of(stack=EVENTS)
    found = [made.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in made.before(found[0])


def test_each_identity_may_do_what_its_part_does_and_no_more() -> None:
    made = plan_of(BOTH, EVENTS)
    assert granted(made, PREFIX) == {
        ("endpoint", "AcrPull", "registry"),
        ("endpoint", "Storage Blob Data Reader", "models/containers/models"),
        ("endpoint", "Storage Blob Data Reader", "work/containers/objects"),
        ("events", "AcrPull", "registry"),
        ("events", "Storage Blob Data Reader", "work/containers/objects"),
        ("events", "Storage Queue Data Contributor", "work/queues/events"),
        ("events", "Storage Queue Data Message Sender", "letters/queues/dead"),
        ("events", "Storage Table Data Contributor", "results"),
        ("events", "Storage Blob Data Contributor", "results/containers/results"),
        ("events", "Storage Queue Data Message Sender", "results/queues/results"),
        ("delivery", "Storage Queue Data Message Sender", "work/queues/events"),
        ("delivery", "Storage Blob Data Contributor", "work/containers/dead-events"),
    }
    assert len(made.all(ASSIGNMENT)) == 12


def test_event_grid_puts_events_into_the_queue_as_an_identity_of_its_own() -> None:
    made = plan_of(stack=EVENTS)
    topic, told = made.one(TOPIC), made.one(SUBSCRIPTION).inputs
    account, who = made.one(ACCOUNT, "objects-account").outputs["id"], made.one(IDENTITY, "delivery-identity").outputs["id"]
    assert (topic.inputs["source"], topic.inputs["topicType"]) == (account, "Microsoft.Storage.StorageAccounts")
    assert list(topic.inputs["identity"]["userAssignedIdentities"]) == [who]
    as_whom = {"type": "UserAssigned", "userAssignedIdentity": who}
    assert told["deliveryWithResourceIdentity"] == {
        "destination": {
            "endpointType": "StorageQueue",
            "queueMessageTimeToLiveInSeconds": -1,
            "queueName": "events",
            "resourceId": account,
        },
        "identity": as_whom,
    }
    assert told["deadLetterWithResourceIdentity"] == {
        "deadLetterDestination": {"blobContainerName": "dead-events", "endpointType": "StorageBlob", "resourceId": account},
        "identity": as_whom,
    }
    assert told["retryPolicy"] == {"eventTimeToLiveInMinutes": 1440, "maxDeliveryAttempts": 30}


@pytest.mark.parametrize(
    ("changes", "begins", "ends", "advanced"),
    [
        ({}, "", None, [".txt", ".json", ".jsonl"]),
        ({"events.prefix": "in/", "events.suffixes": [".txt"]}, "in/", ".txt", None),
        ({"events.suffixes": []}, "", None, None),
    ],
)
def test_event_grid_is_told_which_blobs_start_the_pipeline(
    changes: dict[str, Any], begins: str, ends: str | None, advanced: list[str] | None
) -> None:
    told = plan_of(changes, EVENTS).one(SUBSCRIPTION).inputs["filter"]
    assert told["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    assert told["subjectBeginsWith"] == f"/blobServices/default/containers/objects/blobs/{begins}"
    assert (told.get("subjectEndsWith"), told["isSubjectCaseSensitive"]) == (ends, True)
    wanted = None if advanced is None else [{"key": "subject", "operatorType": "StringEndsWith", "values": advanced}]
    assert told.get("advancedFilters") == wanted


@pytest.mark.parametrize(("most", "messages", "replicas"), [(10, "5", 2), (9, "4", 2), (6, "6", 1), (3, "3", 1), (1, "1", 1)])
def test_no_more_events_are_worked_on_than_the_setting_says_or_fit_the_memory(most: int, messages: str, replicas: int) -> None:
    made = plan_of({"events.maxConcurrency": most}, EVENTS)
    function = made.one(APP, "function-app")
    scale = function.inputs["template"]["scale"]
    [rule] = scale["rules"]
    assert rule["custom"]["type"] == "azure-queue"
    assert rule["custom"]["identity"] == made.one(IDENTITY, "function-identity").outputs["id"]
    assert rule["custom"]["metadata"] == {
        "accountName": made.one(ACCOUNT, "objects-account").inputs["accountName"],
        "queueName": "events",
        "queueLength": messages,
    }
    assert (scale["minReplicas"], scale["maxReplicas"]) == (0, replicas)
    assert variables(function)["CONCURRENCY"] == messages
    assert int(messages) * replicas <= most


@pytest.mark.parametrize(("asked", "seconds"), [(None, 30), (5, 5)])
@pytest.mark.parametrize(("stack", "app"), [(EVENTS, "function-app"), ("azure-container-apps-api", "worker-app")])
def test_a_queue_is_looked_at_as_often_as_the_setting_says(stack: str, app: str, asked: int | None, seconds: int) -> None:
    later = {"answers": {"async": True}} if stack != EVENTS else {}
    made = plan_of({**later, "function.pollingSeconds": asked}, stack)
    assert made.one(APP, app).inputs["template"]["scale"]["pollingInterval"] == seconds
    assert made.one(APP, "endpoint-app").inputs["template"]["scale"]["pollingInterval"] == 30


def test_who_takes_messages_has_no_address_and_time_for_its_last_ones() -> None:
    function = plan_of(stack=EVENTS).one(APP, "function-app")
    assert "ingress" not in function.inputs["configuration"]
    assert "probes" not in container(function)
    told = variables(function)
    assert function.inputs["template"]["terminationGracePeriodSeconds"] >= int(told["DRAIN_S"]) + 6
    assert int(told["DRAIN_S"]) >= int(told["REQUEST_TIMEOUT_S"])


def test_the_function_is_told_where_events_objects_results_and_dead_letters_are() -> None:
    made = plan_of({**BOTH, "events.prefix": "in/"}, EVENTS)
    function = made.one(APP, "function-app")
    work, results, letters = (made.one(ACCOUNT, f"{each}-account").inputs["accountName"] for each in ("objects", "results", "letters"))
    host = made.one(APP, "endpoint-app").outputs["configuration"]["ingress"]["fqdn"]
    assert container(function)["args"] == ["events"]
    assert variables(function) == {
        "ENDPOINT_URL": f"https://{host}",
        "ENDPOINT_TIMEOUT_S": "26",
        "MAX_BODY_BYTES": "2097152",
        "MODEL_TASK": "sentence-embedding",
        "SERVICE": EVENTS,
        "EVENTS_QUEUE_URL": f"https://{work}.queue.core.windows.net/events",
        "OBJECTS_URL": f"https://{work}.blob.core.windows.net/objects",
        "VISIBILITY_S": "174",
        "MIN_OBJECT_BYTES": "1",
        "MAX_OBJECT_BYTES": "10485760",
        "MAX_ATTEMPTS": "5",
        "OBJECT_PREFIX": "in/",
        "OBJECT_SUFFIXES": ".txt,.json,.jsonl",
        "DEAD_LETTER_QUEUE_URL": f"https://{letters}.queue.core.windows.net/dead",
        "RESULTS": "table,queue",
        "RESULTS_TABLE_SERVICE": "storage",
        "RESULTS_TABLE_URL": f"https://{results}.table.core.windows.net/results",
        "RESULTS_CONTAINER_URL": f"https://{results}.blob.core.windows.net/results",
        "RESULTS_QUEUE_URL": f"https://{results}.queue.core.windows.net/results",
        "MEMORY_MB": "512",
        "CONCURRENCY": "5",
        "REQUEST_TIMEOUT_S": "29",
        "DRAIN_S": "29",
        "AZURE_CLIENT_ID": made.one(IDENTITY, "function-identity").outputs["clientId"],
    }
    assert variables(made.one(APP, "endpoint-app"))["INPUTS_URI"] == f"https://{work}.blob.core.windows.net/objects/in/"


@pytest.mark.parametrize("keep", [True, False])
def test_data_is_protected_or_goes_with_the_stack(keep: bool) -> None:
    made = plan_of({**BOTH, "dataRetention": "keep" if keep else "delete"}, EVENTS)
    assert {each.protect for kind in (ACCOUNT, CONTAINER, QUEUE, TABLE) for each in made.all(kind)} == {keep}
    assert len(made.all(ACCOUNT)) == 4


def test_alerts_watch_metrics_that_there_are_of_dead_letters_waiting_events_and_event_grid() -> None:
    made = plan_of(stack=EVENTS)
    watched = {}
    for each in made.all(ALERT):
        [one] = each.inputs["criteria"]["allOf"]
        [scope] = each.inputs["scopes"]
        where = {dimension["name"]: dimension["values"] for dimension in one.get("dimensions", [])}
        watched[each.inputs["ruleName"]] = (scope, one["metricName"], where, one["threshold"], each.inputs["windowSize"])
    work, letters = (f"{made.one(ACCOUNT, each).outputs['id']}/queueServices/default" for each in ("objects-account", "letters-account"))
    topic, function = made.one(TOPIC).outputs["id"], made.one(APP, "function-app").outputs["id"]
    assert {name: told for name, told in watched.items() if not name.startswith("endpoint-")} == {
        # All that is put into that account is a dead letter.
        "events-dead-letters": (letters, "Transactions", {"ApiName": ["PutMessage"], "ResponseType": ["Success"]}, 0, "PT5M"),
        # Told when it comes, for some minutes, and while it is there, which is counted once a day.
        "events-dead-letters-waiting": (letters, "QueueMessageCount", {}, 0, "P1D"),
        # What ten replicas' requests of 29 s make in an hour.
        "events-age": (work, "QueueMessageCount", {}, 10 * 3600 // 29, "P1D"),
        "events-undelivered": (topic, "DeadLetteredCount", {}, 0, "PT5M"),
        "events-dropped": (topic, "DroppedEventCount", {}, 0, "PT5M"),
        "function-restarts": (function, "RestartCount", {}, 2, "PT5M"),
    }


def test_what_applies_is_an_output_and_nothing_else() -> None:
    outputs = plan(EVENTS, BOTH).outputs
    assert set(outputs) == {
        "pattern",
        "platform",
        "region",
        "project",
        "functionName",
        "endpointName",
        "objectsBucket",
        "objectsUrl",
        "queueUrl",
        "deadLetterQueueUrl",
        "resultsDatabase",
        "resultsTable",
        "resultsBucket",
        "resultsQueueUrl",
    }
    assert outputs["resultsQueueUrl"].endswith("/results")

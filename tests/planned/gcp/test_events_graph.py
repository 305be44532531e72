"""What a ready event pipeline on Google Cloud registers: order, identities, dead letters and the way back."""

from typing import Any

import pytest

from pilotlight.planned import plan
from tests.planned.gcp.conftest import ACCOUNT, INVOKER, RUN, container, plan_of, variables

EVENTS = "gcp-cloud-run-events"
PREFIX = f"pilotlight-{EVENTS}"
BUCKET, TRIGGER, DATABASE = "gcp:storage/bucket:Bucket", "gcp:eventarc/trigger:Trigger", "gcp:firestore/database:Database"
TOPIC, SUBSCRIPTION = "gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription"
PROJECT_MEMBER, AGENT = "gcp:projects/iAMMember:IAMMember", "gcp:projects/serviceIdentity:ServiceIdentity"
BOTH: dict[str, Any] = {"events.results": ["table", "queue"]}
EDGES = [
    (TRIGGER, f"{INVOKER}*delivery-invoke"),
    (TRIGGER, f"{PROJECT_MEMBER}*delivery-receives"),
    (TRIGGER, f"{PROJECT_MEMBER}*delivery-tells"),
    (TRIGGER, f"{PROJECT_MEMBER}*eventarc-agent-role"),
    (TRIGGER, f"{PROJECT_MEMBER}*pubsub-agent-role"),
    (f"{PROJECT_MEMBER}*eventarc-agent-role", f"{AGENT}*eventarc-agent"),
    (f"{SUBSCRIPTION}*replay-subscription", f"{PROJECT_MEMBER}*pubsub-agent-role"),
    (TRIGGER, f"{RUN}*function-service"),
    (f"{RUN}*function-service", f"{PROJECT_MEMBER}*writes-documents"),
    (f"{RUN}*function-service", "gcp:pubsub/topicIAMMember:TopicIAMMember*function-buries"),
    (f"{RUN}*function-service", "gcp:storage/bucketIAMMember:BucketIAMMember*function-writes-results"),
    # The first dead letter must be kept by somebody.
    (f"{RUN}*function-service", f"{SUBSCRIPTION}*dead-subscription"),
    (f"{RUN}*endpoint-service", "gcp:storage/bucketIAMMember:BucketIAMMember*endpoint-reads-objects"),
    (f"{SUBSCRIPTION}*replay-subscription", f"{INVOKER}*delivery-invoke"),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    made = plan_of(EVENTS)
    found = [made.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in made.before(found[0])


def test_the_trigger_lies_where_the_bucket_does_and_knows_that_bucket_alone() -> None:
    made = plan_of(EVENTS)
    trigger, bucket = made.one(TRIGGER).inputs, made.one(BUCKET, "objects-bucket").inputs
    assert trigger["location"] == bucket["location"] == "europe-west1"
    assert {each["attribute"]: each["value"] for each in trigger["matchingCriterias"]} == {
        "type": "google.cloud.storage.object.v1.finalized",
        "bucket": bucket["name"],
    }
    assert trigger["destination"]["cloudRunService"] == {"service": f"{PREFIX}-events", "region": "europe-west1", "path": "/"}
    # Each generation of an object is an event, and each must be readable when its turn comes.
    assert bucket["versioning"] == {"enabled": True}


def test_each_account_may_do_what_its_part_does_and_no_more() -> None:
    made = plan_of(EVENTS, BOTH)
    granted = {
        (each.inputs["member"].removeprefix("serviceAccount:").split("-")[0], each.inputs["role"].removeprefix("roles/"), on(each.inputs))
        for each in made.resources
        if "member" in each.inputs
    }
    assert granted == {
        ("endpoint", "storage.objectViewer", "models"),
        ("endpoint", "storage.objectViewer", "objects"),
        ("events", "run.invoker", PREFIX),
        ("events", "storage.objectViewer", "objects"),
        ("events", "storage.objectCreator", "results"),
        ("events", "datastore.user", f'resource.name == "projects/my-project/databases/{PREFIX}-results"'),
        ("events", "pubsub.publisher", f"{PREFIX}-dead"),
        ("events", "pubsub.publisher", f"{PREFIX}-results"),
        ("trigger", "run.invoker", f"{PREFIX}-events"),
        ("trigger", "eventarc.eventReceiver", "my-project"),
        ("service", "pubsub.publisher", "my-project"),
        ("service", "eventarc.serviceAgent", "my-project"),
        ("service", "pubsub.serviceAgent", "my-project"),
    }
    assert len(made.all(ACCOUNT)) == 3


def on(inputs: Any) -> str:
    """What a grant is about, shortened."""
    if "bucket" in inputs:
        return str(inputs["bucket"].removeprefix(f"{PREFIX}-").split("-")[0])
    if "condition" in inputs:
        return str(inputs["condition"]["expression"])
    return str(inputs.get("topic") or inputs.get("name") or inputs["project"])


def test_what_is_granted_to_googles_own_agents_stays_when_the_stack_goes() -> None:
    kept = {each.name for each in plan_of(EVENTS).resources if each.retained and not each.type.startswith("docker-build")}
    agents = {f"events-delivery-{api}-agent{role}" for api in ("eventarc", "pubsub") for role in ("", "-role")}
    assert kept == {"events-delivery-tells", *agents}


def test_dead_letters_are_pulled_for_two_weeks_and_come_back_by_a_push_as_the_triggers_account() -> None:
    made = plan_of(EVENTS)
    dead, replay = made.one(SUBSCRIPTION, "dead-subscription"), made.one(SUBSCRIPTION, "replay-subscription")
    assert (dead.inputs["messageRetentionDuration"], dead.inputs["expirationPolicy"]) == ("1209600s", {"ttl": ""})
    assert "pushConfig" not in dead.inputs
    function = made.one(RUN, "function-service").outputs["uri"]
    assert replay.inputs["pushConfig"] == {
        "pushEndpoint": f"{function}/",
        "oidcToken": {"audience": function, "serviceAccountEmail": made.one(TRIGGER).inputs["serviceAccount"]},
    }
    outputs = plan(EVENTS).outputs
    assert (outputs["deadLetterQueueUrl"], outputs["replayTopic"]) == (dead.outputs["id"], replay.inputs["topic"])


def test_the_function_is_told_where_objects_results_and_dead_letters_are() -> None:
    made = plan_of(EVENTS, {**BOTH, "events.prefix": "in/"})
    function = made.one(RUN, "function-service")
    assert container(function)["args"] == ["events"]
    assert variables(function) == {
        "ENDPOINT_URL": made.one(RUN, "endpoint-service").outputs["uri"],
        "ENDPOINT_TIMEOUT_S": "23",
        "MAX_BODY_BYTES": "4194304",
        "MODEL_TASK": "sentence-embedding",
        "SERVICE": EVENTS,
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "MIN_OBJECT_BYTES": "1",
        "MAX_OBJECT_BYTES": "10485760",
        "MAX_ATTEMPTS": "5",
        "OBJECT_PREFIX": "in/",
        "OBJECT_SUFFIXES": ".txt,.json,.jsonl",
        "DEAD_LETTER_TOPIC": f"projects/my-project/topics/{PREFIX}-dead",
        "RESULTS": "table,queue",
        "RESULTS_DATABASE": f"{PREFIX}-results",
        "RESULTS_COLLECTION": "results",
        "RESULTS_BUCKET": made.one(BUCKET, "results-bucket").inputs["name"],
        "RESULTS_TOPIC": f"projects/my-project/topics/{PREFIX}-results",
        "MEMORY_MB": "512",
        "CONCURRENCY": "5",
        "REQUEST_TIMEOUT_S": "26",
    }
    assert variables(made.one(RUN, "endpoint-service"))["INPUTS_URI"] == f"gs://{made.one(BUCKET, 'objects-bucket').inputs['name']}/in/"


@pytest.mark.parametrize(("most", "requests", "instances"), [(10, 5, 2), (7, 3, 2), (3, 3, 1), (1, 1, 1)])
def test_no_more_events_are_worked_on_than_the_setting_says_or_fit_the_memory(most: int, requests: int, instances: int) -> None:
    template = plan_of(EVENTS, {"events.maxConcurrency": most}).one(RUN, "function-service").inputs["template"]
    assert (template["maxInstanceRequestConcurrency"], template["scaling"]["maxInstanceCount"]) == (requests, instances)


@pytest.mark.parametrize("keep", [True, False])
def test_data_is_protected_and_never_emptied_or_goes_with_the_stack(keep: bool) -> None:
    made = plan_of(EVENTS, {**BOTH, "dataRetention": "keep" if keep else "delete"})
    database = made.one(DATABASE)
    pulled = [each for each in made.all(SUBSCRIPTION) if "pushConfig" not in each.inputs]
    assert {each.protect for each in [*made.all(BUCKET), *pulled, database]} == {keep}
    assert {each.inputs["forceDestroy"] for each in made.all(BUCKET)} == {not keep}
    state = "ENABLED" if keep else "DISABLED"
    assert database.inputs["deleteProtectionState"] == f"DELETE_PROTECTION_{state}"
    assert database.inputs["pointInTimeRecoveryEnablement"] == f"POINT_IN_TIME_RECOVERY_{state}"
    # The provider's own default forgets the database and leaves it there.
    assert database.inputs["deletionPolicy"] == "DELETE"
    assert database.inputs["name"] != "(default)"


def test_attempts_go_by_themselves_and_results_are_not_searched_by_their_text() -> None:
    plan = plan_of(EVENTS)
    made = plan.all("gcp:firestore/field:Field")
    fields = {each.name: each.inputs for each in made}
    attempts, result = fields["events-results-attempts"], fields["events-results-result"]
    # Taken out by itself each would have its indexes made anew before the database goes.
    assert {each.deleted_with for each in made} == {plan.one("gcp:firestore/database:Database").urn}
    assert (attempts["collection"], attempts["field"], attempts["ttlConfig"]) == ("results-attempts", "expires", {})
    assert (result["collection"], result["field"], result["indexConfig"]) == ("results", "result", {})


def test_alarms_watch_dead_letters_and_the_age_of_events() -> None:
    policies = {
        each.name.removeprefix("events-watch-"): each.inputs["conditions"][0].get("conditionThreshold")
        for each in plan_of(EVENTS).all("gcp:monitoring/alertPolicy:AlertPolicy")
    }
    assert {"events-dead-letters", "events-age", "function-errors", "endpoint-errors"} <= set(policies)
    assert f'resource.labels.subscription_id = "{PREFIX}-dead"' in policies["events-dead-letters"]["filter"]
    assert f'resource.labels.subscription_id = "eventarc-europe-west1-{PREFIX}-objects-sub-000"' in policies["events-age"]["filter"]
    assert f'resource.labels.subscription_id = "{PREFIX}-replay"' in policies["events-replay-age"]["filter"]
    assert policies["events-age"]["thresholdValue"] == policies["events-replay-age"]["thresholdValue"] == 3600


def test_every_message_waits_for_two_weeks_and_no_subscription_expires() -> None:
    made = plan_of(EVENTS).all("gcp:pubsub/subscription:Subscription")
    assert {(each.inputs["messageRetentionDuration"], each.inputs["expirationPolicy"]["ttl"]) for each in made} == {("1209600s", "")}


def test_an_event_that_is_to_come_again_is_no_failure_of_the_function_but_a_503_of_the_endpoint_is_one() -> None:
    filters = {
        each.name.removeprefix("events-watch-"): each.inputs["conditions"][0].get("conditionThreshold", {}).get("filter")
        for each in plan_of(EVENTS).all("gcp:monitoring/alertPolicy:AlertPolicy")
    }
    fives, again = 'metric.labels.response_code_class = "5xx"', 'metric.labels.response_code != "503"'
    assert [(fives in filters[role], again in filters[role]) for role in ("function-errors", "endpoint-errors")] == [
        (True, True),
        (True, False),
    ]


def test_what_applies_is_an_output_and_nothing_else() -> None:
    assert set(plan(EVENTS, BOTH).outputs) == {
        "pattern",
        "platform",
        "region",
        "project",
        "functionName",
        "endpointName",
        "objectsBucket",
        "deadLetterQueueUrl",
        "replayTopic",
        "resultsDatabase",
        "resultsTable",
        "resultsBucket",
        "resultsQueueUrl",
    }

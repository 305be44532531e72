"""Answers that come later on Google Cloud: who may do what for them, in which order it is made, and what becomes of lost work."""

import pytest

from components.gcp.answers import expiry_days
from components.limits import PUBSUB_ACK_S
from pilotlight.planned import plan
from tests.planned.gcp.conftest import API, INVOKER, JWT, RUN, Plan, document, plan_of, variables

LATER = {"answers": {"async": True, "keepHours": 48}}
PREFIX = f"pilotlight-{API}"
BUCKET, DATABASE = "gcp:storage/bucket:Bucket", "gcp:firestore/database:Database"
TOPIC, SUBSCRIPTION = "gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription"
GATEWAY, POLICY = "gcp:apigateway/gateway:Gateway", "gcp:monitoring/alertPolicy:AlertPolicy"


def later(**changes: object) -> Plan:
    return plan_of(API, {**LATER, **changes})


def rights(plan: Plan, account: str) -> set[tuple[str, str]]:
    """Roles of an account, each with the title of its condition or what it is on."""
    return {
        (each.inputs["role"].removeprefix("roles/"), each.inputs.get("condition", {}).get("title") or each.inputs.get("topic", ""))
        for each in plan.resources
        if each.inputs.get("member", "").startswith(f"serviceAccount:{account}-")
    }


def test_without_the_setting_there_is_nothing_of_it() -> None:
    made = plan_of(API)
    assert [each.name for each in made.resources if "answers" in each.name or "worker" in each.name] == []
    assert "ANSWERS_TOPIC" not in variables(made.one(RUN, "function-service"))
    assert list(document(made)["paths"]) == ["/predict"]


def test_function_and_worker_know_the_same_places_and_their_own_half() -> None:
    made = later()
    function, worker = (variables(made.one(RUN, f"{role}-service")) for role in ("function", "worker"))
    bucket = made.one(BUCKET, "answers-bucket").inputs["name"]
    for told in (function, worker):
        assert (told["ANSWERS_DATABASE"], told["ANSWERS_COLLECTION"]) == (f"{PREFIX}-answers", "answers")
        assert (told["ANSWERS_BUCKET"], told["ANSWERS_KEEP_HOURS"]) == (bucket, "48")
    assert function["ANSWERS_TOPIC"] == f"projects/my-project/topics/{PREFIX}-answers"
    assert (function["AUTH_MODE"], variables(plan_of(API, {**LATER, **JWT}).one(RUN, "function-service"))["AUTH_MODE"]) == (
        "api-key",
        "jwt",
    )
    assert {"ANSWERS_TOPIC", "AUTH_MODE"}.isdisjoint(worker)
    # The subscription's number decides, and the worker must know its last attempt.
    assert (
        function["MAX_ATTEMPTS"]
        == worker["MAX_ATTEMPTS"]
        == str(made.one(SUBSCRIPTION, "worker-subscription").inputs["deadLetterPolicy"]["maxDeliveryAttempts"])
    )


def test_the_worker_waits_for_a_start_and_so_does_the_endpoints_own_timeout() -> None:
    made = plan_of("gcp-cloud-run-gpu-api", {"endpoint.coldStartSeconds": 200, "endpoint.predictSeconds": 100})
    worker, endpoint = made.one(RUN, "worker-service"), made.one(RUN, "endpoint-service")
    waits = int(variables(worker)["ENDPOINT_TIMEOUT_S"])
    assert waits > 300
    assert int(endpoint.inputs["template"]["timeout"].removesuffix("s")) >= waits
    assert int(worker.inputs["template"]["timeout"].removesuffix("s")) > waits
    ack = made.one(SUBSCRIPTION, "worker-subscription").inputs["ackDeadlineSeconds"]
    assert waits < ack <= PUBSUB_ACK_S.high


def test_the_longest_chain_that_is_taken_has_the_longest_deadline_that_there_is() -> None:
    made = plan_of("gcp-cloud-run-gpu-api", {"endpoint.coldStartSeconds": 240, "endpoint.predictSeconds": 358})
    assert made.one(RUN, "worker-service").inputs["template"]["timeout"] == "600s"
    assert made.one(SUBSCRIPTION, "worker-subscription").inputs["ackDeadlineSeconds"] == 600


@pytest.mark.parametrize(("concurrency", "memory"), [(10, 512), (3, 512), (1000, 1024)])
def test_the_worker_asks_for_as_much_at_a_time_as_the_endpoint_takes(concurrency: int, memory: int) -> None:
    made = later(**{"endpoint.maxConcurrency": concurrency, "function.memoryMb": memory})
    template = made.one(RUN, "worker-service").inputs["template"]
    at_a_time = template["maxInstanceRequestConcurrency"]
    instances = template["scaling"]["maxInstanceCount"]
    assert concurrency - instances < instances * at_a_time <= concurrency
    assert at_a_time <= concurrency


def test_each_account_may_do_its_half() -> None:
    made = later()
    assert rights(made, "api") == {
        ("run.invoker", ""),
        ("datastore.user", "this-database"),
        ("storage.objectCreator", "requests"),
        ("storage.objectCreator", "answers"),
        ("storage.objectViewer", "answers"),
        ("pubsub.publisher", f"{PREFIX}-answers"),
    }
    assert rights(made, "worker") == {
        ("run.invoker", ""),
        ("datastore.user", "this-database"),
        ("storage.objectViewer", "requests"),
        ("storage.objectCreator", "answers"),
        ("storage.objectViewer", "answers"),
    }


def test_a_folders_right_is_for_its_objects_and_for_the_bucket_itself() -> None:
    made = later()
    bucket = made.one(BUCKET, "answers-bucket").inputs["name"]
    condition = made.one("gcp:storage/bucketIAMMember:BucketIAMMember", "worker-reads-requests").inputs["condition"]
    assert condition["expression"] == (
        f'resource.type != "storage.googleapis.com/Object" || resource.name.startsWith("projects/_/buckets/{bucket}/objects/requests/")'
    )


def test_only_its_push_may_call_the_worker() -> None:
    made = later()
    push = made.one(SUBSCRIPTION, "worker-subscription").inputs["pushConfig"]
    worker = made.one(RUN, "worker-service")
    assert push["pushEndpoint"] == f"{worker.outputs['uri']}/"
    callers = [each.inputs["member"] for each in made.all(INVOKER) if each.inputs["name"] == worker.inputs["name"]]
    assert callers == [f"serviceAccount:{push['oidcToken']['serviceAccountEmail']}"]


EDGES = [
    # A topic keeps nothing for a subscription that comes later.
    (GATEWAY, f"{SUBSCRIPTION}*worker-subscription"),
    (f"{RUN}*function-service", f"{SUBSCRIPTION}*worker-subscription"),
    (f"{SUBSCRIPTION}*worker-subscription", f"{SUBSCRIPTION}*answers-dead-subscription"),
    (f"{SUBSCRIPTION}*worker-subscription", f"{INVOKER}*worker-push-invoke"),
    (f"{SUBSCRIPTION}*worker-subscription", "gcp:projects/iAMMember:IAMMember*pubsub-agent-role"),
    (f"{RUN}*function-service", "gcp:pubsub/topicIAMMember:TopicIAMMember*hands-over"),
    (f"{RUN}*function-service", "gcp:firestore/field:Field"),
    (f"{RUN}*worker-service", "gcp:storage/bucketIAMMember:BucketIAMMember*worker-writes-answers"),
    ("gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember", f"{SUBSCRIPTION}*worker-subscription"),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    made = later()
    found = [made.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in made.before(found[0])


def test_what_is_kept_ends_and_goes_with_the_stack() -> None:
    made = later(dataRetention="keep")
    bucket, database = made.one(BUCKET, "answers-bucket"), made.one(DATABASE, "answers-database")
    assert (bucket.protect, database.protect, database.inputs["deletionPolicy"]) == (False, False, "DELETE")
    assert [rule["condition"]["age"] for rule in bucket.inputs["lifecycleRules"] if rule["action"]["type"] == "Delete"] == [3]
    field = made.one("gcp:firestore/field:Field").inputs
    assert (field["collection"], field["field"], "ttlConfig" in field) == ("answers", "expires", True)
    assert [expiry_days(hours) for hours in (1, 24, 25)] == [2, 2, 3]


def test_callers_fetch_answers_from_the_same_gateway_and_function() -> None:
    result = document(later())["paths"]["/results/{id}"]["get"]
    assert "x-google-quota" not in result
    assert document(later())["security"] == [{"api-key": []}]


def test_dead_letters_tell_and_go_back_to_the_worker() -> None:
    made, outputs = later(), plan(API, LATER).outputs
    assert outputs["deadLetterQueueUrl"] == f"projects/my-project/subscriptions/{PREFIX}-answers-dead"
    assert outputs["replayTopic"] == made.one(SUBSCRIPTION, "worker-subscription").inputs["topic"]
    assert (outputs["answersDatabase"], outputs["answersTable"], "answersQueueUrl" in outputs) == (f"{PREFIX}-answers", "answers", False)
    text = made.one(POLICY, "answers-dead-letters").inputs["conditions"][0]["conditionThreshold"]["filter"]
    assert f'resource.labels.subscription_id = "{PREFIX}-answers-dead"' in text
    assert made.one(POLICY, "answers-age").inputs["conditions"][0]["conditionThreshold"]["thresholdValue"] == 3600

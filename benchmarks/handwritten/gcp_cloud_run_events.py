"""The stack `gcp-cloud-run-events` by hand: object -> Eventarc -> function -> endpoint on Cloud Run -> Firestore."""

import math

import pulumi
import pulumi_gcp as gcp

from benchmarks.handwritten.google import (
    account,
    after,
    apis,
    bucket_of,
    functions,
    invoke,
    labels,
    may,
    member,
    prefix,
    project,
    region,
    settings,
    stack,
)
from benchmarks.handwritten.google_run import (
    FAILED,
    alarm,
    body_bytes,
    counted,
    endpoint_alarms,
    endpoint_of,
    filtered,
    function_alarms,
    service,
)

# Seconds: an attempt with a cold start in it, which is longer on a GPU, and what the endpoint has of them.
FUNCTION_S, ENDPOINT_S = (26, 23) if settings.endpoint.gpu is None else (44, 41)
# Requests of an instance of the function.
REQUESTS = 6
KEPT_S = 14 * 24 * 3600
events = settings.events
if events is None:
    raise pulumi.RunError("events: missing.")

# Objects and their dead letters.
objects = bucket_of("events-objects", "objects")


def topic(role: str) -> gcp.pubsub.Topic:
    return gcp.pubsub.Topic(f"events-{role}", name=f"{prefix}-{role}", labels=labels, opts=after(apis["pubsub"]))


dead, replay = topic("dead"), topic("replay")
letters = gcp.pubsub.Subscription(
    "events-letters",
    name=f"{prefix}-dead",
    topic=dead.id,
    ack_deadline_seconds=60,
    message_retention_duration=f"{KEPT_S}s",
    expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
    labels=labels,
)

# Results.
COLLECTION = "results"
large = bucket_of("events-results", "results")
database = gcp.firestore.Database(
    "events-database",
    name=f"{prefix}-results",
    location_id=region,
    type="FIRESTORE_NATIVE",
    point_in_time_recovery_enablement="POINT_IN_TIME_RECOVERY_DISABLED",
    delete_protection_state="DELETE_PROTECTION_DISABLED",
    deletion_policy="DELETE",
    opts=after(apis["firestore"]),
)
gcp.firestore.Field(
    "events-unindexed", database=database.name, collection=COLLECTION, field="result", index_config=gcp.firestore.FieldIndexConfigArgs()
)
expiring = gcp.firestore.Field(
    "events-expiring",
    database=database.name,
    collection=f"{COLLECTION}-attempts",
    field="expires",
    index_config=gcp.firestore.FieldIndexConfigArgs(),
    ttl_config=gcp.firestore.FieldTtlConfigArgs(),
)

# Endpoint.
inputs: dict[str, pulumi.Input[str]] = {
    "INPUTS_URI": pulumi.Output.format("gs://{0}/", objects.name),
    "MAX_OBJECT_BYTES": str(events.max_object_bytes),
}
endpoint = endpoint_of(ENDPOINT_S, inputs, [objects])

# Function.
works = account("events-function", "events", "Turns objects into results")


def project_member(name: str, role: str, who: pulumi.Input[str], **more: gcp.projects.IAMMemberConditionArgs) -> gcp.projects.IAMMember:
    return gcp.projects.IAMMember(name, project=project, role=role, member=who, **more)


this = gcp.projects.IAMMemberConditionArgs(
    title="this-database", expression=pulumi.Output.format('resource.name == "projects/{0}/databases/{1}"', project, database.name)
)
granted = [
    invoke("events-function", endpoint, works),
    may("events-function-reads", objects, "objectViewer", works),
    may("events-function-writes", large, "objectCreator", works),
    project_member("events-function-database", "roles/datastore.user", member(works), condition=this),
    gcp.pubsub.TopicIAMMember("events-function-dead", topic=dead.name, role="roles/pubsub.publisher", member=member(works)),
]
name = f"{prefix}-events"
function = service(
    "events-function",
    name,
    functions,
    works,
    {
        "ENDPOINT_URL": endpoint.uri,
        "ENDPOINT_TIMEOUT_S": str(ENDPOINT_S),
        "MAX_BODY_BYTES": body_bytes,
        "MODEL_TASK": settings.model.task,
        "SERVICE": stack,
        "GOOGLE_CLOUD_PROJECT": project,
        "MIN_OBJECT_BYTES": str(events.min_object_bytes),
        "MAX_OBJECT_BYTES": str(events.max_object_bytes),
        "MAX_ATTEMPTS": str(events.max_attempts),
        "DEAD_LETTER_TOPIC": dead.id,
        "OBJECT_SUFFIXES": ",".join(events.suffixes),
        "RESULTS": "table",
        "RESULTS_DATABASE": database.name,
        "RESULTS_COLLECTION": COLLECTION,
        "RESULTS_BUCKET": large.name,
        "MEMORY_MB": str(settings.function.memory_mb),
        "CONCURRENCY": str(REQUESTS),
        "REQUEST_TIMEOUT_S": str(FUNCTION_S),
    },
    (1, settings.function.memory_mb, REQUESTS, math.ceil(events.max_concurrency / REQUESTS)),
    FUNCTION_S,
    [*granted, expiring],
    internal=True,
    args=["events"],
)
for what, text in (
    ("ObjectsProcessed", "Objects with a result"),
    ("ObjectsFailed", "Attempts at objects that failed"),
    ("ObjectsPassedOver", "Objects that the filters passed over"),
):
    counted(name, what, text)
counted(name, "ColdStart", "Cold starts by stage", staged=True)

# Delivery.
brings = account("events-trigger", "trigger", "Brings events to the function")
calls = invoke("events-trigger", function, brings)


def agent(api: str) -> gcp.projects.IAMMember:
    """Google's own identity of an API, with its role."""
    identity = gcp.projects.ServiceIdentity(f"events-{api}-agent", service=f"{api}.googleapis.com", opts=after(apis[api]))
    return project_member(f"events-{api}-agent-role", f"roles/{api}.serviceAgent", identity.member)


tells = gcp.storage.get_project_service_account_output(opts=pulumi.InvokeOutputOptions(depends_on=[apis["storage"]]))
ready = [
    calls,
    project_member("events-trigger-receives", "roles/eventarc.eventReceiver", member(brings)),
    agent("eventarc"),
    agent("pubsub"),
    project_member("events-tells", "roles/pubsub.publisher", tells.member),
]
trigger = gcp.eventarc.Trigger(
    "events-trigger",
    name=f"{prefix}-objects",
    location=region,
    matching_criterias=[
        gcp.eventarc.TriggerMatchingCriteriaArgs(attribute="type", value="google.cloud.storage.object.v1.finalized"),
        gcp.eventarc.TriggerMatchingCriteriaArgs(attribute="bucket", value=objects.name),
    ],
    destination=gcp.eventarc.TriggerDestinationArgs(
        cloud_run_service=gcp.eventarc.TriggerDestinationCloudRunServiceArgs(service=function.name, region=region, path="/")
    ),
    service_account=brings.email,
    labels=labels,
    opts=after(apis["eventarc"], *ready),
)
gcp.pubsub.Subscription(
    "events-replayed",
    name=f"{prefix}-replay",
    topic=replay.id,
    ack_deadline_seconds=FUNCTION_S,
    push_config=gcp.pubsub.SubscriptionPushConfigArgs(
        push_endpoint=pulumi.Output.format("{0}/", function.uri),
        oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(service_account_email=brings.email, audience=function.uri),
    ),
    retry_policy=gcp.pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="10s", maximum_backoff="600s"),
    expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
    labels=labels,
    opts=after(calls),
)

# Alert policies.
endpoint_alarms(endpoint)
# What is to come again is answered 503.
function_alarms(function, FUNCTION_S, f'{FAILED} AND metric.labels.response_code != "503"')


def subscription_alarm(role: str, text: str, metric: str, subscription: pulumi.Output[str], threshold: float) -> None:
    of = filtered(f"pubsub.googleapis.com/subscription/{metric}", "pubsub_subscription", "subscription_id", subscription)
    alarm(role, text, of, threshold, "ALIGN_MAX", "REDUCE_MAX")


told = "Objects could not be processed: see why, then replay them."
subscription_alarm("events-dead-letters", told, "num_undelivered_messages", letters.name, 0)
made = trigger.transport.apply(lambda transport: str(transport.pubsub and transport.pubsub.subscription).rpartition("/")[2])
subscription_alarm("events-age", "Events wait for long.", "oldest_unacked_message_age", made, 3600)

pulumi.export("objectsBucket", objects.name)
pulumi.export("resultsDatabase", database.name)
pulumi.export("resultsBucket", large.name)
pulumi.export("deadLetterQueueUrl", letters.id)
pulumi.export("endpointName", endpoint.name)
pulumi.export("functionName", function.name)

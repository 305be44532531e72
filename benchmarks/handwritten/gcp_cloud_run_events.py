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
from benchmarks.handwritten.google_queues import (
    agent,
    database_of,
    expiring,
    letters_of,
    may_publish,
    may_use,
    project_member,
    pushed,
    subscription_alarm,
    topic,
)
from benchmarks.handwritten.google_run import (
    FAILED,
    body_bytes,
    counted,
    endpoint_alarms,
    endpoint_of,
    function_alarms,
    service,
)

# Seconds: an attempt with a cold start in it, which is longer on a GPU, and what the endpoint has of them.
FUNCTION_S, ENDPOINT_S = (26, 23) if settings.endpoint.gpu is None else (44, 41)
# As many requests as an instance of the function has memory for.
REQUESTS = 6
events = settings.events
if events is None:
    raise pulumi.RunError("events: missing.")
INSTANCES = math.ceil(events.max_concurrency / REQUESTS)
AT_A_TIME = min(REQUESTS, events.max_concurrency // INSTANCES)

# Objects and their dead letters.
objects = bucket_of("events-objects", "objects")


dead, replay = topic("dead"), topic("replay")
letters = letters_of("dead", dead)

# Results.
COLLECTION = "results"
large = bucket_of("events-results", "results")
database = database_of("results")
gcp.firestore.Field(
    "events-unindexed", database=database.name, collection=COLLECTION, field="result", index_config=gcp.firestore.FieldIndexConfigArgs()
)
goes = expiring(database, f"{COLLECTION}-attempts")

# Endpoint.
inputs: dict[str, pulumi.Input[str]] = {
    "INPUTS_URI": pulumi.Output.format("gs://{0}/", objects.name),
    "MAX_OBJECT_BYTES": str(events.max_object_bytes),
}
endpoint = endpoint_of(ENDPOINT_S, inputs, [objects])

# Function.
works = account("events-function", "events", "Turns objects into results")

granted = [
    invoke("events-function", endpoint, works),
    may("events-function-reads", objects, "objectViewer", works),
    may("events-function-writes", large, "objectCreator", works),
    may_use("events-function-database", database, works),
    may_publish("events-function-dead", dead, member(works)),
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
        "CONCURRENCY": str(AT_A_TIME),
        "REQUEST_TIMEOUT_S": str(FUNCTION_S),
    },
    (1, settings.function.memory_mb, AT_A_TIME, INSTANCES),
    FUNCTION_S,
    [*granted, goes],
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
tells = gcp.storage.get_project_service_account_output(opts=pulumi.InvokeOutputOptions(depends_on=[apis["storage"]]))
ready = [
    calls,
    project_member("events-trigger-receives", "roles/eventarc.eventReceiver", member(brings)),
    agent("eventarc")[1],
    agent("pubsub")[1],
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
again = pushed("events-replayed", "replay", replay, function, brings, FUNCTION_S, [calls])

# Alert policies.
endpoint_alarms(endpoint)
# What is to come again is answered 503.
function_alarms(function, FUNCTION_S, f'{FAILED} AND metric.labels.response_code != "503"')

told = "Objects could not be processed: see why, then replay them."
subscription_alarm("events-dead-letters", told, "num_undelivered_messages", letters.name, 0)
made = trigger.transport.apply(lambda transport: str(transport.pubsub and transport.pubsub.subscription).rpartition("/")[2])
subscription_alarm("events-age", "Events wait for long.", "oldest_unacked_message_age", made, 3600)
subscription_alarm("events-replay-age", "Events that were replayed wait for long.", "oldest_unacked_message_age", again.name, 3600)

pulumi.export("objectsBucket", objects.name)
pulumi.export("resultsDatabase", database.name)
pulumi.export("resultsBucket", large.name)
pulumi.export("deadLetterQueueUrl", letters.id)
pulumi.export("endpointName", endpoint.name)
pulumi.export("functionName", function.name)

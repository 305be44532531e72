"""The stack `azure-container-apps-events` by hand: blob -> Event Grid -> queue -> function -> endpoint on Container Apps -> table."""

import pulumi
import pulumi_azure_native as az

from benchmarks.handwritten.azure import (
    READ_BLOBS,
    SEND,
    TAKE,
    WRITE_BLOBS,
    WRITE_ROWS,
    account,
    after,
    blobs_of,
    container,
    digits,
    group,
    identity,
    may,
    prefix,
    queue,
    queue_url,
    settings,
    table,
    table_url,
    tags,
)
from benchmarks.handwritten.azure_apps import BODY_BYTES, SHARE, calls, endpoint_of, pulls, takes
from benchmarks.handwritten.azure_watch import alert, endpoint_alerts, queue_alerts, taker_alerts

# Seconds: an attempt with a cold start in it, which is longer on a GPU, and what the endpoint has of them.
FUNCTION_S, ENDPOINT_S = (29, 26) if settings.endpoint.gpu is None else (74, 71)
events = settings.events
if events is None:
    raise pulumi.RunError("events: missing.")

# Objects, their events and their dead letters.
held, buried = account("events-objects", "work"), account("events-objects-letters", "letters")
objects, lost = container("events-objects-objects", held, "objects"), container("events-objects-dead-events", held, "dead-events")
work, dead = queue("events-objects-events-queue", held, "events"), queue("events-objects-letters-dead-queue", buried, "dead")

# Results.
kept = account("events-results", "results")
large, rows = container("events-results-results", kept, "results"), table("events-results-results-table", kept, "results")

# Endpoint.
inputs: dict[str, pulumi.Input[str]] = {
    "INPUTS_URI": pulumi.Output.format("{0}/", blobs_of(held, objects.name)),
    "MAX_OBJECT_BYTES": str(events.max_object_bytes),
}
endpoint = endpoint_of(inputs, objects)

# Function.
who = identity("events-function", "events")
function = takes(
    "events-function",
    "events",
    who,
    held,
    work,
    {
        **calls(endpoint, ENDPOINT_S),
        "EVENTS_QUEUE_URL": queue_url(held, work),
        "OBJECTS_URL": blobs_of(held, objects.name),
        "VISIBILITY_S": str(6 * FUNCTION_S),
        "MIN_OBJECT_BYTES": str(events.min_object_bytes),
        "MAX_OBJECT_BYTES": str(events.max_object_bytes),
        "MAX_ATTEMPTS": str(events.max_attempts),
        "DEAD_LETTER_QUEUE_URL": queue_url(buried, dead),
        "OBJECT_SUFFIXES": ",".join(events.suffixes),
        "RESULTS": "table",
        "RESULTS_TABLE_SERVICE": "storage",
        "RESULTS_TABLE_URL": table_url(kept, rows),
        "RESULTS_CONTAINER_URL": blobs_of(kept, large.name),
        "MEMORY_MB": str(settings.function.memory_mb),
    },
    (max(1, SHARE // max(events.max_object_bytes, BODY_BYTES)), events.max_concurrency),
    FUNCTION_S,
    [
        pulls("events-function", who),
        may("events-function-reads-objects", READ_BLOBS, who, objects.id, "work/objects"),
        may("events-function-takes-events", TAKE, who, work.id, "work/events"),
        may("events-function-buries", SEND, who, dead.id, "letters/dead"),
        may("events-function-writes-rows", WRITE_ROWS, who, kept.id, "results/account"),
        may("events-function-writes-results", WRITE_BLOBS, who, large.id, "results/container"),
        endpoint,
    ],
)

# Delivery.
brings = identity("events-delivery", "delivery")
granted = [
    may("events-delivery-tells", SEND, brings, work.id, "work/events"),
    may("events-delivery-buries", WRITE_BLOBS, brings, lost.id, "work/dead-events"),
]
topic = az.eventgrid.SystemTopic(
    "events-delivery-topic",
    system_topic_name=f"objects-{digits(prefix, 10)}",
    resource_group_name=group,
    source=held.id,
    topic_type="Microsoft.Storage.StorageAccounts",
    identity=az.eventgrid.IdentityInfoArgs(
        type=az.eventgrid.IdentityType.USER_ASSIGNED,
        user_assigned_identities=brings.id.apply(lambda known: {known: az.eventgrid.UserIdentityPropertiesArgs()}),
    ),
    tags=tags,
)
acts_as = az.eventgrid.EventSubscriptionIdentityArgs(
    type=az.eventgrid.EventSubscriptionIdentityType.USER_ASSIGNED, user_assigned_identity=brings.id
)
az.eventgrid.SystemTopicEventSubscription(
    "events-delivery-subscription",
    event_subscription_name="events",
    system_topic_name=topic.name,
    resource_group_name=group,
    event_delivery_schema=az.eventgrid.EventDeliverySchema.EVENT_GRID_SCHEMA,
    filter=az.eventgrid.EventSubscriptionFilterArgs(
        included_event_types=["Microsoft.Storage.BlobCreated"],
        subject_begins_with=f"/blobServices/default/containers/objects/blobs/{events.prefix or ''}",
        is_subject_case_sensitive=True,
        advanced_filters=[
            az.eventgrid.StringEndsWithAdvancedFilterArgs(operator_type="StringEndsWith", key="subject", values=list(events.suffixes))
        ],
    ),
    delivery_with_resource_identity=az.eventgrid.DeliveryWithResourceIdentityArgs(
        identity=acts_as,
        destination=az.eventgrid.StorageQueueEventSubscriptionDestinationArgs(
            endpoint_type="StorageQueue", resource_id=held.id, queue_name=work.name, queue_message_time_to_live_in_seconds=-1
        ),
    ),
    dead_letter_with_resource_identity=az.eventgrid.DeadLetterWithResourceIdentityArgs(
        identity=acts_as,
        dead_letter_destination=az.eventgrid.StorageBlobDeadLetterDestinationArgs(
            endpoint_type="StorageBlob", resource_id=held.id, blob_container_name=lost.name
        ),
    ),
    retry_policy=az.eventgrid.RetryPolicyArgs(event_time_to_live_in_minutes=1440, max_delivery_attempts=30),
    opts=after(*granted, function),
)

# Alerts.
endpoint_alerts(endpoint)
taker_alerts("function", "events", function, "events-old", "Events had waited for long when they were taken.")
told = "Objects could not be processed: see why, then replay them."
queue_alerts("events", told, "Events wait for long.", held, buried, events.max_concurrency * 3600 // FUNCTION_S)
for role, metric in (("events-undelivered", "DeadLetteredCount"), ("events-dropped", "DroppedEventCount")):
    alert(role, "Events could not be put into their queue.", topic.id, f"Microsoft.EventGrid/systemTopics/{metric}", "Total")

pulumi.export("objectsUrl", blobs_of(held, objects.name))
pulumi.export("queueUrl", queue_url(held, work))
pulumi.export("deadLetterQueueUrl", queue_url(buried, dead))
pulumi.export("resultsTable", rows.name)
pulumi.export("endpointName", endpoint.name)
pulumi.export("functionName", function.name)

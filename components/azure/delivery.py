"""What brings the event function its events: Event Grid, from the objects' account to the queue in it."""

from typing import Any

import pulumi
import pulumi_azure_native as azure

from components.args import EventArgs
from components.azure.context import AzureContext
from components.azure.events import DEAD_EVENTS, EVENTS, OBJECTS, ObjectSource
from components.azure.identities import identity
from components.azure.roles import BLOB_WRITER, QUEUE_SENDER
from components.azure.watch import Alarm, undelivered
from components.contract import Work

ROLE = "delivery"
CREATED = "Microsoft.Storage.BlobCreated"
SUBJECTS = "/blobServices/default/containers/{}/blobs/{}".format
# A day, and thirty times: the most that there is (Event Grid documentation, delivery and retry). What is put into the queue stays there.
KEEP_TRYING_MIN, TRIES, FOR_EVER = 1440, 30, -1


class Delivery(pulumi.ComponentResource):
    """The account's system topic and its one subscription, both as an identity that may put messages into the queue, and what can't be
    put there into a container of its own; it may do nothing else, and both before the subscription is made, which asks for them."""

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AzureContext, function: Any, work: Work, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Delivery", name, None, opts)
        objects: ObjectSource = work.objects
        group, who = home.group(name, self), identity(name, home, ROLE, self)
        granted = [
            objects.account.let(f"{name}-tells", QUEUE_SENDER, who, objects.events, EVENTS, self),
            objects.account.let(f"{name}-buries", BLOB_WRITER, who, objects.dead_events, DEAD_EVENTS, self),
        ]
        topic = azure.eventgrid.SystemTopic(
            f"{name}-topic",
            system_topic_name=home.names.topic,
            resource_group_name=group,
            source=objects.account.resource.id,
            topic_type="Microsoft.Storage.StorageAccounts",
            identity=azure.eventgrid.IdentityInfoArgs(
                type=azure.eventgrid.IdentityType.USER_ASSIGNED,
                user_assigned_identities=who.id.apply(lambda known: {known: azure.eventgrid.UserIdentityPropertiesArgs()}),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        account, acts_as = (
            objects.account.resource.id,
            azure.eventgrid.EventSubscriptionIdentityArgs(
                type=azure.eventgrid.EventSubscriptionIdentityType.USER_ASSIGNED, user_assigned_identity=who.id
            ),
        )
        azure.eventgrid.SystemTopicEventSubscription(
            f"{name}-subscription",
            event_subscription_name=EVENTS,
            system_topic_name=topic.name,
            resource_group_name=group,
            event_delivery_schema=azure.eventgrid.EventDeliverySchema.EVENT_GRID_SCHEMA,
            filter=event_filter(work.events),
            delivery_with_resource_identity=azure.eventgrid.DeliveryWithResourceIdentityArgs(
                identity=acts_as,
                destination=azure.eventgrid.StorageQueueEventSubscriptionDestinationArgs(
                    endpoint_type="StorageQueue",
                    resource_id=account,
                    queue_name=objects.events.name,
                    queue_message_time_to_live_in_seconds=FOR_EVER,
                ),
            ),
            dead_letter_with_resource_identity=azure.eventgrid.DeadLetterWithResourceIdentityArgs(
                identity=acts_as,
                dead_letter_destination=azure.eventgrid.StorageBlobDeadLetterDestinationArgs(
                    endpoint_type="StorageBlob", resource_id=account, blob_container_name=objects.dead_events.name
                ),
            ),
            retry_policy=azure.eventgrid.RetryPolicyArgs(event_time_to_live_in_minutes=KEEP_TRYING_MIN, max_delivery_attempts=TRIES),
            # Whoever takes the events is there before the first of them.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*granted, function]),
        )
        self.log_groups = []
        self.alarms = undelivered(topic.id)
        self.register_outputs({"topic": topic.name})


def event_filter(args: EventArgs) -> azure.eventgrid.EventSubscriptionFilterArgs:
    """Blobs of the objects' container whose names begin and end as they should. All of them are whole: of an account without
    hierarchical namespaces nothing else is told (Azure Storage documentation, Blob Storage as an Event Grid source)."""
    several = len(args.suffixes) > 1
    ends = azure.eventgrid.StringEndsWithAdvancedFilterArgs(operator_type="StringEndsWith", key="subject", values=list(args.suffixes))
    return azure.eventgrid.EventSubscriptionFilterArgs(
        included_event_types=[CREATED],
        subject_begins_with=SUBJECTS(OBJECTS, args.prefix or ""),
        subject_ends_with=args.suffixes[0] if args.suffixes and not several else None,
        is_subject_case_sensitive=True,
        advanced_filters=[ends] if several else None,
    )

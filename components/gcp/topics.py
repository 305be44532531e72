"""Topics, the subscriptions that keep their messages until somebody takes them, and who may publish."""

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import PUBSUB
from components.gcp.context import GcpContext
from components.gcp.watch import Alarm
from components.limits import PUBSUB_ACK_S

PUBLISHER, SUBSCRIBER = "roles/pubsub.publisher", "roles/pubsub.subscriber"
KEPT_DAYS = 14
ACK_S = 60
# Of pushes that fail: as Eventarc does (its documentation, retry events).
MIN_BACKOFF, MAX_BACKOFF = "10s", "600s"


def topic(name: str, home: GcpContext, role: str, parent: pulumi.Resource) -> gcp.pubsub.Topic:
    """A topic, whose messages are kept by its subscriptions alone."""
    return gcp.pubsub.Topic(
        f"{name}-topic",
        name=home.names.named(role),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=home.apis.enabled(name, parent, PUBSUB)),
    )


def pulled(name: str, home: GcpContext, role: str, of: gcp.pubsub.Topic, parent: pulumi.Resource, *, keep: bool) -> gcp.pubsub.Subscription:
    """What keeps a topic's messages for two weeks, for whoever pulls them; it is there before anybody publishes, and never expires.
    With `keep` it is protected, since messages are work that nobody has done."""
    return gcp.pubsub.Subscription(
        f"{name}-subscription",
        name=home.names.named(role),
        topic=of.id,
        ack_deadline_seconds=ACK_S,
        message_retention_duration=f"{KEPT_DAYS * 86_400}s",
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
        opts=pulumi.ResourceOptions(parent=parent, protect=keep),
    )


def pushed(
    name: str,
    home: GcpContext,
    role: str,
    of: gcp.pubsub.Topic,
    service: pulumi.Input[str],
    account: pulumi.Input[str],
    parent: pulumi.Resource,
    *,
    ready: list[pulumi.Resource],
    ack_s: int,
    dead: gcp.pubsub.Topic | None = None,
    attempts: int = 0,
) -> gcp.pubsub.Subscription:
    """What hands a topic's messages to `POST /` of a service at that address, as `account`, again and again until it answers 2xx;
    with `dead` no more than `attempts` times. The token of that account is Pub/Sub's agent's to ask for."""
    letters = gcp.pubsub.SubscriptionDeadLetterPolicyArgs
    return gcp.pubsub.Subscription(
        f"{name}-subscription",
        name=home.names.named(role),
        topic=of.id,
        ack_deadline_seconds=min(max(ack_s, PUBSUB_ACK_S.low), PUBSUB_ACK_S.high),
        # As long as what is pulled: Pub/Sub's own week would be over sooner than that of the dead letters that a message may have been.
        message_retention_duration=f"{KEPT_DAYS * 86_400}s",
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
        retry_policy=gcp.pubsub.SubscriptionRetryPolicyArgs(minimum_backoff=MIN_BACKOFF, maximum_backoff=MAX_BACKOFF),
        push_config=gcp.pubsub.SubscriptionPushConfigArgs(
            push_endpoint=pulumi.Output.format("{0}/", service),
            oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(service_account_email=account, audience=service),
        ),
        dead_letter_policy=None if dead is None else letters(dead_letter_topic=dead.id, max_delivery_attempts=attempts),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*home.agents.of(PUBSUB, name, parent).ready, *ready]),
    )


def may_publish(name: str, of: gcp.pubsub.Topic, who: pulumi.Input[str], parent: pulumi.Resource) -> gcp.pubsub.TopicIAMMember:
    """Let one account publish to one topic."""
    return gcp.pubsub.TopicIAMMember(name, topic=of.name, role=PUBLISHER, member=who, opts=pulumi.ResourceOptions(parent=parent))


def dead_letters(
    name: str, home: GcpContext, of: gcp.pubsub.Subscription, dead: gcp.pubsub.Topic, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """Let Pub/Sub itself move what was tried too often from a subscription to the topic `dead` (its documentation, dead-letter
    topics)."""
    child, agent = pulumi.ResourceOptions(parent=parent), home.agents.of(PUBSUB, name, parent)
    return [
        may_publish(f"{name}-agent-buries", dead, agent.member, parent),
        gcp.pubsub.SubscriptionIAMMember(f"{name}-agent-takes", subscription=of.name, role=SUBSCRIBER, member=agent.member, opts=child),
    ]


def waiting(role: str, text: str, subscription: pulumi.Input[str]) -> Alarm:
    """Messages at all that nobody has taken."""
    return Alarm(
        role=role,
        text=text,
        metric="pubsub.googleapis.com/subscription/num_undelivered_messages",
        resource="pubsub_subscription",
        of={"subscription_id": subscription},
        statistic="max",
        threshold=0,
    )


def old(role: str, text: str, subscription: pulumi.Input[str], seconds: int) -> Alarm:
    """Messages that wait for longer than `seconds`."""
    return Alarm(
        role=role,
        text=text,
        metric="pubsub.googleapis.com/subscription/oldest_unacked_message_age",
        resource="pubsub_subscription",
        of={"subscription_id": subscription},
        statistic="max",
        threshold=seconds,
    )

"""Pub/Sub and Firestore by hand: topics, what keeps their messages, what pushes them, databases, who may use them."""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from benchmarks.handwritten.google import after, apis, kind, labels, member, prefix, project, region
from benchmarks.handwritten.google_run import alarm, filtered

KEPT_S = 14 * 24 * 3600


def topic(role: str) -> gcp.pubsub.Topic:
    return gcp.pubsub.Topic(f"{kind}-{role}", name=f"{prefix}-{role}", labels=labels, opts=after(apis["pubsub"]))


def letters_of(role: str, dead: gcp.pubsub.Topic) -> gcp.pubsub.Subscription:
    """What keeps dead letters until somebody takes them."""
    return gcp.pubsub.Subscription(
        f"{kind}-letters",
        name=f"{prefix}-{role}",
        topic=dead.id,
        ack_deadline_seconds=60,
        message_retention_duration=f"{KEPT_S}s",
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
        labels=labels,
    )


def pushed(
    name: str,
    role: str,
    of: gcp.pubsub.Topic,
    function: gcp.cloudrunv2.Service,
    who: gcp.serviceaccount.Account,
    ack_s: int,
    ready: Sequence[pulumi.Resource],
    dead: gcp.pubsub.SubscriptionDeadLetterPolicyArgs | None = None,
) -> gcp.pubsub.Subscription:
    """What hands messages to a function until it takes them."""
    return gcp.pubsub.Subscription(
        name,
        name=f"{prefix}-{role}",
        topic=of.id,
        ack_deadline_seconds=ack_s,
        message_retention_duration=f"{KEPT_S}s",
        push_config=gcp.pubsub.SubscriptionPushConfigArgs(
            push_endpoint=pulumi.Output.format("{0}/", function.uri),
            oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(service_account_email=who.email, audience=function.uri),
        ),
        retry_policy=gcp.pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="10s", maximum_backoff="600s"),
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
        dead_letter_policy=dead,
        labels=labels,
        opts=after(*ready),
    )


def may_publish(name: str, to: gcp.pubsub.Topic, who: pulumi.Input[str]) -> gcp.pubsub.TopicIAMMember:
    return gcp.pubsub.TopicIAMMember(name, topic=to.name, role="roles/pubsub.publisher", member=who)


def project_member(name: str, role: str, who: pulumi.Input[str], **more: gcp.projects.IAMMemberConditionArgs) -> gcp.projects.IAMMember:
    return gcp.projects.IAMMember(name, project=project, role=role, member=who, **more)


def agent(api: str) -> tuple[pulumi.Output[str], gcp.projects.IAMMember]:
    """Google's own identity of an API, and its role."""
    identity = gcp.projects.ServiceIdentity(f"{kind}-{api}-agent", service=f"{api}.googleapis.com", opts=after(apis[api]))
    return identity.member, project_member(f"{kind}-{api}-agent-role", f"roles/{api}.serviceAgent", identity.member)


def database_of(role: str) -> gcp.firestore.Database:
    return gcp.firestore.Database(
        f"{kind}-database",
        name=f"{prefix}-{role}",
        location_id=region,
        type="FIRESTORE_NATIVE",
        point_in_time_recovery_enablement="POINT_IN_TIME_RECOVERY_DISABLED",
        delete_protection_state="DELETE_PROTECTION_DISABLED",
        deletion_policy="DELETE",
        opts=after(apis["firestore"]),
    )


def expiring(database: gcp.firestore.Database, collection: str) -> gcp.firestore.Field:
    """Documents go when they say so."""
    return gcp.firestore.Field(
        f"{kind}-expiring",
        database=database.name,
        collection=collection,
        field="expires",
        index_config=gcp.firestore.FieldIndexConfigArgs(),
        ttl_config=gcp.firestore.FieldTtlConfigArgs(),
    )


def may_use(name: str, database: gcp.firestore.Database, who: gcp.serviceaccount.Account) -> gcp.projects.IAMMember:
    """Read and write one database."""
    this = pulumi.Output.format('resource.name == "projects/{0}/databases/{1}"', project, database.name)
    condition = gcp.projects.IAMMemberConditionArgs(title="this-database", expression=this)
    return project_member(name, "roles/datastore.user", member(who), condition=condition)


def subscription_alarm(role: str, text: str, metric: str, subscription: pulumi.Output[str], threshold: float) -> None:
    of = filtered(f"pubsub.googleapis.com/subscription/{metric}", "pubsub_subscription", "subscription_id", subscription)
    alarm(role, text, of, threshold, "ALIGN_MAX", "REDUCE_MAX", "180s")

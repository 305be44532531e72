"""Private buckets: nothing public, access by IAM alone, old versions and aborted uploads tidied away."""

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import STORAGE
from components.gcp.context import GcpContext

READER, WRITER = "roles/storage.objectViewer", "roles/storage.objectCreator"
ABORT_UPLOADS_DAYS = 7
OLD_VERSIONS_DAYS = 30
# What is deleted would else be stored, and billed, for a week.
NO_SOFT_DELETE = gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0)


def private_bucket(
    name: str, home: GcpContext, role: str, parent: pulumi.Resource, *, keep: bool, expire_days: int | None = None
) -> gcp.storage.Bucket:
    """The service's bucket for `role`; with `keep` it is protected and never emptied. It has versions, or else forgets every
    object after `expire_days`. Objects are encrypted with Google's keys, always."""
    return gcp.storage.Bucket(
        f"{name}-bucket",
        name=home.bucket_name(role),
        location=home.region,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=not keep,
        versioning=gcp.storage.BucketVersioningArgs(enabled=expire_days is None),
        lifecycle_rules=[_aborted(), _old() if expire_days is None else _expired(expire_days)],
        soft_delete_policy=None if keep else NO_SOFT_DELETE,
        opts=pulumi.ResourceOptions(parent=parent, protect=keep, depends_on=home.apis.enabled(name, parent, STORAGE)),
    )


def _aborted() -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=ABORT_UPLOADS_DAYS),
    )


def _old() -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=OLD_VERSIONS_DAYS, with_state="ARCHIVED"),
    )


def _expired(days: int) -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=days),
    )


def grant(
    name: str, bucket: gcp.storage.Bucket, role: str, who: pulumi.Input[str], parent: pulumi.Resource, folder: str | None = None
) -> gcp.storage.BucketIAMMember:
    """A role on one bucket for one account; with `folder` on the objects whose names begin with that."""
    condition = None if folder is None else _inside(bucket, folder)
    opts = pulumi.ResourceOptions(parent=parent)
    return gcp.storage.BucketIAMMember(name, bucket=bucket.name, role=role, member=who, condition=condition, opts=opts)


def _inside(bucket: gcp.storage.Bucket, folder: str) -> gcp.storage.BucketIAMMemberConditionArgs:
    """Who may list a bucket is told that an object is gone, else that it is forbidden: what is about the bucket itself stays allowed."""
    name = pulumi.Output.format("projects/_/buckets/{0}/objects/{1}/", bucket.name, folder)
    expression = pulumi.Output.format('resource.type != "storage.googleapis.com/Object" || resource.name.startsWith("{0}")', name)
    return gcp.storage.BucketIAMMemberConditionArgs(title=folder, expression=expression)

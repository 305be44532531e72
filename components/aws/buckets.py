"""Private buckets: encrypted, reached over TLS only, without ACLs, with old versions and aborted uploads tidied away."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import Place, document

ABORT_UPLOADS_DAYS = 7
OLD_VERSIONS_DAYS = 30


def tls_only(place: Place, bucket: str) -> Mapping[str, Any]:
    """Bucket policy that refuses every request that is not encrypted on its way."""
    return document(
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [place.bucket(bucket), place.bucket(bucket, "/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def private_bucket(
    name: str, bucket: str, place: Place, keep: bool, parent: pulumi.Resource
) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
    """The bucket, and everything that must hold before the first object is in; with `keep` it is protected and never emptied."""
    child = pulumi.ResourceOptions(parent=parent)
    made = aws.s3.Bucket(f"{name}-bucket", bucket=bucket, force_destroy=not keep, opts=pulumi.ResourceOptions(parent=parent, protect=keep))
    ownership = aws.s3.BucketOwnershipControls(
        f"{name}-ownership",
        bucket=made.bucket,
        rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        opts=child,
    )
    private = aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        bucket=made.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    encrypted = aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=made.bucket,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="AES256"
                )
            )
        ],
        opts=child,
    )
    policy = aws.s3.BucketPolicy(
        f"{name}-tls",
        bucket=made.bucket,
        policy=json.dumps(tls_only(place, bucket)),
        # S3 refuses two changes of one bucket's access at a time.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[private]),
    )
    return made, [ownership, private, encrypted, policy]


def versioned(name: str, bucket: aws.s3.Bucket, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Versions of every object, the old ones for a month."""
    versioning = aws.s3.BucketVersioning(
        f"{name}-versioning",
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="tidy",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=_abort(),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=OLD_VERSIONS_DAYS
        ),
    )
    # Rules for old versions need versions.
    return [versioning, _lifecycle(name, bucket, rule, pulumi.ResourceOptions(parent=parent, depends_on=[versioning]))]


def expiring(name: str, bucket: aws.s3.Bucket, days: int, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """No versions, and no object older than `days` (S3 rounds up to the next midnight UTC)."""
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="expire",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=_abort(),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
    return [_lifecycle(name, bucket, rule, pulumi.ResourceOptions(parent=parent))]


def _abort() -> aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs:
    return aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(days_after_initiation=ABORT_UPLOADS_DAYS)


def _lifecycle(
    name: str, bucket: aws.s3.Bucket, rule: aws.s3.BucketLifecycleConfigurationRuleArgs, opts: pulumi.ResourceOptions
) -> aws.s3.BucketLifecycleConfiguration:
    return aws.s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=bucket.bucket, rules=[rule], opts=opts)

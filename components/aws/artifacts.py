"""The packaged model in a private bucket, under a key that carries its hash."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from components.args import ModelArtifact
from components.aws.iam import Place, document
from components.aws.names import MODEL_PREFIX

if TYPE_CHECKING:
    from components.aws.home import AwsHome

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


class ModelStore(pulumi.ComponentResource):
    """A bucket of the stack and the packaged model in it.

    A new model gets a new key: under an old one the endpoint would go on serving the old bytes.
    """

    bucket: pulumi.Output[str]
    key: str
    uri: pulumi.Output[str]
    size: int

    def __init__(self, name: str, home: "AwsHome", artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ModelStore", name, None, opts)
        self.bucket = home.place.apply(lambda place: home.names.bucket(place.account, place.region))
        self.size = artifact.size
        self.key = f"{MODEL_PREFIX}{artifact.sha256}/model.tar.gz"
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=self.bucket,
            force_destroy=not home.keep,
            opts=pulumi.ResourceOptions(parent=self, protect=home.keep),
        )
        aws.s3.BucketObjectv2(
            f"{name}-model",
            bucket=bucket.bucket,
            key=self.key,
            source=pulumi.FileAsset(str(artifact.path)),
            content_type="application/gzip",
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._secure(name, home, bucket)),
        )
        self.uri = pulumi.Output.format("s3://{0}/{1}", self.bucket, self.key)
        self.register_outputs({"bucket": self.bucket, "uri": self.uri})

    def _secure(self, name: str, home: "AwsHome", bucket: aws.s3.Bucket) -> list[pulumi.Resource]:
        """Everything that must hold before the first object is in: the object depends on it."""
        child = pulumi.ResourceOptions(parent=self)
        ownership = aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        private = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        encrypted = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
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
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(
                home.place.apply(lambda place: tls_only(place, home.names.bucket(place.account, place.region)))
            ),
            # S3 refuses two changes of one bucket's access at a time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        return [ownership, private, encrypted, policy, *self._versions(name, bucket)]

    def _versions(self, name: str, bucket: aws.s3.Bucket) -> list[pulumi.Resource]:
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        lifecycle = aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="tidy",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=ABORT_UPLOADS_DAYS
                    ),
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=OLD_VERSIONS_DAYS
                    ),
                )
            ],
            # Rules for old versions need versions.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        return [versioning, lifecycle]

"""The packaged model in a private bucket, under a key that carries its hash."""

import pulumi
import pulumi_aws as aws

from components.args import ModelArtifact
from components.aws.buckets import private_bucket, versioned
from components.aws.context import AwsContext
from components.aws.names import MODEL_PREFIX


class ModelStore(pulumi.ComponentResource):
    """A bucket of the stack and the packaged model in it.

    A new model gets a new key: under an old one the endpoint would go on serving the old bytes.
    """

    bucket: str
    key: str
    uri: str
    size: int

    def __init__(self, name: str, home: AwsContext, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ModelStore", name, None, opts)
        self.bucket = home.bucket_name("models")
        self.size = artifact.size
        self.key = f"{MODEL_PREFIX}{artifact.sha256}/model.tar.gz"
        bucket, secured = private_bucket(name, self.bucket, home.place, home.keep, self)
        aws.s3.BucketObjectv2(
            f"{name}-model",
            bucket=bucket.bucket,
            key=self.key,
            source=pulumi.FileAsset(str(artifact.path)),
            content_type="application/gzip",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*secured, *versioned(name, bucket, self)]),
        )
        self.uri = f"s3://{self.bucket}/{self.key}"
        self.register_outputs({"bucket": self.bucket, "uri": self.uri})

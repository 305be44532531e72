"""The packaged model in a private bucket, under a key that carries its hash."""

import pulumi
import pulumi_gcp as gcp

from components.args import ModelArtifact
from components.gcp.buckets import READER, grant, private_bucket
from components.gcp.context import GcpContext
from components.gcp.names import MODEL_PREFIX


class ModelStore(pulumi.ComponentResource):
    """A bucket of the stack and the packaged model in it.

    A new model gets a new key: under an old one the endpoint would go on serving the old bytes.
    """

    uri: pulumi.Output[str]
    key: str
    size: int

    def __init__(self, name: str, home: GcpContext, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ModelStore", name, None, opts)
        self.key, self.size = f"{MODEL_PREFIX}{artifact.sha256}/model.tar.gz", artifact.size
        self._bucket = private_bucket(name, home, "models", self, keep=home.keep)
        gcp.storage.BucketObject(
            f"{name}-model",
            bucket=self._bucket.name,
            name=self.key,
            source=pulumi.FileAsset(str(artifact.path)),
            content_type="application/gzip",
            # Instances of before start from the old one until the endpoint has the new one.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        self.uri = pulumi.Output.format("gs://{0}/{1}", self._bucket.name, self.key)
        self.register_outputs({"bucket": self._bucket.name, "uri": self.uri})

    def grant_read(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource) -> pulumi.Resource:
        """Let one account read the models."""
        return grant(f"{name}-reads-model", self._bucket, READER, who, parent)

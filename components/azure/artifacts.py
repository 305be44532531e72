"""The packaged model in a private container, under a key that carries its hash."""

import pulumi
import pulumi_azure_native as azure

from components.args import ModelArtifact
from components.azure.context import AzureContext
from components.azure.roles import BLOB_READER, Scope, assign
from components.azure.storage import Account

MODELS = "models"


class ModelStore(pulumi.ComponentResource):
    """A storage account of the stack and the packaged model in it.

    A new model gets a new key: under an old one the endpoint would go on serving the old bytes. The account has shared keys because the
    provider's Blob uploads with one of them, whoever deploys (pulumi-azure-native issue 2015); no identity of the stack may list them.
    """

    uri: pulumi.Output[str]
    key: str
    size: int

    def __init__(self, name: str, home: AzureContext, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ModelStore", name, None, opts)
        self._home, self.key, self.size = home, f"{artifact.sha256}/model.tar.gz", artifact.size
        group = home.group(name, self)
        account = Account(name, home, MODELS, self, keep=home.keep, shared_keys=True)
        self._container = azure.storage.BlobContainer(
            f"{name}-container",
            container_name=MODELS,
            account_name=account.resource.name,
            resource_group_name=group,
            public_access=azure.storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self, protect=home.keep),
        )
        azure.storage.Blob(
            f"{name}-model",
            blob_name=self.key,
            account_name=account.resource.name,
            container_name=self._container.name,
            resource_group_name=group,
            source=pulumi.FileAsset(str(artifact.path)),
            content_type="application/gzip",
            # Replicas of before start from the old one until the endpoint has the new one. The provider deletes first what it did not name.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        self.uri = pulumi.Output.format("{0}{1}/{2}", account.service("blob"), MODELS, self.key)
        self.register_outputs({"account": account.resource.name, "uri": self.uri})

    def grant_read(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> pulumi.Resource:
        """Let one identity read the models."""
        return assign(f"{name}-reads-model", self._home, BLOB_READER, who, Scope(id=self._container.id, words=MODELS), parent)

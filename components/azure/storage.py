"""Storage accounts and what lies in them: containers, queues, tables; their addresses, and who may use them."""

from typing import Literal

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.azure.roles import Scope, assign

Part = azure.storage.BlobContainer | azure.storage.Queue | azure.storage.Table
Kind = Literal["blob", "queue", "table"]


class Account:
    """An account of the stack by its role, closed to anonymous readers and, but for `shared_keys`, to whoever has no identity.

    With `keep` it is protected, and so is each part that holds data: an account that stays would not keep a part from being deleted.
    """

    def __init__(self, name: str, home: AzureContext, role: str, parent: pulumi.Resource, *, keep: bool, shared_keys: bool = False) -> None:
        self._name, self._home, self._role, self._inside = name, home, role, pulumi.ResourceOptions(parent=parent)
        self._holds = pulumi.ResourceOptions(parent=parent, protect=keep)
        self.resource = azure.storage.StorageAccount(
            f"{name}-account",
            account_name=home.names.account(role),
            resource_group_name=home.group(name, parent),
            kind="StorageV2",
            sku=azure.storage.SkuArgs(name="Standard_LRS"),
            minimum_tls_version="TLS1_2",
            enable_https_traffic_only=True,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            allow_shared_key_access=shared_keys,
            is_local_user_enabled=False,
            default_to_o_auth_authentication=True,
            opts=pulumi.ResourceOptions(parent=parent, protect=keep),
        )
        self._group = home.group(name, parent)

    def container(self, container: str) -> azure.storage.BlobContainer:
        """A container that nobody reads without a token."""
        return azure.storage.BlobContainer(
            f"{self._name}-{container}",
            container_name=container,
            account_name=self.resource.name,
            resource_group_name=self._group,
            public_access=azure.storage.PublicAccess.NONE,
            opts=self._holds,
        )

    def queue(self, queue: str) -> azure.storage.Queue:
        """A queue."""
        return azure.storage.Queue(
            f"{self._name}-{queue}-queue",
            queue_name=queue,
            account_name=self.resource.name,
            resource_group_name=self._group,
            opts=self._holds,
        )

    def table(self, table: str) -> azure.storage.Table:
        """A table."""
        return azure.storage.Table(
            f"{self._name}-{table}-table",
            table_name=table,
            account_name=self.resource.name,
            resource_group_name=self._group,
            opts=self._holds,
        )

    def forgetting(self, days: int) -> azure.storage.ManagementPolicy:
        """Blobs go `days` days after they were made, some time in the day after."""
        when = azure.storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
        rule = azure.storage.ManagementPolicyRuleArgs(
            name="forget",
            type="Lifecycle",
            enabled=True,
            definition=azure.storage.ManagementPolicyDefinitionArgs(
                actions=azure.storage.ManagementPolicyActionArgs(base_blob=azure.storage.ManagementPolicyBaseBlobArgs(delete=when)),
                filters=azure.storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"]),
            ),
        )
        return azure.storage.ManagementPolicy(
            f"{self._name}-forgets",
            # The one name that there may be.
            management_policy_name="default",
            account_name=self.resource.name,
            resource_group_name=self._group,
            policy=azure.storage.ManagementPolicySchemaArgs(rules=[rule]),
            opts=self._inside,
        )

    def service(self, kind: Kind) -> pulumi.Output[str]:
        """The address of the account's blobs, queues or tables, with a slash at its end."""
        return self.resource.primary_endpoints.apply(lambda each: str(getattr(each, kind)))

    def url(self, part: Part) -> pulumi.Output[str]:
        """The address of a container, a queue or a table."""
        kind: Kind = (
            "blob" if isinstance(part, azure.storage.BlobContainer) else "queue" if isinstance(part, azure.storage.Queue) else "table"
        )
        return pulumi.Output.format("{0}{1}", self.service(kind), part.name)

    def queues(self) -> pulumi.Output[str]:
        """The id of the queue service, which has metrics of its own."""
        return pulumi.Output.format("{0}/queueServices/default", self.resource.id)

    def let(
        self,
        name: str,
        role: str,
        who: azure.managedidentity.UserAssignedIdentity,
        part: Part,
        words: str,
        parent: pulumi.Resource,
    ) -> azure.authorization.RoleAssignment:
        """A role on one of its parts; `words` tell that from others of the account."""
        return assign(name, self._home, role, who, Scope(id=part.id, words=f"{self._role}/{words}"), parent)

    def let_all(
        self, name: str, role: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource
    ) -> azure.authorization.RoleAssignment:
        """A role on every part of the kind that the role is about."""
        return assign(name, self._home, role, who, Scope(id=self.resource.id, words=f"{self._role}/account"), parent)

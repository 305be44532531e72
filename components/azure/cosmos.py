"""A table of Cosmos DB: the account that has it, its address, and who may use it."""

import uuid

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.azure.names import tables_of

_DATA = "Microsoft.DocumentDB/databaseAccounts"
_ENTITIES = f"{_DATA}/tables/containers/entities"
# Cosmos DB for Table documentation, data plane security reference (2025-09). No query, no removal, no other table; of what a transaction
# takes the page says the procedure alone, and of a merge nothing: who creates and replaces may do no more by writing whatever is there.
WRITES_ROWS = (
    f"{_DATA}/readMetadata",
    f"{_DATA}/tables/containers/executeStoredProcedure",
    *(f"{_ENTITIES}/{each}" for each in ("create", "read", "replace", "upsert")),
)


class CosmosTable:
    """A serverless account of Cosmos DB for Table in one region, which keys don't open, and its table.

    Reads are strong: with one region a row that was written is read by whoever asks next, as in Azure Table storage. With `keep` both are
    protected.
    """

    def __init__(self, name: str, home: AzureContext, role: str, parent: pulumi.Resource, *, keep: bool) -> None:
        self._home, self._inside, self._group = home, pulumi.ResourceOptions(parent=parent), home.group(name, parent)
        holds = pulumi.ResourceOptions(parent=parent, protect=keep)
        self.account = azure.cosmosdb.DatabaseAccount(
            f"{name}-cosmos",
            account_name=home.names.cosmos(role),
            resource_group_name=self._group,
            kind=azure.cosmosdb.DatabaseAccountKind.GLOBAL_DOCUMENT_DB,
            database_account_offer_type=azure.cosmosdb.DatabaseAccountOfferType.STANDARD,
            locations=[azure.cosmosdb.LocationArgs(location_name=home.region, failover_priority=0, is_zone_redundant=False)],
            capabilities=[azure.cosmosdb.CapabilityArgs(name=each) for each in ("EnableServerless", "EnableTable")],
            consistency_policy=azure.cosmosdb.ConsistencyPolicyArgs(
                default_consistency_level=azure.cosmosdb.DefaultConsistencyLevel.STRONG
            ),
            disable_local_auth=True,
            disable_key_based_metadata_write_access=True,
            minimal_tls_version=azure.cosmosdb.MinimalTlsVersion.TLS12,
            public_network_access=azure.cosmosdb.PublicNetworkAccess.ENABLED,
            opts=holds,
        )
        self.table = azure.cosmosdb.TableResourceTable(
            f"{name}-cosmos-{role}-table",
            table_name=role,
            account_name=self.account.name,
            resource_group_name=self._group,
            resource=azure.cosmosdb.TableResourceArgs(id=role),
            opts=holds,
        )
        # One after the other: a second change of an account is refused while one is under way (412, an exclusive lock; azurerm 15842),
        # and the provider does not try again.
        self._role = self._writer(name, self.table)

    @property
    def service(self) -> pulumi.Output[str]:
        """The address of the account's tables, with a slash at its end."""
        return self.account.document_endpoint.apply(tables_of)

    @property
    def url(self) -> pulumi.Output[str]:
        """The address of the table."""
        return pulumi.Output.format("{0}{1}", self.service, self.table.name)

    def let_write(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> pulumi.Resource:
        """Let one identity write rows, in the account that has this table alone."""
        return azure.cosmosdb.TableResourceTableRoleAssignment(
            name,
            role_assignment_id=self._guid(f"assignments/{name}"),
            account_name=self.account.name,
            resource_group_name=self._group,
            role_definition_id=self._role.id,
            principal_id=who.principal_id,
            scope=self.account.id,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def _writer(self, name: str, after: pulumi.Resource) -> azure.cosmosdb.TableResourceTableRoleDefinition:
        """The account's own role: the smallest built-in one that writes makes and removes tables, too."""
        return azure.cosmosdb.TableResourceTableRoleDefinition(
            f"{name}-cosmos-role",
            role_definition_id=self._guid("roles/writes-rows"),
            account_name=self.account.name,
            resource_group_name=self._group,
            role_name="writes rows of results",
            type=azure.cosmosdb.RoleDefinitionType.CUSTOM_ROLE,
            assignable_scopes=[self.account.id],
            permissions=[azure.cosmosdb.PermissionArgs(data_actions=list(WRITES_ROWS))],
            opts=pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=[after])),
        )

    def _guid(self, what: str) -> str:
        """One that stays, since one of the provider's would be another one in each preview."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._home.subscription}/{self._home.names.group}/cosmos/{what}"))

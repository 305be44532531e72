"""Where the results of the event pipeline go: one entity per object version, large results beside it, messages if wanted."""

from typing import TYPE_CHECKING

import pulumi
import pulumi_azure_native as azure

from components.args import EventArgs
from components.azure.context import AzureContext
from components.azure.roles import BLOB_WRITER, QUEUE_SENDER, TABLE_WRITER
from components.azure.storage import Account
from components.azure.watch import Alarm

if TYPE_CHECKING:
    from components.azure.cosmos import CosmosTable

RESULTS = "results"


class ResultStore(pulumi.ComponentResource):
    """A table, which makes every result the only one of its object version, a storage account with a container for results that don't
    fit an entity, and with `results: [queue]` a queue for consumers of one's own. The table is one of that account, or with
    `resultsTable: cosmos` of an account of Cosmos DB (docs/decisions/0015-results-in-cosmos-db-for-table.md)."""

    database: pulumi.Output[str]
    table: pulumi.Output[str]
    bucket: str
    queue_url: pulumi.Output[str] | None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AzureContext, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ResultStore", name, None, opts)
        self._results, self._account = args.results, Account(name, home, RESULTS, self, keep=home.keep)
        self._cosmos = self._made_cosmos(name, home) if args.results_table == "cosmos" else None
        self._container = self._account.container(RESULTS)
        self._queue = self._account.queue(RESULTS) if "queue" in args.results else None
        if self._cosmos is None:
            table = self._account.table(RESULTS)
            self.database, self.table, self._table_url = self._account.service("table"), table.name, self._account.url(table)
        else:
            self.database, self.table, self._table_url = self._cosmos.service, self._cosmos.table.name, self._cosmos.url
        self.bucket = RESULTS
        self.queue_url = None if self._queue is None else self._account.url(self._queue)
        self.log_groups, self.alarms = [], []
        self.register_outputs({"database": self.database, "table": self.table, "bucket": self.bucket, "queueUrl": self.queue_url})

    def _made_cosmos(self, name: str, home: AzureContext) -> "CosmosTable":
        from components.azure.cosmos import CosmosTable

        return CosmosTable(name, home, RESULTS, self, keep=home.keep)

    def grant_writer(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one identity write entities, store large results, and put messages in.

        Entities in every table of the account, which has this one alone: a transaction's address (`POST /$batch`) names no table, and no
        page says that a role on one covers it.
        """
        rows = f"{name}-writes-rows"
        granted: list[pulumi.Resource] = [
            self._account.let_all(rows, TABLE_WRITER, who, parent) if self._cosmos is None else self._cosmos.let_write(rows, who, parent),
            self._account.let(f"{name}-writes-results", BLOB_WRITER, who, self._container, "container", parent),
        ]
        if self._queue is not None:
            granted.append(self._account.let(f"{name}-sends-results", QUEUE_SENDER, who, self._queue, "queue", parent))
        return granted

    def variables_of_writer(self) -> dict[str, pulumi.Input[str]]:
        """Where the function leaves results."""
        sent: dict[str, pulumi.Input[str]] = {} if self.queue_url is None else {"RESULTS_QUEUE_URL": self.queue_url}
        return {
            "RESULTS": ",".join(self._results),
            "RESULTS_TABLE_SERVICE": "storage" if self._cosmos is None else "cosmos",
            "RESULTS_TABLE_URL": self._table_url,
            "RESULTS_CONTAINER_URL": self._account.url(self._container),
            **sent,
        }

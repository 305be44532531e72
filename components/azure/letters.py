"""Dead letters: what was tried too often, for two weeks, or can never have a result."""

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.azure.roles import QUEUE_SENDER
from components.azure.storage import Account
from components.azure.watch import Alarm, put, waiting

LETTERS, DEAD = "letters", "dead"


class Letters:
    """A queue in an account of its own: the metrics of queues are of all queues of an account, none of one alone, so that whatever is
    put into this account is a dead letter (Azure Monitor documentation, supported metrics of queueServices). With `keep` it is
    protected."""

    url: pulumi.Output[str]

    def __init__(self, name: str, home: AzureContext, parent: pulumi.Resource, *, keep: bool) -> None:
        self._account = Account(name, home, LETTERS, parent, keep=keep)
        self._queue = self._account.queue(DEAD)
        self.url = self._account.url(self._queue)

    def let(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> pulumi.Resource:
        """Let one identity leave dead letters, and read none."""
        return self._account.let(name, QUEUE_SENDER, who, self._queue, DEAD, parent)

    def alarms(self, role: str, text: str) -> list[Alarm]:
        """Of dead letters that have just been put there, which is over minutes later, and of those that wait, counted once a day."""
        queues = self._account.queues()
        return [put(role, text, queues), waiting(f"{role}-waiting", text, queues, most=0)]

"""Where requests wait whose answers come later: their bodies, whose they are, and the queue to the worker."""

import pulumi
import pulumi_azure_native as azure

from components.args import AnswersArgs
from components.azure.context import AzureContext
from components.azure.letters import Letters
from components.azure.roles import BLOB_WRITER, QUEUE_READER, QUEUE_SENDER, QUEUE_TAKER, TABLE_WRITER
from components.azure.storage import Account
from components.azure.watch import Alarm, waiting

ANSWERS = "answers"
# With the pauses between them 45 to 89 minutes (`handlers/functions/attempts.py`; half of each is by chance).
ATTEMPTS = 10
# Answers that could not be made within an hour wait for longer than that.
OLD_S = 3600


class AnswerStore(pulumi.ComponentResource):
    """A storage account with a container and a table that forget, and a queue whose work ends among dead letters if nothing else helps.

    Nothing here outlives `keepHours` by much: blobs go by days, rows by a job once a day (`forgetter.py`, since tables forget nothing by
    themselves); what is over is not shown before it is gone. So nothing is kept when the stack goes either, whatever `dataRetention` says.
    """

    database: pulumi.Output[str]
    table: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]
    replay_topic: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AzureContext, args: AnswersArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:AnswerStore", name, None, opts)
        self._args, self.account = args, Account(name, home, ANSWERS, self, keep=False)
        self._container, self._table = self.account.container(ANSWERS), self.account.table(ANSWERS)
        self.queue, self._letters = self.account.queue(ANSWERS), Letters(f"{name}-letters", home, self, keep=False)
        self._forgets = self.account.forgetting(expiry_days(args.keep_hours))
        self.database, self.table = self.account.service("table"), self._table.name
        self.queue_url, self.dead_letter_url, self.replay_topic = self.account.url(self.queue), self._letters.url, None
        self.log_groups = []
        self.alarms = [
            *self._letters.alarms("answers-dead-letters", "Answers could not be made: see why, then replay them."),
            waiting(
                "answers-age",
                "Answers wait for long.",
                self.account.queues(),
                most=args.max_concurrency * OLD_S // args.timeouts.function_s,
            ),
        ]
        self.register_outputs({"database": self.database, "table": self.table, "deadLetterUrl": self.dead_letter_url})

    def variables_of_caller(self) -> dict[str, pulumi.Input[str]]:
        """What the function is told that hands over and gives answers."""
        return {**self._variables(), "AUTH_MODE": self._args.auth_mode}

    def variables_of_worker(self) -> dict[str, pulumi.Input[str]]:
        """Where the worker finds requests and leaves answers, and after which attempt a message is a dead letter."""
        return {**self._variables(), "DEAD_LETTER_QUEUE_URL": self.dead_letter_url}

    def variables_of_forgetter(self) -> dict[str, pulumi.Input[str]]:
        """Whose rows go."""
        return {"ANSWERS_TABLE_URL": self.account.url(self._table)}

    def grant_caller(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one identity store a request, tell the worker, see whether it is told, read an answer; rows and answers are also those of
        the idempotency keys."""
        return [
            *self._grants(name, who, parent),
            self.account.let(f"{name}-hands-over", QUEUE_SENDER, who, self.queue, "queue", parent),
            self.account.let(f"{name}-looks", QUEUE_READER, who, self.queue, "queue", parent),
        ]

    def grant_worker(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        """Let one identity take messages, read a request, store its answer and how it ended, and leave dead letters."""
        return [
            *self._grants(name, who, parent),
            self.account.let(f"{name}-takes-work", QUEUE_TAKER, who, self.queue, "queue", parent),
            self._letters.let(f"{name}-buries", who, parent),
        ]

    def grant_forgetter(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> pulumi.Resource:
        """Let one identity delete rows."""
        return self.account.let(f"{name}-deletes-rows", TABLE_WRITER, who, self._table, "table", parent)

    def _variables(self) -> dict[str, pulumi.Input[str]]:
        return {
            "ANSWERS_TABLE_URL": self.account.url(self._table),
            "ANSWERS_CONTAINER_URL": self.account.url(self._container),
            "ANSWERS_QUEUE_URL": self.queue_url,
            "ANSWERS_KEEP_HOURS": str(self._args.keep_hours),
            "MAX_ATTEMPTS": str(ATTEMPTS),
            "VISIBILITY_S": str(self._args.timeouts.visibility_s),
        }

    def _grants(self, name: str, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource) -> list[pulumi.Resource]:
        return [
            self.account.let(f"{name}-keeps-rows", TABLE_WRITER, who, self._table, "table", parent),
            self.account.let(f"{name}-keeps-bodies", BLOB_WRITER, who, self._container, "container", parent),
        ]


def expiry_days(keep_hours: int) -> int:
    """Days after which blobs go: `keep_hours` from an answer on, whose request may be a day of attempts older."""
    return -(-keep_hours // 24) + 1

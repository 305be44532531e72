"""The data of a stack on Azure."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.azure.dead_letters import QueueDeadLetters
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.logs import ConsoleLogs
from pilotlight.cli.azure.objects import BlobObjects
from pilotlight.cli.azure.results import TableRows
from pilotlight.cli.azure.storage import Login
from pilotlight.cli.clouds import DEAD
from pilotlight.cli.exits import CommandError
from pilotlight.cli.session import Session


class Azure:
    """Where a stack's outputs say that it is; clients are made for what is asked."""

    def __init__(self, session: Session, stack: str, outputs: Mapping[str, Any]) -> None:
        self._outputs, self._given = outputs, Given(session.project.stack_config(stack), session.variables)
        self._twin = session.variables if session.local else None

    def objects(self) -> BlobObjects:
        return BlobObjects(self._login(), self._outputs)

    def results(self) -> TableRows:
        return TableRows(self._login(), self._outputs)

    def dead_letters(self) -> QueueDeadLetters:
        return QueueDeadLetters(self._login(), self._outputs)

    def logs(self) -> ConsoleLogs:
        return ConsoleLogs(self._login(), self._given.subscription, str(self._outputs["project"]))

    def messages(self) -> dict[str, int] | None:
        """What waits or is being worked on, which the queue does not tell apart, and what is dead."""
        if not self._outputs.get(DEAD):
            return None
        try:
            letters = self.dead_letters()
            return {"waiting": letters.waiting(), "deadLetters": letters.count()}
        except CommandError:
            # What the stack is made of is what was asked for.
            return None

    def _login(self) -> Login:
        return Login(self._twin, self._given)

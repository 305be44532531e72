"""The data of a stack on Google Cloud."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.clouds import DEAD
from pilotlight.cli.exits import CommandError
from pilotlight.cli.gcp.dead_letters import PubsubDeadLetters
from pilotlight.cli.gcp.logs import CloudLogging, services_of
from pilotlight.cli.gcp.objects import StorageObjects
from pilotlight.cli.gcp.results import FirestoreRows
from pilotlight.cli.session import Session


class Google:
    """Where a stack's outputs say that it is; clients are made for what is asked."""

    def __init__(self, session: Session, stack: str, outputs: Mapping[str, Any]) -> None:
        self._session, self._stack, self._outputs = session, stack, outputs
        self._twin = session.variables if session.local else None

    def objects(self) -> StorageObjects:
        return StorageObjects(self._twin, self._outputs)

    def results(self) -> FirestoreRows:
        return FirestoreRows(self._twin, self._outputs)

    def dead_letters(self) -> PubsubDeadLetters:
        return PubsubDeadLetters(self._twin, self._outputs)

    def logs(self) -> CloudLogging:
        return CloudLogging(self._twin, str(self._outputs["project"]), lambda: services_of(self._session.resources(self._stack)))

    def messages(self) -> dict[str, int] | None:
        """The dead letters alone: of what waits for a push nothing but a metric tells, which is minutes behind."""
        if not self._outputs.get(DEAD):
            return None
        try:
            count = self.dead_letters().count()
        except CommandError:
            # What the stack is made of is what was asked for.
            return None
        return None if count is None else {"deadLetters": count}

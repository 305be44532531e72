"""The data of a stack on AWS."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.aws.dead_letters import SqsDeadLetters
from pilotlight.cli.aws.logs import CloudWatchLogs
from pilotlight.cli.aws.objects import S3Objects
from pilotlight.cli.aws.queues import messages
from pilotlight.cli.aws.rows import Rows
from pilotlight.cli.session import Session


class Aws:
    """Where a stack's outputs say that it is; clients are made for what is asked."""

    def __init__(self, session: Session, stack: str, outputs: Mapping[str, Any]) -> None:
        self._session, self._outputs = session, outputs

    def objects(self) -> S3Objects:
        return S3Objects(self._session, self._outputs)

    def results(self) -> Rows:
        return Rows(self._session, self._outputs)

    def dead_letters(self) -> SqsDeadLetters:
        return SqsDeadLetters(self._session, self._outputs)

    def logs(self) -> CloudWatchLogs:
        return CloudWatchLogs(self._session, self._outputs)

    def messages(self) -> dict[str, int] | None:
        return messages(self._session, self._outputs)

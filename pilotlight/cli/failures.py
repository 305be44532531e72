"""Why an object or a message got no result: what the functions' logs say of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.cli.clients import client
from pilotlight.cli.dead_letters import DeadLetter
from pilotlight.cli.session import Session

# One question to the logs each: enough to see what is wrong, few enough to be quick.
REASONS = 10
FUNCTION_LOGS = "/aws/lambda/"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt failed, and whether every other one must fail as well."""

    reason: str
    permanent: bool


class Logs:
    """What a stack's functions say about messages and objects. Without the right to read logs they say nothing: why is a help only."""

    def __init__(self, session: Session, outputs: Mapping[str, Any]) -> None:
        self._client = client("logs", session, str(outputs["region"]))
        self._groups = [str(group) for group in outputs.get("logGroups") or [] if str(group).startswith(FUNCTION_LOGS)]

    def reasons(self, letters: Iterable[DeadLetter]) -> dict[str, str]:
        """Message id -> why the last attempt failed; only those that are found."""
        found = {letter.message_id: self.failure(letter.word, letter.sent) for letter in letters}
        return {message_id: failure.reason for message_id, failure in found.items() if failure is not None}

    def failure(self, word: str, since: int) -> Failure | None:
        """The last failure in the lines from `since` (ms) on that hold the word."""
        from botocore.exceptions import BotoCoreError, ClientError

        failures: list[Failure] = []
        try:
            for group in self._groups:
                found = self._client.filter_log_events(logGroupName=group, startTime=since, filterPattern=f'"{word}"')
                failures += [failure for event in found["events"] if (failure := _failure(event["message"]))]
        except (ClientError, BotoCoreError):
            return None
        return failures[-1] if failures else None


def _failure(line: str) -> Failure | None:
    """The reason in a log line of the functions; None in others."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not fields.get("reason"):
        return None
    return Failure(reason=str(fields["reason"]), permanent=fields.get("permanent") is True)

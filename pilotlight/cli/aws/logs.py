"""What a stack on AWS says: its log groups, and in those of its functions why an object or a message got no result."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.cli.aws.clients import client
from pilotlight.cli.clouds import Failure, Line
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

FUNCTION_LOGS = "/aws/lambda/"


class CloudWatchLogs:
    """The log groups that a stack's outputs name."""

    every_s = 1.0

    def __init__(self, session: Session, outputs: Mapping[str, Any]) -> None:
        self._client = client("logs", session, str(outputs["region"]))
        self._groups = [str(group) for group in outputs.get("logGroups") or []]

    def lines(self, start: int) -> Iterator[Line]:
        """Group by group, each in its order."""
        for group in self._groups:
            yield from read(self._client, group, start)

    def failure(self, word: str, since: int) -> Failure | None:
        """The last failure in the functions' lines from `since` (ms) on that hold the word."""
        from botocore.exceptions import BotoCoreError, ClientError

        failures: list[Failure] = []
        try:
            for group in self._groups:
                if group.startswith(FUNCTION_LOGS):
                    # Pages may be empty although others follow (CloudWatch Logs, FilterLogEvents).
                    pages = self._client.get_paginator("filter_log_events").paginate(
                        logGroupName=group, startTime=since, filterPattern=f'"{word}"'
                    )
                    found = (event for page in pages for event in page.get("events", []))
                    failures += [failure for event in found if (failure := _failure(event["message"]))]
        except (ClientError, BotoCoreError):
            return None
        return failures[-1] if failures else None


def read(source: Any, group: str, start: int) -> Iterator[Line]:
    """The lines of a log group from `start` (ms) on; a group that nothing has made yet is empty. Raises CommandError on other refusals."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for page in source.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start):
            for event in page.get("events", []):
                identity = str(event.get("eventId") or (event["timestamp"], event.get("logStreamName"), event["message"]))
                yield Line(
                    at=int(event["timestamp"]), group=group.rsplit("/", 1)[-1], text=event["message"].rstrip("\n"), identity=identity
                )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise CommandError(f"The log group {group} can't be read: {error}", Exit.FAILED) from error
    except BotoCoreError as error:
        raise CommandError(f"The log group {group} can't be read: {error}", Exit.FAILED) from error


def _failure(line: str) -> Failure | None:
    """The reason in a log line of the functions; None in others."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not fields.get("reason"):
        return None
    return Failure(reason=str(fields["reason"]), permanent=fields.get("permanent") is True)

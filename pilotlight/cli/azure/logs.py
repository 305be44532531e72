"""What a stack's apps and jobs on Azure say: their lines in Log Analytics (its API, query of a resource group)."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from components.azure.log_queries import JOB, TABLE
from pilotlight.cli.api_errors import ApiError, short
from pilotlight.cli.azure.clients import ADDRESS, PATIENCE_S
from pilotlight.cli.azure.storage import LOG_ANALYTICS, Login, told
from pilotlight.cli.clouds import Failure, Line
from pilotlight.cli.exits import CommandError

COLUMNS = f"TimeGenerated, ContainerAppName, {JOB}, ContainerGroupName, Log"


class ConsoleLogs:
    """The lines of everything in a resource group. They come to Log Analytics minutes after they were written; on the twin at once."""

    every_s = 5.0

    def __init__(self, login: Login, subscription: str, group: str) -> None:
        self._login, self._scope, self._group = login, f"subscriptions/{subscription}/resourceGroups/{group}", group

    def lines(self, start: int) -> Iterator[Line]:
        """By time."""
        with told(f"The logs of {self._group} can't be read"):
            for row in self._asked(start):
                yield _line(row)

    def failure(self, word: str, since: int) -> Failure | None:
        """The last failure in the lines from `since` (ms) on that hold the word."""
        try:
            with told("The logs can't be read"):
                found = [_failure(row["Log"]) for row in self._asked(since, word)]
        except CommandError:
            return None
        failures = [failure for failure in found if failure]
        return failures[-1] if failures else None

    def _asked(self, start: int, word: str | None = None) -> list[dict[str, str]]:
        """The rows of a query. Raises ApiError."""
        since = datetime.fromtimestamp(start / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        held = "" if word is None else f' | where Log contains "reason" | where Log contains {json.dumps(word)}'
        query = f"{TABLE} | where TimeGenerated >= datetime({since}){held} | project {COLUMNS} | order by TimeGenerated asc"
        table = self._answer(query)["tables"][0]
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, map(str, row), strict=True)) for row in table["rows"]]

    def _answer(self, query: str) -> Any:
        import httpx

        twin = self._login.twin
        address = LOG_ANALYTICS if twin is None else f"{twin[ADDRESS].rpartition('/')[0]}/loganalytics"
        token = self._login.credential.get_token(f"{LOG_ANALYTICS}/.default").token
        options = self._login.verified()
        try:
            with httpx.Client(timeout=PATIENCE_S, trust_env=twin is None, verify=options) as client:
                answer = client.post(
                    f"{address}/v1/{self._scope}/query", json={"query": query}, headers={"authorization": f"Bearer {token}"}
                )
        except httpx.HTTPError as error:
            raise ApiError(f"{address} can't be asked: {short(error)}") from error
        if answer.status_code >= 300:
            raise ApiError(f"{answer.status_code} {answer.text[:300].strip()}", answer.status_code)
        return answer.json()


def _line(row: Mapping[str, str]) -> Line:
    return Line(
        at=int(datetime.fromisoformat(row["TimeGenerated"]).timestamp() * 1000),
        group=row["ContainerAppName"] or row["Job"] or row["ContainerGroupName"],
        text=row["Log"].rstrip("\n"),
        # A line has no id of its own.
        identity=json.dumps([row["TimeGenerated"], row["ContainerGroupName"], row["Log"]]),
    )


def _failure(text: str) -> Failure | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not fields.get("reason"):
        return None
    return Failure(reason=str(fields["reason"]), permanent=fields.get("permanent") is True)

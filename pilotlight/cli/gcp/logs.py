"""What a stack's services on Google Cloud say: its Cloud Run services' entries in Cloud Logging (API v2, entries.list)."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.clouds import Failure, Line
from pilotlight.cli.exits import CommandError
from pilotlight.cli.gcp.clients import Api, told

SERVICE = "gcp:cloudrunv2/service:Service"
PAGE = 1000


class CloudLogging:
    """The entries of these services. Cloud Logging lets a project read sixty times a minute, so that a follower asks less often."""

    every_s = 2.0

    def __init__(self, twin: Mapping[str, str] | None, project: str, services: Callable[[], Iterable[str]]) -> None:
        self._twin, self._project = twin, project
        self._named = services

    @cached_property
    def _services(self) -> list[str]:
        """Asked for when they are needed: the engine is asked, and takes a while."""
        return sorted(self._named())

    def lines(self, start: int) -> Iterator[Line]:
        """By time."""
        with told(f"The logs of {self._project} can't be read"):
            for entry in self._entries(start):
                yield _line(entry)

    def failure(self, word: str, since: int) -> Failure | None:
        """The last failure in the lines from `since` (ms) on that hold the word."""
        try:
            found = [_failure(entry) for entry in self._entries(since, f" AND jsonPayload.reason:* AND {json.dumps(word)}")]
        except (ApiError, CommandError):
            return None
        failures = [failure for failure in found if failure]
        return failures[-1] if failures else None

    def _entries(self, start: int, more: str = "") -> Iterator[Mapping[str, Any]]:
        if not self._services:
            return
        names = "|".join(map(re.escape, self._services))
        since = datetime.fromtimestamp(start / 1000, UTC).isoformat(timespec="milliseconds")
        asked: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name=~{json.dumps(f"^({names})$")}'
            f' AND timestamp>="{since}"{more}',
            "orderBy": "timestamp asc",
            "pageSize": PAGE,
        }
        api = Api("logging", self._twin)
        while True:
            answer = api.ask("POST", "/v2/entries:list", json=asked)
            yield from answer.get("entries", [])
            if not answer.get("nextPageToken"):
                return
            asked["pageToken"] = answer["nextPageToken"]


def services_of(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of the Cloud Run services in a stack's state."""
    return [str(one["outputs"]["name"]).rpartition("/")[2] for one in resources if one["type"] == SERVICE and one.get("outputs")]


def _line(entry: Mapping[str, Any]) -> Line:
    return Line(
        at=int(datetime.fromisoformat(entry["timestamp"]).timestamp() * 1000),
        group=str(entry.get("resource", {}).get("labels", {}).get("service_name", "")),
        text=_text(entry).rstrip("\n"),
        identity=f"{entry['timestamp']} {entry.get('insertId')}",
    )


def _text(entry: Mapping[str, Any]) -> str:
    """What was written; of a request that Cloud Run itself tells of, what that was."""
    if "textPayload" in entry:
        return str(entry["textPayload"])
    if "jsonPayload" in entry:
        return json.dumps(entry["jsonPayload"], ensure_ascii=False)
    request = entry.get("httpRequest") or {}
    said = [str(request[name]) for name in ("requestMethod", "requestUrl", "status", "latency") if name in request]
    return " ".join(said) or json.dumps(entry.get("protoPayload", {}), ensure_ascii=False)


def _failure(entry: Mapping[str, Any]) -> Failure | None:
    fields = entry.get("jsonPayload") or {}
    if not fields.get("reason"):
        return None
    return Failure(reason=str(fields["reason"]), permanent=fields.get("permanent") is True)

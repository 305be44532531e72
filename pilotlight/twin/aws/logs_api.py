"""The API of CloudWatch Logs over `Logs`: what boto3's `logs` client needs to read, follow and write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.twin.aws.logs import Event, Logs
from pilotlight.twin.aws.logs_filter import matcher
from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource, World

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
# CloudWatch Logs API reference: at most 10,000 events or 1 MB an answer; 50 groups or streams.
PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
PAGE_ITEMS = 50
_GROUP_OPERATIONS = ("DescribeLogGroups", "CreateLogGroup")


class LogsService:
    """The `logs` service. Unknown operations are refused by name."""

    name = "logs"

    def __init__(self, logs: Logs, world: World) -> None:
        self._logs = logs
        self._world = world
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
            "PutLogEvents": self._put,
        }

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        """One action, on the group, or on the stream where the request writes to one."""
        name, parameters = operation(request.headers, request.body)
        if name not in self._operations:
            raise Refusal("UnknownOperationException", f"The twin does not serve logs:{name}; it serves {', '.join(self._operations)}.")
        if name == "DescribeLogGroups":
            return [("logs:DescribeLogGroups", self._logs.arn("*"))]
        arn = self._logs.arn(_group(parameters))
        if name in ("PutLogEvents", "GetLogEvents"):
            return [(f"logs:{name}", f"{arn}:log-stream:{parameters.get('logStreamName', '')}")]
        return [(f"logs:{name}", f"{arn}:*")]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        """The operation's answer; Refusal as AWS would refuse."""
        name, parameters = operation(request.headers, request.body)
        content = self._operations[name](parameters)
        return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=json.dumps(content).encode())

    def _create_group(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group = _group(parameters)
        if self._logs.exists(group):
            raise Refusal("ResourceAlreadyExistsException", "The specified log group already exists")
        self._logs.create_group(group)
        return {}

    def _create_stream(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group, stream = _group(parameters), _text(parameters, "logStreamName")
        if stream in self._logs.streams(group):
            raise Refusal("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._logs.append(group, stream, [])
        return {}

    def _put(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group, stream = _group(parameters), _text(parameters, "logStreamName")
        if stream not in self._logs.streams(group):
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        events = parameters.get("logEvents")
        if not isinstance(events, list) or not events:
            raise Refusal("InvalidParameterException", "logEvents must hold at least one event.")
        try:
            pairs = [(int(event["timestamp"]), str(event["message"])) for event in events]
        except (TypeError, KeyError, ValueError):
            raise Refusal("InvalidParameterException", "Each of logEvents needs a timestamp in milliseconds and a message.") from None
        self._logs.append(group, stream, pairs)
        return {"nextSequenceToken": "0"}

    def _describe_groups(self, parameters: dict[str, Any]) -> dict[str, Any]:
        names = self._logs.groups(str(parameters.get("logGroupNamePrefix") or ""))
        if pattern := parameters.get("logGroupNamePattern"):
            names = [name for name in names if pattern.lower() in name.lower()]
        page, token = _page(names, parameters)
        return {"logGroups": [self._group_entry(name) for name in page]} | token

    def _group_entry(self, name: str) -> dict[str, Any]:
        declared: Resource | None = self._world.one(LOG_GROUP, name=name)
        entry: dict[str, Any] = {
            "logGroupName": name,
            "arn": f"{self._logs.arn(name)}:*",
            "logGroupArn": self._logs.arn(name),
            "storedBytes": self._logs.size(name),
            "metricFilterCount": 0,
            "creationTime": 0,
        }
        if declared and declared.get("retentionInDays"):
            entry["retentionInDays"] = int(declared["retentionInDays"])
        return entry

    def _describe_streams(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group = _group(parameters)
        streams = self._logs.streams(group)
        prefix = str(parameters.get("logStreamNamePrefix") or "")
        names = [name for name in sorted(streams) if name.startswith(prefix)]
        if parameters.get("orderBy") == "LastEventTime":
            names.sort(key=lambda name: max((event.timestamp for event in streams[name]), default=0))
        if parameters.get("descending"):
            names.reverse()
        page, token = _page(names, parameters)
        return {"logStreams": [self._stream_entry(group, name, streams[name]) for name in page]} | token

    def _stream_entry(self, group: str, name: str, events: list[Event]) -> dict[str, Any]:
        entry: dict[str, Any] = {"logStreamName": name, "arn": f"{self._logs.arn(group)}:log-stream:{name}", "storedBytes": 0}
        if events:
            times = [event.timestamp for event in events]
            last = max(event.ingested for event in events)
            entry |= {
                "creationTime": min(times),
                "firstEventTimestamp": min(times),
                "lastEventTimestamp": max(times),
                "lastIngestionTime": last,
            }
        return entry

    def _filter(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group = _group(parameters)
        names, prefix = parameters.get("logStreamNames"), parameters.get("logStreamNamePrefix")
        matches = matcher(str(parameters.get("filterPattern") or ""))
        after = _event_token(parameters)
        events = [
            event
            for event in _between(self._logs.events(group), parameters)
            if (event.timestamp, event.number) > after
            and (not names or event.stream in names)
            and (not prefix or event.stream.startswith(prefix))
            and matches(event.message)
        ]
        page = _fill(events, int(parameters.get("limit") or PAGE_EVENTS))
        answer: dict[str, Any] = {"events": [_filtered(event) for event in page], "searchedLogStreams": []}
        if len(page) < len(events):
            answer["nextToken"] = f"{page[-1].timestamp}/{page[-1].number}"
        return answer

    def _get(self, parameters: dict[str, Any]) -> dict[str, Any]:
        group, stream = _group(parameters), _text(parameters, "logStreamName")
        if stream not in self._logs.streams(group):
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        events = [event for event in _between(self._logs.events(group), parameters) if event.stream == stream]
        limit = int(parameters.get("limit") or PAGE_EVENTS)
        start, end = _window(events, parameters, limit)
        page = events[start:end]
        return {
            "events": [{"timestamp": e.timestamp, "message": e.message, "ingestionTime": e.ingested} for e in page],
            "nextForwardToken": f"f/{end}",
            "nextBackwardToken": f"b/{start}",
        }


def _group(parameters: Mapping[str, Any]) -> str:
    name = parameters.get("logGroupName") or str(parameters.get("logGroupIdentifier") or "").rpartition(":log-group:")[2]
    if not isinstance(name, str) or not name:
        raise Refusal("InvalidParameterException", "logGroupName is missing.")
    return name.removesuffix(":*")


def _text(parameters: Mapping[str, Any], name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal("InvalidParameterException", f"{name} is missing.")
    return value


def _between(events: list[Event], parameters: Mapping[str, Any]) -> list[Event]:
    start, end = parameters.get("startTime"), parameters.get("endTime")
    return [e for e in events if (start is None or e.timestamp >= int(start)) and (end is None or e.timestamp <= int(end))]


def _fill(events: list[Event], limit: int) -> list[Event]:
    page: list[Event] = []
    size = 0
    for event in events[: min(limit, PAGE_EVENTS)]:
        size += len(event.message) + 26
        if page and size > PAGE_BYTES:
            break
        page.append(event)
    return page


def _filtered(event: Event) -> dict[str, Any]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingested,
        "eventId": event.id,
    }


def _event_token(parameters: Mapping[str, Any]) -> tuple[int, int]:
    token = parameters.get("nextToken")
    if token is None:
        return (-1, -1)
    timestamp, _, number = str(token).partition("/")
    if not (timestamp.isdigit() and number.isdigit()):
        raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
    return int(timestamp), int(number)


def _window(events: list[Event], parameters: Mapping[str, Any], limit: int) -> tuple[int, int]:
    token = parameters.get("nextToken")
    if token is None:
        if parameters.get("startFromHead"):
            return 0, min(limit, len(events))
        return max(0, len(events) - limit), len(events)
    direction, _, number = str(token).partition("/")
    if direction not in ("f", "b") or not number.isdigit():
        raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
    place = min(int(number), len(events))
    return (place, min(place + limit, len(events))) if direction == "f" else (max(0, place - limit), place)


def _page(names: list[str], parameters: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    token, limit = parameters.get("nextToken"), min(int(parameters.get("limit") or PAGE_ITEMS), PAGE_ITEMS)
    if token is not None and not str(token).isdigit():
        raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
    start = int(token or 0)
    rest = {"nextToken": str(start + limit)} if start + limit < len(names) else {}
    return names[start : start + limit], rest

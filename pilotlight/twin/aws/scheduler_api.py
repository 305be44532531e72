"""The EventBridge Scheduler API: looking at schedules and groups, changing and deleting schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.aws.recurrence import instant_of
from pilotlight.twin.aws.scheduler_delivery import PRINCIPAL
from pilotlight.twin.aws.scheduler_model import DEFAULT_GROUP, GROUP, SCHEDULE
from pilotlight.twin.aws.scheduler_rows import ROWS
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.scheduler import SchedulerService

# API reference, ListSchedules.
PAGE_ITEMS = 100
# (method, path, operation)
ROUTES = (
    ("GET", r"/schedules/?", "ListSchedules"),
    ("GET", r"/schedules/(?P<name>[^/]+)", "GetSchedule"),
    ("PUT", r"/schedules/(?P<name>[^/]+)", "UpdateSchedule"),
    ("DELETE", r"/schedules/(?P<name>[^/]+)", "DeleteSchedule"),
    ("GET", r"/schedule-groups/?", "ListScheduleGroups"),
    ("GET", r"/schedule-groups/(?P<name>[^/]+)", "GetScheduleGroup"),
)
_FIELDS = (
    "ActionAfterCompletion", "Description", "EndDate", "FlexibleTimeWindow", "ScheduleExpression", "ScheduleExpressionTimezone",
    "StartDate", "State", "Target",
)  # fmt: skip
_DATES = ("StartDate", "EndDate")


def _route(request: AwsRequest) -> tuple[str, str]:
    for method, pattern, operation in ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            return operation, unquote(match.groupdict().get("name") or "")
    known = ", ".join(operation for _, _, operation in ROUTES)
    raise Refusal("NotImplemented", f"The twin's Scheduler does not serve {request.method} {request.path}: it serves {known}.", 501)


def actions(service: SchedulerService, request: AwsRequest) -> list[tuple[str, str]]:
    operation, name = _route(request)
    prefix = f"arn:aws:scheduler:{request.region}:{service.twin.account}"
    if operation.startswith("List"):
        return [(f"scheduler:{operation}", "*")]
    if operation == "GetScheduleGroup":
        return [("scheduler:GetScheduleGroup", f"{prefix}:schedule-group/{name}")]
    return [(f"scheduler:{operation}", f"{prefix}:schedule/{_group(request)}/{name}")]


async def handle(service: SchedulerService, request: AwsRequest) -> AwsResponse:
    operation, name = _route(request)
    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "ListSchedules": lambda: _list(service, request),
        "GetSchedule": lambda: _described(service, _one(service, request, name)),
        "UpdateSchedule": lambda: _update(service, request, _one(service, request, name)),
        "DeleteSchedule": lambda: _delete(service, _one(service, request, name)),
        "ListScheduleGroups": lambda: {"ScheduleGroups": [_described_group(found) for found in service.twin.world.find(GROUP)]},
        "GetScheduleGroup": lambda: _described_group(_one_group(service, name)),
    }
    return AwsResponse(headers={"content-type": "application/json"}, body=json.dumps(answers[operation]()).encode())


def _body(request: AwsRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal("ValidationException", "The request's body is no JSON object.")
    return body


def _group(request: AwsRequest) -> str:
    given = request.query.get("groupName") if request.method != "PUT" else _body(request).get("GroupName")
    return str(given or DEFAULT_GROUP)


def _one(service: SchedulerService, request: AwsRequest, name: str) -> Resource:
    found = service.twin.world.get(SCHEDULE, f"{_group(request)}/{name}")
    if found is None:
        raise Refusal("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)
    return found


def _one_group(service: SchedulerService, name: str) -> Resource:
    found = service.twin.world.get(GROUP, name)
    if found is None:
        raise Refusal("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)
    return found


def _list(service: SchedulerService, request: AwsRequest) -> dict[str, Any]:
    wanted = request.query
    found = [
        schedule
        for schedule in sorted(service.twin.world.find(SCHEDULE), key=lambda one: one.id)
        if wanted.get("ScheduleGroup") in (None, schedule["groupName"])
        and schedule["name"].startswith(wanted.get("NamePrefix", ""))
        and wanted.get("State") in (None, schedule["state"])
    ]
    start = int(wanted["NextToken"]) if wanted.get("NextToken", "").isdigit() else 0
    size = min(int(wanted.get("MaxResults") or PAGE_ITEMS), PAGE_ITEMS)
    kept = ("Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State")
    listed = []
    for schedule in found[start : start + size]:
        whole = _described(service, schedule)
        listed.append({**{name: whole[name] for name in kept}, "Target": {"Arn": whole["Target"]["Arn"]}})
    return {"Schedules": listed, **({"NextToken": str(start + size)} if start + size < len(found) else {})}


def _update(service: SchedulerService, request: AwsRequest, schedule: Resource) -> dict[str, Any]:
    """Everything that the request leaves out goes back to its default (API reference, UpdateSchedule); the engine sees the
    difference when it refreshes."""
    row = next(row for row in ROWS if row.token == SCHEDULE)
    body = _body(request)
    inputs = {_camel(name): _lowered(body[name], name) for name in _FIELDS if body.get(name) is not None}
    inputs |= {key: schedule[key] for key in ("name", "groupName", "region")}
    if problems := row.limits(inputs):
        raise Refusal("ValidationException", " ".join(problems))
    role = str(inputs.get("target", {}).get("roleArn", ""))
    decision = service.twin.iam.decide(request.caller, "iam:PassRole", role, {"iam:PassedToService": PRINCIPAL})
    if not decision.allowed:
        message = f"User: {request.caller.arn} is not authorized to perform: iam:PassRole on resource: {role} {decision.reason}"
        raise Refusal("AccessDenied", message, 403)
    row.check(service.twin, inputs)
    after = replace(schedule, outputs={**inputs, **row.computed(service.twin, inputs)})
    service.twin.world.put(after)
    service.put(after)
    return {"ScheduleArn": after["arn"]}


def _delete(service: SchedulerService, schedule: Resource) -> dict[str, Any]:
    service.forget(schedule.id)
    service.twin.world.delete(SCHEDULE, schedule.id)
    return {}


def _described(service: SchedulerService, schedule: Resource) -> dict[str, Any]:
    record = service.record(schedule.id)
    answer = {name: _raised(schedule.outputs[_camel(name)]) for name in _FIELDS if schedule.get(_camel(name)) is not None}
    answer |= {name: instant_of(schedule[_camel(name)]) for name in _DATES if schedule.get(_camel(name))}
    answer |= {"Arn": schedule["arn"], "GroupName": schedule["groupName"], "Name": schedule["name"]}
    return answer | ({"CreationDate": record.created, "LastModificationDate": record.modified} if record else {})


def _described_group(group: Resource) -> dict[str, Any]:
    dates = {name: instant_of(group[_camel(name)]) for name in ("CreationDate", "LastModificationDate")}
    return {"Arn": group["arn"], "Name": group["name"], "State": group["state"], **dates}


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _lowered(value: Any, name: str = "") -> Any:
    """A value of the API in Pulumi's names."""
    if name in _DATES:
        moment = datetime.fromtimestamp(float(value), UTC) if isinstance(value, int | float) else datetime.fromisoformat(str(value))
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {_camel(key): _lowered(item) for key, item in value.items()} if isinstance(value, dict) else value


def _raised(value: Any) -> Any:
    return {key[0].upper() + key[1:]: _raised(item) for key, item in value.items()} if isinstance(value, dict) else value

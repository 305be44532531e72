"""Provisioned concurrency: what is asked for an alias or version, by the engine, the API or auto scaling, and its API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.aws.lambda_concurrency import ACCOUNT_CONCURRENCY, UNRESERVED_MINIMUM, reserved_by
from pilotlight.twin.aws.lambda_version import FUNCTION, LATEST, LIVE_FLOOR, FunctionVersion, latest, resolve, split_name
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource, World

if TYPE_CHECKING:
    from pilotlight.twin.aws.lambda_ import LambdaService

_PATH = re.compile(r"/2019-09-30/functions/(?P<name>[^/]+)/provisioned-concurrency/?")
_OPERATIONS = {
    "GET": "GetProvisionedConcurrencyConfig",
    "PUT": "PutProvisionedConcurrencyConfig",
    "DELETE": "DeleteProvisionedConcurrencyConfig",
}


def asked(world: World, name: str, qualifier: str) -> int:
    """The provisioned concurrency of an alias or version; 0 where there is none."""
    found = world.get(LIVE_FLOOR, f"{name}:{qualifier}")
    return int(found["requested"]) if found else 0


def record(world: World, name: str, qualifier: str, count: int, now: float) -> None:
    """Remember what is asked for; 0 forgets it."""
    if count == 0:
        world.delete(LIVE_FLOOR, f"{name}:{qualifier}")
        return
    outputs = {"functionName": name, "qualifier": qualifier, "requested": count, "modified": now}
    world.put(Resource(token=LIVE_FLOOR, id=f"{name}:{qualifier}", urn="", outputs=outputs))


def forget(world: World, name: str, qualifier: str | None = None) -> None:
    """The alias, or the whole function, is gone."""
    for found in world.find(LIVE_FLOOR, functionName=name):
        if qualifier in (None, found["qualifier"]):
            world.delete(LIVE_FLOOR, found.id)


def floors(world: World) -> Mapping[tuple[str, str], tuple[FunctionVersion, int]]:
    """(function, version) -> what runs, and how many workers of it must be ready for all its aliases together."""
    wanted: dict[tuple[str, str], tuple[FunctionVersion, int]] = {}
    for found in world.find(LIVE_FLOOR):
        try:
            version = resolve(world, found["functionName"], found["qualifier"])
        except Refusal:
            continue
        slot = (version.name, version.version)
        wanted[slot] = (version, wanted.get(slot, (version, 0))[1] + int(found["requested"]))
    return wanted


def total(world: World, name: str, without: str = "") -> int:
    """What a function's aliases and versions other than `without` have provisioned."""
    return sum(int(found["requested"]) for found in world.find(LIVE_FLOOR, functionName=name) if found["qualifier"] != without)


def judge(world: World, name: str, qualifier: str, count: int) -> None:
    """Refusal for what PutProvisionedConcurrencyConfig refuses: $LATEST, more than is reserved, more than the account has left."""
    version = resolve(world, name, qualifier).version
    if version == LATEST:
        text = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        raise Refusal("InvalidParameterValueException", text)
    if count < 1:
        raise Refusal("ValidationException", f"provisionedConcurrentExecutions {count}: use 1 or more; delete the configuration for none.")
    if any(
        found["qualifier"] != qualifier and resolve(world, name, found["qualifier"]).version == version
        for found in world.find(LIVE_FLOOR, functionName=name)
    ):
        # Developer guide, provisioned concurrency: one configuration for a version, its own or that of one alias.
        text = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        raise Refusal("ResourceConflictException", text, 409)
    reserved, together = int(latest(world, name).get("reservedConcurrentExecutions", -1)), total(world, name, qualifier) + count
    if 0 <= reserved < together:
        text = f"Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function ({reserved})."
        raise Refusal("InvalidParameterValueException", text)
    others = sum(total(world, found["name"]) for found in world.find(FUNCTION) if found["name"] != name and _shares(found))
    if reserved < 0 and ACCOUNT_CONCURRENCY - reserved_by(world) - others - together < UNRESERVED_MINIMUM:
        text = "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of "
        raise Refusal("InvalidParameterValueException", f"{text}[{UNRESERVED_MINIMUM}].")


def _shares(function: Resource) -> bool:
    return int(function.get("reservedConcurrentExecutions", -1)) < 0


def judge_reserved(world: World, name: str, reserved: Any) -> None:
    """Refusal where a function would reserve less than it has provisioned."""
    if reserved is not None and 0 <= int(reserved) < total(world, name):
        text = f"ReservedConcurrentExecutions {reserved} is less than the function's provisioned concurrency, {total(world, name)}."
        raise Refusal("InvalidParameterValueException", text)


def _place(request: AwsRequest) -> tuple[str, str] | None:
    """(function, qualifier) of a request of this API; None for requests of others."""
    match = _PATH.fullmatch(request.path)
    if match is None or request.method not in _OPERATIONS:
        return None
    name, qualifier = split_name(unquote(match["name"]), request.query.get("Qualifier"))
    return name, qualifier or ""


def actions(service: LambdaService, request: AwsRequest) -> list[tuple[str, str]]:
    """Empty for requests of others."""
    place = _place(request)
    if place is None:
        return []
    arn = f"arn:aws:lambda:{request.region}:{service.twin.account}:function:{place[0]}"
    if "List" in request.query:
        return [("lambda:ListProvisionedConcurrencyConfigs", arn)]
    return [(f"lambda:{_OPERATIONS[request.method]}", f"{arn}:{place[1]}")]


def handle(service: LambdaService, request: AwsRequest) -> AwsResponse | None:
    """None for requests of others. Put answers before its workers are up, as on AWS."""
    place = _place(request)
    if place is None:
        return None
    (name, qualifier), world = place, service.twin.world
    latest(world, name)
    if "List" in request.query:
        found = [one["qualifier"] for one in world.find(LIVE_FLOOR, functionName=name)]
        return _answer(200, {"ProvisionedConcurrencyConfigs": [_described(service, name, one) for one in found]})
    resolve(world, name, qualifier)
    if request.method == "PUT":
        try:
            count = int(json.loads(request.body)["ProvisionedConcurrentExecutions"])
        except (ValueError, KeyError, TypeError):
            raise Refusal("InvalidRequestContentException", "ProvisionedConcurrentExecutions must be a whole number.") from None
        service.ask(name, qualifier, count)
        return _answer(202, _described(service, name, qualifier))
    if request.method == "DELETE":
        # No error where there is none: the API reference names none for it.
        service.ask(name, qualifier, 0)
        return AwsResponse(status=204)
    if asked(world, name, qualifier) == 0:
        text = f"No Provisioned Concurrency Config found for function: {latest(world, name)['arn']}:{qualifier}"
        raise Refusal("ProvisionedConcurrencyConfigNotFoundException", text, 404)
    return _answer(200, _described(service, name, qualifier))


def _described(service: LambdaService, name: str, qualifier: str) -> dict[str, Any]:
    world = service.twin.world
    found = world.get(LIVE_FLOOR, f"{name}:{qualifier}")
    assert found is not None
    requested, pool = int(found["requested"]), service.pool(resolve(world, name, qualifier))
    available = min(requested, pool.ready)
    failed = service.failures.get((name, qualifier))
    return {
        "FunctionArn": f"{latest(world, name)['arn']}:{qualifier}",
        "RequestedProvisionedConcurrentExecutions": requested,
        "AvailableProvisionedConcurrentExecutions": available,
        "AllocatedProvisionedConcurrentExecutions": available,
        "Status": "READY" if available >= requested else "FAILED" if failed else "IN_PROGRESS",
        **({"StatusReason": failed} if failed and available < requested else {}),
        "LastModified": datetime.fromtimestamp(float(found["modified"]), UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }


def _answer(status: int, content: dict[str, Any]) -> AwsResponse:
    return AwsResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(content).encode())

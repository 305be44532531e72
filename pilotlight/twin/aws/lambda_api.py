"""The Lambda API: Invoke, PublishVersion and the read-only operations that clients use to look at a function."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.aws.lambda_concurrency import Throttled, account_settings
from pilotlight.twin.aws.lambda_hooks import publish
from pilotlight.twin.aws.lambda_version import ALIAS, FUNCTION, FunctionVersion, latest, resolve, split_name, version_of, versions
from pilotlight.twin.rows import AwsRequest, AwsResponse, Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.lambda_ import LambdaService

TAIL_BYTES = 4096
# (method, path, operation); {} stands for a function's name.
ROUTES = (
    ("POST", r"/2015-03-31/functions/(?P<name>[^/]+)/invocations/?", "Invoke"),
    ("GET", r"/2016-08-19/account-settings/?", "GetAccountSettings"),
    ("GET", r"/2015-03-31/functions/?", "ListFunctions"),
    ("GET", r"/2015-03-31/functions/(?P<name>[^/]+)/?", "GetFunction"),
    ("GET", r"/2015-03-31/functions/(?P<name>[^/]+)/configuration/?", "GetFunctionConfiguration"),
    ("GET", r"/2015-03-31/functions/(?P<name>[^/]+)/versions/?", "ListVersionsByFunction"),
    ("POST", r"/2015-03-31/functions/(?P<name>[^/]+)/versions/?", "PublishVersion"),
    ("GET", r"/2015-03-31/functions/(?P<name>[^/]+)/aliases/?", "ListAliases"),
    ("GET", r"/2015-03-31/functions/(?P<name>[^/]+)/aliases/(?P<alias>[^/]+)/?", "GetAlias"),
)


def _route(request: AwsRequest) -> tuple[str, str, str | None, str]:
    """(operation, name, qualifier, alias). Refusal, by name, for what the twin does not serve."""
    for method, pattern, operation in ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            groups = match.groupdict()
            if "name" not in groups:
                return operation, "", None, ""
            name, qualifier = split_name(unquote(groups["name"]), request.query.get("Qualifier"))
            return operation, name, qualifier, unquote(groups.get("alias") or "")
    known = ", ".join(operation for _, _, operation in ROUTES)
    raise Refusal("NotImplemented", f"The twin's Lambda does not serve {request.method} {request.path}: it serves {known}.", 501)


def actions(service: LambdaService, request: AwsRequest) -> list[tuple[str, str]]:
    operation, name, qualifier, _ = _route(request)
    if operation in ("ListFunctions", "GetAccountSettings"):
        return [(f"lambda:{operation}", "*")]
    arn = f"arn:aws:lambda:{request.region}:{service.twin.account}:function:{name}"
    if operation == "Invoke":
        return [("lambda:InvokeFunction", f"{arn}:{qualifier}" if qualifier else arn)]
    return [(f"lambda:{operation}", f"{arn}:{qualifier}" if qualifier and operation.startswith("GetFunction") else arn)]


async def handle(service: LambdaService, request: AwsRequest) -> AwsResponse:
    operation, name, qualifier, alias = _route(request)
    if operation == "Invoke":
        return await _invoke(service, request, name, qualifier)
    world = service.twin.world
    readers: dict[str, Callable[[], dict[str, Any]]] = {
        "GetAccountSettings": lambda: account_settings(world, service.twin.faults.quota("L-B99A9384")),
        "ListFunctions": lambda: {"Functions": [configuration(found.outputs, "$LATEST") for found in world.find(FUNCTION)]},
        "GetFunction": lambda: _function(service, name, qualifier),
        "GetFunctionConfiguration": lambda: _configuration(service, name, qualifier),
        "ListVersionsByFunction": lambda: {
            "Versions": [
                configuration(latest(world, name).outputs, "$LATEST"),
                *(configuration(found.outputs, found["version"]) for found in versions(world, name)),
            ]
        },
        "PublishVersion": lambda: _published(service, name),
        "ListAliases": lambda: {"Aliases": [_alias(found) for found in _aliases(service, name)]},
        "GetAlias": lambda: _alias(_one_alias(service, name, alias)),
    }
    return AwsResponse(headers={"content-type": "application/json"}, body=json.dumps(readers[operation]()).encode())


async def _invoke(service: LambdaService, request: AwsRequest, name: str, qualifier: str | None) -> AwsResponse:
    kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
    try:
        if kind == "Event":
            await service.invoke_async(name, qualifier, request.body)
            return AwsResponse(status=202)
        if kind == "DryRun":
            resolve(service.twin.world, name, qualifier)
            return AwsResponse(status=204)
        if kind != "RequestResponse":
            raise Refusal("InvalidParameterValueException", f"Invocation type {kind!r}: use RequestResponse, Event or DryRun.")
        answer = await service.invoke(name, qualifier, request.body)
    except Throttled as throttled:
        body = {"Reason": throttled.reason, "Type": "User", "message": throttled.message}
        headers = {"content-type": "application/json", "x-amzn-errortype": throttled.code}
        return AwsResponse(status=throttled.status, headers=headers, body=json.dumps(body).encode())
    headers = {"content-type": "application/json", "x-amz-executed-version": answer.version}
    if answer.function_error:
        headers["x-amz-function-error"] = answer.function_error
    if request.headers.get("x-amz-log-type") == "Tail":
        headers["x-amz-log-result"] = base64.b64encode(answer.log_tail.encode()[-TAIL_BYTES:]).decode()
    return AwsResponse(status=answer.status, headers=headers, body=answer.payload)


def configuration(properties: Properties, version: str) -> dict[str, Any]:
    """A function or version in the API's words."""
    found: FunctionVersion = version_of(properties, version)
    image = found.image is not None
    answer: dict[str, Any] = {
        "FunctionName": found.name,
        "FunctionArn": found.arn if version == "$LATEST" else found.qualified_arn,
        "Role": found.role,
        "CodeSize": properties.get("sourceCodeSize", 0),
        "CodeSha256": properties["codeSha256"],
        "Description": properties.get("description") or "",
        "Timeout": found.timeout_s,
        "MemorySize": found.memory_mb,
        "LastModified": properties["lastModified"],
        "Version": version,
        "PackageType": "Image" if image else "Zip",
        "Architectures": properties.get("architectures") or ["x86_64"],
        "EphemeralStorage": {"Size": found.scratch_mb},
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "JSON" if found.log_json else "Text", "LogGroup": found.log_group},
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    if found.environment:
        answer["Environment"] = {"Variables": dict(found.environment)}
    return answer if image else {**answer, "Runtime": found.runtime, "Handler": found.handler}


def _configuration(service: LambdaService, name: str, qualifier: str | None) -> dict[str, Any]:
    version = resolve(service.twin.world, name, qualifier).version
    if version == "$LATEST":
        return configuration(latest(service.twin.world, name).outputs, version)
    return next(configuration(found.outputs, version) for found in versions(service.twin.world, name) if found["version"] == version)


def _published(service: LambdaService, name: str) -> dict[str, Any]:
    published = publish(service.twin, latest(service.twin.world, name))
    return configuration(published.outputs, str(published["version"]))


def _function(service: LambdaService, name: str, qualifier: str | None) -> dict[str, Any]:
    function = latest(service.twin.world, name)
    image = function.get("packageType") == "Image"
    code = {"ImageUri": function["imageUri"], "RepositoryType": "ECR"} if image else {"RepositoryType": "S3"}
    answer: dict[str, Any] = {
        "Configuration": _configuration(service, name, qualifier),
        "Code": code,
        "Tags": dict(function.get("tagsAll") or {}),
    }
    reserved = function.get("reservedConcurrentExecutions")
    if reserved is not None and int(reserved) >= 0:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": int(reserved)}
    return answer


def _aliases(service: LambdaService, name: str) -> list[Resource]:
    latest(service.twin.world, name)
    return [found for found in service.twin.world.find(ALIAS) if split_name(found["functionName"])[0] == name]


def _one_alias(service: LambdaService, name: str, alias: str) -> Resource:
    for found in _aliases(service, name):
        if found["name"] == alias:
            return found
    raise Refusal("ResourceNotFoundException", f"Cannot find alias arn: {latest(service.twin.world, name)['arn']}:{alias}", 404)


def _alias(alias: Resource) -> dict[str, Any]:
    return {
        "AliasArn": alias["arn"],
        "Name": alias["name"],
        "FunctionVersion": alias["functionVersion"],
        "Description": alias.get("description") or "",
        "RevisionId": alias["functionVersion"],
    }

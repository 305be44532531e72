"""The SageMaker API that clients use here: InvokeEndpoint, and looking at what is deployed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.aws.sagemaker_deployment import CONFIG, ENDPOINT, MODEL, container_of, saved
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.sagemaker import SageMakerService

_INVOKE = re.compile(r"/endpoints/(?P<name>[^/]+)/invocations/?")
# Operation -> (field of the request that names the resource, kind in its ARN, resource type).
_DESCRIBE = {
    "DescribeEndpoint": ("EndpointName", "endpoint", ENDPOINT),
    "DescribeEndpointConfig": ("EndpointConfigName", "endpoint-config", CONFIG),
    "DescribeModel": ("ModelName", "model", MODEL),
}


def _operation(request: AwsRequest) -> tuple[str, str]:
    """(operation, name of the resource). Refusal, by name, for what the twin does not serve."""
    if (match := _INVOKE.fullmatch(request.path)) and request.method == "POST":
        return "InvokeEndpoint", unquote(match["name"])
    operation = request.headers.get("x-amz-target", "").removeprefix("SageMaker.")
    if operation == "ListEndpoints":
        return operation, ""
    if operation in _DESCRIBE:
        return operation, str(body_of(request).get(_DESCRIBE[operation][0], ""))
    known = ", ".join(["InvokeEndpoint", *_DESCRIBE, "ListEndpoints", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"])
    what = operation or f"{request.method} {request.path}"
    raise Refusal("NotImplemented", f"The twin's SageMaker does not serve {what}: it serves {known}.", 501)


def body_of(request: AwsRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal("SerializationException", "The request's body is no JSON object.")
    return body


def arn_of(service: SageMakerService, request: AwsRequest, kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{request.region}:{service.twin.account}:{kind}/{name.lower()}"


def actions(service: SageMakerService, request: AwsRequest) -> list[tuple[str, str]]:
    operation, name = _operation(request)
    if operation == "ListEndpoints":
        return [("sagemaker:ListEndpoints", "*")]
    kind = "endpoint" if operation == "InvokeEndpoint" else _DESCRIBE[operation][1]
    return [(f"sagemaker:{operation}", arn_of(service, request, kind, name))]


async def handle(service: SageMakerService, request: AwsRequest) -> AwsResponse:
    operation, name = _operation(request)
    if operation == "InvokeEndpoint":
        return await service.invoke_endpoint(name, request.body, request.headers)
    if operation == "ListEndpoints":
        answer: dict[str, Any] = {"Endpoints": [_listed(service, found) for found in service.twin.world.find(ENDPOINT)]}
    else:
        _, kind, token = _DESCRIBE[operation]
        found = service.twin.world.one(token, name=name)
        if found is None:
            raise Refusal("ValidationException", f'Could not find {kind.replace("-", " ")} "{arn_of(service, request, kind, name)}".')
        answer = {"DescribeEndpoint": _endpoint, "DescribeEndpointConfig": _config, "DescribeModel": _model}[operation](service, found)
    return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=json.dumps(answer).encode())


def _status(service: SageMakerService, name: str) -> str:
    return "Updating" if name in service.updating else "InService"


def _listed(service: SageMakerService, endpoint: Resource) -> dict[str, Any]:
    served = saved(service.twin.world, endpoint["name"])
    answer = {"EndpointName": endpoint["name"], "EndpointArn": endpoint["arn"], "EndpointStatus": _status(service, endpoint["name"])}
    return {**answer, "LastModifiedTime": served.deployed_at} if served else answer


def _endpoint(service: SageMakerService, endpoint: Resource) -> dict[str, Any]:
    answer = {**_listed(service, endpoint), "EndpointConfigName": endpoint["endpointConfigName"]}
    if endpoint["name"] in service.failures:
        answer["FailureReason"] = service.failures[endpoint["name"]]
    served = saved(service.twin.world, endpoint["name"])
    if served is not None:
        serverless = _serverless(served.memory_mb, served.max_concurrency, served.provisioned)
        answer["EndpointConfigName"] = served.config
        answer["ProductionVariants"] = [{"VariantName": served.variant, "CurrentWeight": 1.0, "CurrentServerlessConfig": serverless}]
    return answer


def _serverless(memory_mb: int, max_concurrency: int, provisioned: int | None) -> dict[str, int]:
    answer = {"MemorySizeInMB": int(memory_mb), "MaxConcurrency": int(max_concurrency)}
    return {**answer, "ProvisionedConcurrency": int(provisioned)} if provisioned else answer


def _config(service: SageMakerService, config: Resource) -> dict[str, Any]:
    variants = [
        {
            "VariantName": variant.get("variantName") or "AllTraffic",
            "ModelName": variant["modelName"],
            "ServerlessConfig": _serverless(
                variant["serverlessConfig"]["memorySizeInMb"],
                variant["serverlessConfig"]["maxConcurrency"],
                variant["serverlessConfig"].get("provisionedConcurrency"),
            ),
        }
        for variant in config["productionVariants"]
    ]
    return {
        "EndpointConfigName": config["name"],
        "EndpointConfigArn": config["arn"],
        "ProductionVariants": variants,
    }


def _model(service: SageMakerService, model: Resource) -> dict[str, Any]:
    container = container_of(model.outputs)
    primary = {
        "Image": container["image"],
        "ModelDataUrl": container.get("modelDataUrl"),
        "Environment": container.get("environment") or {},
    }
    return {
        "ModelName": model["name"],
        "ModelArn": model["arn"],
        "PrimaryContainer": {key: value for key, value in primary.items() if value is not None},
        "ExecutionRoleArn": model["executionRoleArn"],
    }

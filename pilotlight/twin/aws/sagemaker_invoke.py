"""InvokeEndpoint: from the request's headers to the container and back, with SageMaker's limits and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx

from components import limits
from pilotlight.twin.rows import AwsResponse, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.aws.sagemaker_deployment import Deployment
    from pilotlight.twin.aws.sagemaker_instance import Instance
    from pilotlight.twin.twin import Twin

MAX_BYTES = limits.SAGEMAKER_PAYLOAD_BYTES.high
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
# SageMaker API reference, InvokeEndpoint: at most 1024 characters.
MAX_ATTRIBUTES = 1024
NO_ANSWER = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each container in "
    "Amazon CloudWatch, resolve the issue, and try again."
)


def judge_request(body: bytes, headers: Mapping[str, str]) -> None:
    """Refusal for what SageMaker does not hand to the container."""
    if len(body) > MAX_BYTES:
        raise Refusal("ValidationError", f"The request body has {len(body)} bytes and a serverless endpoint takes {MAX_BYTES}.", 413)
    if len(headers.get(ATTRIBUTES, "")) > MAX_ATTRIBUTES:
        raise Refusal("ValidationError", f"CustomAttributes must have at most {MAX_ATTRIBUTES} characters.")


def container_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What the container sees of the request."""
    passed = {"content-type": headers.get("content-type", "application/octet-stream"), "accept": headers.get("accept", "*/*")}
    for name in (ATTRIBUTES, "x-amzn-sagemaker-inference-id", "x-amzn-trace-id"):
        if name in headers:
            passed[name] = headers[name]
    return passed


async def ask(twin: Twin, instance: Instance, body: bytes, headers: Mapping[str, str]) -> AwsResponse:
    """The answer of the container, or ModelError 424 with what it said."""
    deployment = instance.deployment
    if (wrong := twin.faults.execution("sagemaker")) is not None:
        return await _wrong(twin, deployment, wrong[0])
    try:
        response = await instance.invoke(body, container_headers(headers), limits.SAGEMAKER_INVOCATION_S.high)
    except httpx.TimeoutException:
        instance.condemn()
        return model_error(twin, deployment, 0, NO_ANSWER)
    except httpx.HTTPError as error:
        instance.condemn()
        said = (
            f"the container used more than its {deployment.memory_mb} MB of memory" if instance.out_of_memory else f"no answer: {error!r}"
        )
        return model_error(twin, deployment, 500, said)
    except BaseException:
        instance.condemn()
        raise
    if response.status_code >= 400:
        return model_error(twin, deployment, response.status_code, response.text)
    if len(response.content) > MAX_BYTES:
        text = f"The response body has {len(response.content)} bytes and a serverless endpoint passes {MAX_BYTES}."
        return model_error(twin, deployment, 500, text)
    answer = {
        "content-type": response.headers.get("content-type", "application/octet-stream"),
        "x-amzn-invoked-production-variant": deployment.variant,
    }
    if ATTRIBUTES in response.headers:
        answer[ATTRIBUTES] = response.headers[ATTRIBUTES]
    return AwsResponse(headers=answer, body=response.content)


async def _wrong(twin: Twin, deployment: Deployment, kind: str) -> AwsResponse:
    """What a test asked for in place of an answer: an error of the container, or none for as long as the test says."""
    if kind == "error":
        return model_error(twin, deployment, 500, "a test asked for this error")
    await asyncio.sleep(twin.faults.hold_s)
    return model_error(twin, deployment, 0, NO_ANSWER)


def container_status(answer: AwsResponse) -> int:
    """The status of the container behind an answer of InvokeEndpoint; 0 where it gave none."""
    return 200 if answer.status == 200 else int(json.loads(answer.body)["OriginalStatusCode"])


def model_error(twin: Twin, deployment: Deployment, status: int, said: str) -> AwsResponse:
    """424 as the API's clients know it; `status` is the container's, 0 where it gave none."""
    side = "client" if 400 <= status < 500 else "server"
    group = f"arn:aws:logs:{deployment.region}:{twin.account}:log-group:{deployment.log_group}"
    where = f"See {deployment.log_group} in account {twin.account} for more information."
    message = f'Received {side} error ({status}) from primary with message "{said}". {where}'
    body = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
        "LogStreamArn": group,
        "Message": message,
        "OriginalMessage": said,
        "OriginalStatusCode": status,
    }
    return AwsResponse(
        status=424, headers={"content-type": "application/json", "x-amzn-errortype": "ModelError"}, body=json.dumps(body).encode()
    )

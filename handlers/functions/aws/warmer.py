"""Keeps instances of the model warm: pings them side by side, never through the gateway.

handlers.functions.aws.warmer.handler     # the Lambda handler, called by a schedule with {"parallel": 2}
"""

import functools
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from handlers.functions import logs, pings
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.pings import Ping
from handlers.functions.warming import MOST_PARALLEL, Send, Warmer, WarmingFailed, parallel_of

# SageMaker's own end of a call to a container (quotas page, read 2026-11), and some seconds for the way there.
READ_TIMEOUT_S = 70
CONNECT_TIMEOUT_S = 3


def to_endpoint(name: str, client: Any) -> Send:
    """Pings of a SageMaker endpoint."""
    body = json.dumps(pings.REQUEST).encode()

    def send(ping: Ping) -> bytes:
        answer = client.invoke_endpoint(EndpointName=name, Body=body, ContentType="application/json", CustomAttributes=ping.attributes)
        said: bytes = answer["Body"].read()
        return said

    return send


def to_function(arn: str, client: Any) -> Send:
    """Pings of a Lambda function's alias."""

    def send(ping: Ping) -> bytes:
        answer = client.invoke(FunctionName=arn, Payload=json.dumps(ping.event).encode())
        said: bytes = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise WarmingFailed(f"{answer['FunctionError']}: {said[:300].decode(errors='replace')}")
        return said

    return send


@functools.cache
def _warmer() -> Warmer:
    """Settings and client, once per process. Raises SettingsError."""
    import boto3  # here, so that tests of everything else need no region
    from botocore.config import Config

    environment = Environment(os.environ)
    function = environment.text("MODEL_FUNCTION")
    endpoint = (
        "" if function else environment.required("ENDPOINT_NAME", "the SageMaker endpoint to ping, or MODEL_FUNCTION to an alias' ARN")
    )
    environment.check()
    # A ping is never repeated: the next one is due soon, and one that was answered late has done its work.
    retries: Any = {"total_max_attempts": 1, "mode": "standard"}
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=MOST_PARALLEL,
        retries=retries,
        tcp_keepalive=True,
    )
    service = environment.text("SERVICE")
    if function:
        return Warmer(to_function(function, boto3.client("lambda", config=config)), service)
    return Warmer(to_endpoint(endpoint, boto3.client("sagemaker-runtime", config=config)), service)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """One firing of the schedule."""
    batch_id = logs.request_id({}, context.aws_request_id or str(uuid.uuid4()))
    return _warmer().warm(parallel_of(event), batch_id=batch_id, seconds=seconds_left(context))


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _warmer()

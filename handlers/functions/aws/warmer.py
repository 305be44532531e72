"""Keeps instances of the model warm: pings them side by side, never through the gateway.

handlers.functions.aws.warmer.handler     # the Lambda handler, called by a schedule with {"parallel": 2}
"""

import functools
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from handlers.functions import logs, metrics, pings
from handlers.functions.deadline import LambdaContext, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.pings import LEAST_HOLD_S, Ping

# SageMaker's own end of a call to a container (quotas page, read 2026-11), and some seconds for the way there.
READ_TIMEOUT_S = 70
CONNECT_TIMEOUT_S = 3
MOST_PARALLEL = 200

Send = Callable[[Ping], bytes]


class WarmingFailed(Exception):
    """No ping was answered: the schedule's dead letters are to tell."""


class Warmer:
    """Sends pings with `send`, which raises or gives the model server's answer."""

    def __init__(self, send: Send, service: str | None = None) -> None:
        self._send = send
        self._service = service

    def warm(self, parallel: int, *, batch_id: str, seconds: float) -> dict[str, int]:
        """How many pings were answered within `seconds`, by how many instances, and how many of those were cold.

        Raises WarmingFailed when none was answered.
        """
        # The more pings, the longer each one keeps its instance, since they are not all sent in the same moment: a connection
        # takes its time where a function has a small share of a core.
        hold_s = LEAST_HOLD_S * parallel
        pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="ping")
        sent = [pool.submit(self._ping, Ping(f"{batch_id}-{number}", hold_s)) for number in range(parallel)]
        done, _ = wait(sent, timeout=max(0.0, seconds))
        pool.shutdown(wait=False, cancel_futures=True)
        answers = [answer for answer in map(_answer, done) if answer is not None]
        cold = sum(bool(answer["cold"]) for answer in answers)
        told = {"pings": parallel, "answered": len(answers), "cold": cold, "instances": len({answer["instance"] for answer in answers})}
        enough = told["instances"] == parallel
        logs.write("warmed", level="INFO" if enough else "WARNING", request_id=batch_id, late=parallel - len(done), **told)
        counts = {"Pings": parallel, "PingsCold": cold, "PingsFailed": parallel - len(answers)}
        metrics.count(self._service, counts, request_id=batch_id)
        if not answers:
            raise WarmingFailed(f"None of {parallel} pings was answered within {seconds:.0f} s; the log says why.")
        return told

    def _ping(self, ping: Ping) -> dict[str, Any] | None:
        started = time.monotonic()
        try:
            answer = json.loads(self._send(ping)).get("ping")
            if not isinstance(answer, dict) or not {"cold", "instance"} <= answer.keys():
                raise WarmingFailed("The answer is none to a ping.")
        except Exception as error:  # noqa: BLE001  (one ping's failure is counted, the others go on)
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            name, said = type(error).__name__, str(error)[:500]
            logs.write("ping_failed", level="WARNING", request_id=ping.request_id, ms=milliseconds, error=name, message=said)
            return None
        return answer


def _answer(ping: Future[dict[str, Any] | None]) -> dict[str, Any] | None:
    return ping.result()


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


def parallel_of(event: Mapping[str, Any]) -> int:
    """How many pings a schedule asks for. Raises ValueError."""
    value = event.get("parallel", 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_PARALLEL:
        raise ValueError(f"parallel is {value!r}: use a whole number from 1 to {MOST_PARALLEL}.")
    return value


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

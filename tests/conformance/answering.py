"""A deployed API whose answers may come later, with two callers, and faults that meet one call of its endpoint."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conformance.observed import Observed, observed_of
from tests.support.clients import client
from tests.support.deployment import Deployment

STACK = "aws-sagemaker-api"
OTHER_KEY = """\
    other = aws.apigateway.ApiKey(f"{name}-other-key", opts=child)
    aws.apigateway.UsagePlanKey(f"{name}-other-plan-key", key_id=other.id, key_type="API_KEY", usage_plan_id=plan.id, opts=child)
\\g<0>"""
# From a cold start to the answer, on a machine that is busy with other tests.
ANSWER_S = 90


@dataclass(frozen=True, kw_only=True)
class Answering:
    """The stack, up; `key` and `other` belong to two callers."""

    deployment: Deployment
    outputs: dict[str, Any]
    observed: Observed
    key: str
    other: str
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def post(self, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """One call; header names as arguments, `idempotency_key`, say."""
        given = {name.replace("_", "-"): value for name, value in headers.items()} | {"x-api-key": key or self.key}
        return httpx.post(self.outputs["url"], json=body, headers=given, timeout=60)

    def later(self, body: Any, **headers: str) -> "Future[httpx.Response]":
        """The same in a thread."""
        return self._threads.submit(self.post, body, **headers)

    def get(self, url: str, key: str | None = None) -> httpx.Response:
        return httpx.get(url, headers={"x-api-key": key or self.key}, timeout=60)

    def answer(self, url: str) -> httpx.Response:
        """What is at the address of an answer once it is no longer 202."""
        deadline = time.monotonic() + ANSWER_S
        while (found := self.get(url)).status_code == 202:
            assert time.monotonic() < deadline, f"still pending after {ANSWER_S} s: {found.text}"
            time.sleep(0.1)
        return found

    def aged(self, url: str, seconds: float) -> None:
        """What is at this address was handed over so much earlier: functions have the machine's clock, not the twin's."""
        client(self.deployment.variables(), "dynamodb").update_item(
            TableName=self.outputs["answersTable"],
            Key={"id": {"S": url.rpartition("/")[2]}},
            UpdateExpression="SET #at = #at - :seconds",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":seconds": {"N": str(seconds)}},
        )

    def faulty(self, **executions: Any) -> None:
        self.deployment.twin("faults", {"executions": executions})

    @contextmanager
    def one_call_held(self, seconds: float) -> Iterator[None]:
        """The next call of the endpoint gets no answer for so long; the block ends when it has arrived there."""
        self.faulty(sagemaker={"timeout": 1}, hold_s=seconds, times=1)
        yield
        deadline = time.monotonic() + ANSWER_S
        while self.deployment.twin("faults")["executions"]["times"]:
            assert time.monotonic() < deadline, f"no call has reached the endpoint within {ANSWER_S} s"
            time.sleep(0.05)


def assert_accepted(answer: httpx.Response) -> str:
    """202 as it is documented; gives the address of the answer."""
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert set(said) == {"id", "status", "result"}
    assert (said["status"], said["result"]) == ("pending", answer.headers["location"])
    assert int(answer.headers["retry-after"]) >= 1
    assert said["result"].endswith(f"/results/{said['id']}")
    return str(said["result"])


def brought_up(deployment: Deployment) -> Answering:
    """The ready stack with a second key in its plan, as somebody would add one who has forked it."""
    deployment.edit("components/aws/gateway_access.py", r"^    return pulumi\.Output\.secret\(key\.value\)$", OTHER_KEY)
    assert deployment.up(STACK)["result"] == "succeeded"
    outputs = deployment.outputs(STACK)
    exported = json.loads(deployment.pulumi("stack", "export", "-s", STACK, "--show-secrets"))
    [other] = [each for each in exported["deployment"]["resources"] if each["urn"].endswith("-other-key")]
    return Answering(
        deployment=deployment, outputs=outputs, observed=observed_of(deployment, outputs), key=outputs["apiKey"], other=_plain(other)
    )


def _plain(key: Mapping[str, Any]) -> str:
    """The value of a key in a state that was exported with its secrets."""
    value = key["outputs"]["value"]
    return str(json.loads(value["plaintext"]) if isinstance(value, Mapping) else value)

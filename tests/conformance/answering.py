"""A deployed API whose answers may come later, with two callers, and faults that meet calls of its endpoint. Each cloud has its half."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import httpx

from tests.conformance.observed import Observed, observed_of
from tests.support.clients import client
from tests.support.deployment import Deployment

STACK = "aws-sagemaker-api"
OTHER_KEY = """\
    other = aws.apigateway.ApiKey(f"{name}-other-key", opts=child)
    aws.apigateway.UsagePlanKey(f"{name}-other-plan-key", key_id=other.id, key_type="API_KEY", usage_plan_id=plan.id, opts=child)
\\g<0>"""
OTHER_GOOGLE_KEY = """\
        targets = [gcp.projects.ApiKeyRestrictionsApiTargetArgs(service=managed.service)]
        allowed = gcp.projects.ApiKeyRestrictionsArgs(api_targets=targets)
        gcp.projects.ApiKey(f"{self._name}-other-key", restrictions=allowed, deletion_policy="FORCE", opts=self._options([managed]))
\\g<0>"""
# From a cold start to the answer, on a machine that is busy with other tests.
ANSWER_S = 90


@dataclass(frozen=True, kw_only=True)
class Answering(ABC):
    """The stack, up; `key` and `other` belong to two callers."""

    # What a wrong key is answered, a call that the endpoint held too long for, and an answer whose every attempt met its errors.
    wrong_key: ClassVar[int]
    held: ClassVar[int]
    failed: ClassVar[int]
    # Where the model server's lines are, and how its worker's processes are called.
    model_lines: ClassVar[str]
    worker: ClassVar[str]

    stack: str
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

    @classmethod
    def _up(cls, deployment: Deployment, stack: str, value: str) -> Self:
        """`value` is the output of a key that holds it."""
        assert deployment.up(stack)["result"] == "succeeded"
        outputs = deployment.outputs(stack)
        exported = json.loads(deployment.pulumi("stack", "export", "-s", stack, "--show-secrets"))
        [other] = [each for each in exported["deployment"]["resources"] if each["urn"].endswith("-other-key")]
        observed, plain = observed_of(deployment, outputs), _plain(other["outputs"][value])
        return cls(stack=stack, deployment=deployment, outputs=outputs, observed=observed, key=outputs["apiKey"], other=plain)

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """What executions of the endpoint are named in faults."""

    def faulty(self, share: Mapping[str, float] | None = None, **bounds: float) -> None:
        """What goes wrong at the endpoint from now on; nothing without any."""
        self.deployment.twin("faults", {"executions": {self.endpoint: share, **bounds} if share else None})

    @contextmanager
    def one_call_held(self, seconds: float) -> Iterator[None]:
        """The next call of the endpoint gets no answer for so long; the block ends when it has arrived there."""
        self.faulty({"timeout": 1}, hold_s=seconds, times=1)
        yield
        deadline = time.monotonic() + ANSWER_S
        while self.deployment.twin("faults")["executions"]["times"]:
            assert time.monotonic() < deadline, f"no call has reached the endpoint within {ANSWER_S} s"
            time.sleep(0.05)


class AwsAnswering(Answering):
    wrong_key, held, failed = 403, 502, 502
    model_lines, worker = "Endpoints", "-answers"
    endpoint = "sagemaker"

    @classmethod
    def up(cls, deployment: Deployment) -> Self:
        """The ready stack with a second key in its plan, as somebody would add one who has forked it."""
        deployment.edit("components/aws/gateway_access.py", r"^    return pulumi\.Output\.secret\(key\.value\)$", OTHER_KEY)
        return cls._up(deployment, STACK, "value")

    def aged(self, url: str, seconds: float) -> None:
        """What is at this address was handed over so much earlier: functions have the machine's clock, not the twin's."""
        client(self.deployment.variables(), "dynamodb").update_item(
            TableName=self.outputs["answersTable"],
            Key={"id": {"S": url.rpartition("/")[2]}},
            UpdateExpression="SET #at = #at - :seconds",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":seconds": {"N": str(seconds)}},
        )


class GoogleAnswering(Answering):
    """A held call ends as late (504), so that the work is handed over."""

    wrong_key, held, failed = 400, 202, 503
    model_lines, worker = "endpointName", "-worker"

    @property
    def endpoint(self) -> str:
        return f"run:{self.outputs['endpointName']}"

    @classmethod
    def up(cls, deployment: Deployment, stack: str) -> Self:
        """The same with a second key for its gateway, and with answers where the ready stack has none."""
        deployment.edit("components/gcp/gateway.py", r"^        return pulumi\.Output\.secret\(key\.key_string\)$", OTHER_GOOGLE_KEY)
        deployment.configure(stack, {"answers": {"async": True}})
        return cls._up(deployment, stack, "keyString")


def assert_accepted(answer: httpx.Response) -> str:
    """202 as it is documented; gives the address of the answer."""
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert set(said) == {"id", "status", "result"}
    assert said["status"] == "pending"
    assert int(answer.headers["retry-after"]) >= 1
    assert said["result"].endswith(f"/results/{said['id']}")
    # A gateway that is called below a path (Google's, on the twin) puts it before its own addresses, in headers only.
    assert answer.headers["location"].endswith(said["result"])
    return str(answer.url.join(answer.headers["location"]))


def _plain(value: Any) -> str:
    """A value of a state that was exported with its secrets."""
    return str(json.loads(value["plaintext"]) if isinstance(value, Mapping) else value)

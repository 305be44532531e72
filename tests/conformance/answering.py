"""A deployed API whose answers may come later, with two callers, and faults that meet calls of its endpoint. Each cloud has its half."""

import functools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import httpx

from handlers.functions import attempts
from handlers.functions.azure.consuming import LONGEST_PAUSE_S
from tests.conformance.observed import Observed, observed_of
from tests.conformance.stacks import STACKS
from tests.support.clients import client
from tests.support.deployment import TRUSTED, Deployment, address_of
from tests.support.vectors import TEXTS

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
OTHER_AZURE_KEY = """\
        azure.apimanagement.Subscription(
            f"{self._name}-other-key",
            sid="other",
            display_name="other",
            scope=product.id,
            state=azure.apimanagement.SubscriptionState.ACTIVE,
            primary_key="another-callers-key",
            opts=self._inside(limited, holds, policy),
            **self._place(),
        )
\\g<0>"""
ENGLISH = {"inputs": TEXTS["english"]["text"]}
CHINESE = {"inputs": TEXTS["chinese"]["text"]}
# On AWS the function waits 27 s less 2 s for handing over.
WAIT_S = 25
# Beyond every pause between attempts.
ATTEMPTS_S = 7200
# From a cold start to the answer, on a machine that is busy with other tests.
ANSWER_S = 90


@dataclass(frozen=True, kw_only=True)
class Answering(ABC):
    """The stack, up; `key` and `other` belong to two callers."""

    # What a wrong key is answered, a call that the endpoint held too long for, and an answer whose every attempt met its errors.
    wrong_key: ClassVar[int]
    held: ClassVar[int]
    failed: ClassVar[int]
    # Where the lines of the function and of the model server are, and how its worker's lines and processes are called.
    function_lines: ClassVar[str]
    model_lines: ClassVar[str]
    worker: ClassVar[str]
    # The file that gets the second key.
    source: ClassVar[str]
    # What outages of the places are called without which a request can't be kept.
    stores: ClassVar[tuple[str, ...]]

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
        return httpx.post(self.outputs["url"], json=body, headers=given, timeout=60, verify=TRUSTED)

    def later(self, body: Any, **headers: str) -> "Future[httpx.Response]":
        """The same in a thread."""
        return self._threads.submit(self.post, body, **headers)

    def get(self, url: str, key: str | None = None) -> httpx.Response:
        return httpx.get(url, headers={"x-api-key": key or self.key}, timeout=60, verify=TRUSTED)

    def answer(self, url: str) -> httpx.Response:
        """What is at the address of an answer once it is no longer 202."""
        deadline = time.monotonic() + ANSWER_S
        while (found := self.get(url)).status_code == 202:
            assert time.monotonic() < deadline, f"still pending after {ANSWER_S} s: {found.text}"
            time.sleep(0.1)
        return found

    def given_up(self, url: str) -> httpx.Response:
        """What is at this address once every attempt has failed."""
        self.deployment.twin("clock", {"advance_s": ATTEMPTS_S})
        return self.answer(url)

    @classmethod
    def _up(cls, deployment: Deployment, stack: str, value: str) -> Self:
        """`value` is the output of a key that holds it, or the input where none does."""
        assert deployment.up(stack)["result"] == "succeeded"
        outputs = deployment.outputs(stack)
        exported = json.loads(deployment.pulumi("stack", "export", "-s", stack, "--show-secrets"))
        [other] = [each for each in exported["deployment"]["resources"] if each["urn"].endswith("-other-key")]
        observed, plain = observed_of(deployment, outputs), _plain({**other["inputs"], **other["outputs"]}[value])
        return cls(stack=stack, deployment=deployment, outputs=outputs, observed=observed, key=outputs["apiKey"], other=plain)

    @classmethod
    @abstractmethod
    def up(cls, deployment: Deployment, stack: str) -> Self:
        """The ready stack with a second key, as somebody would add one who has forked it."""

    @abstractmethod
    def begin(self) -> None:
        """Before the first test."""

    @abstractmethod
    def settled(self) -> None:
        """Returns when nothing of `begin` is under way."""

    @abstractmethod
    def assert_known_at_the_gateway(self, answer: httpx.Response, request_id: str) -> None:
        """What the gateway itself tells of an answer whose id there this is."""

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
    function_lines, model_lines, worker = "-predict", "Endpoints", "-answers"
    source, stores = "components/aws/gateway_access.py", ("s3", "dynamodb", "sqs")
    endpoint = "sagemaker"

    @classmethod
    def up(cls, deployment: Deployment, stack: str) -> Self:
        deployment.edit(cls.source, r"^    return pulumi\.Output\.secret\(key\.value\)$", OTHER_KEY)
        return cls._up(deployment, stack, "value")

    @functools.cached_property
    def slow(self) -> "Future[httpx.Response]":
        """The first call after a rest: endpoint and function start for it, and its prediction takes longer than anybody waits. It is under
        way when the block of its fault ends, and tests go on meanwhile."""
        with self.one_call_held(WAIT_S + 20):
            call = self.later(ENGLISH)
        return call

    def begin(self) -> None:
        assert self.slow

    def settled(self) -> None:
        self.answer(assert_accepted(self.slow.result()))

    def assert_known_at_the_gateway(self, answer: httpx.Response, request_id: str) -> None:
        assert answer.headers["x-amzn-requestid"] == request_id
        assert self.observed.line("apigateway", requestId=request_id)["status"] == str(answer.status_code)

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
    function_lines, model_lines, worker = "functionName", "endpointName", "-worker"
    source, stores = "components/gcp/gateway.py", ("storage",)

    @property
    def endpoint(self) -> str:
        return f"run:{self.outputs['endpointName']}"

    @classmethod
    def up(cls, deployment: Deployment, stack: str) -> Self:
        """With answers where the ready stack has none."""
        deployment.edit(cls.source, r"^        return pulumi\.Output\.secret\(key\.key_string\)$", OTHER_GOOGLE_KEY)
        deployment.configure(stack, {"answers": {"async": True}})
        return cls._up(deployment, stack, "keyString")

    def begin(self) -> None:
        """Nothing is begun."""

    def settled(self) -> None:
        """Nothing is under way."""

    def assert_known_at_the_gateway(self, answer: httpx.Response, request_id: str) -> None:
        """It writes no line of its own into the project's log."""


class AzureAnswering(Answering):
    """A held call ends as late (504), so that the work is handed over."""

    wrong_key, held, failed = 401, 202, 503
    function_lines, model_lines, worker = "functionName", "endpointName", "-worker"
    source, stores = "components/azure/gateway.py", ("blob",)

    @property
    def endpoint(self) -> str:
        return f"app:{self.outputs['endpointName']}"

    @classmethod
    def up(cls, deployment: Deployment, stack: str) -> Self:
        """With answers where the ready stack has none."""
        deployment.edit(cls.source, r"^        secrets = azure\.apimanagement\.list_subscription_secrets_output\($", OTHER_AZURE_KEY)
        deployment.configure(stack, {"answers": {"async": True}})
        return cls._up(deployment, stack, "primaryKey")

    def begin(self) -> None:
        """Nothing is begun."""

    def settled(self) -> None:
        """Nothing is under way."""

    def given_up(self, url: str) -> httpx.Response:
        """The worker asks its queue in the machine's own time, so that one step of the twin's brings one attempt."""
        deadline = time.monotonic() + ANSWER_S
        while (found := self.get(url)).status_code == 202:
            assert time.monotonic() < deadline, f"still tried after {ANSWER_S} s"
            self.deployment.twin("clock", {"advance_s": attempts.LONGEST_PAUSE_S})
            time.sleep(LONGEST_PAUSE_S + 1)
        return found

    def assert_known_at_the_gateway(self, answer: httpx.Response, request_id: str) -> None:
        """It writes no line of its own into the stack's log."""


ANSWERING: Mapping[str, type[Answering]] = {"aws": AwsAnswering, "azure": AzureAnswering, "gcp": GoogleAnswering}
# Those that have answers in their ready file first.
ANSWERED = sorted(
    (ready for ready in STACKS if ready.pattern == "api" and ready.has("answers") and ready.has("answers.async")),
    key=lambda ready: "answers" not in ready.service,
)


def outputs_of(answer: httpx.Response) -> object:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["outputs"]


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
    return address_of(answer)


def _plain(value: Any) -> str:
    """A value of a state that was exported with its secrets."""
    return str(json.loads(value["plaintext"]) if isinstance(value, Mapping) else value)

"""The call of a SageMaker endpoint within a deadline, and what each of its failures means for the client."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from handlers.functions import logs
from handlers.functions.events_http import MAX_ANSWER_BYTES
from handlers.functions.problems import (
    AnswerTooLarge,
    BodyTooLarge,
    DeadlineExceeded,
    InputRefused,
    MalformedBody,
    MediaTypeUnsupported,
    ModelFailed,
    NotReady,
    Overloaded,
    RequestProblem,
    Throttled,
)
from handlers.functions.requests import PredictionRequest

MAX_ATTEMPTS = 3
FIRST_PAUSE_S = 0.2
CONNECT_TIMEOUT_S = 3
RETRY_AFTER_S = 2
_THROTTLED = {"ThrottlingException", "TooManyRequestsException", "ThrottledException"}
_COLD_START = "cold-start="
_OUTPUTS = b'{"outputs":'
# A model server's own answers that are the client's business; any other means that the model failed.
_HANDED_ON: dict[int, type[RequestProblem]] = {
    400: MalformedBody,
    413: BodyTooLarge,
    415: MediaTypeUnsupported,
    422: InputRefused,
    503: Overloaded,
    504: DeadlineExceeded,
}


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """`body` as the endpoint sent it; `cold_start` holds its stages in milliseconds, empty for a warm answer."""

    body: bytes
    cold_start: dict[str, float]

    def text(self) -> str:
        """The body, checked by its shape: parsing megabytes of numbers again would cost more than it finds.

        Raises ModelFailed where it is no answer, AnswerTooLarge where a function can't send it.
        """
        if not self.body.startswith(_OUTPUTS) or not self.body.endswith(b"}"):
            raise ModelFailed("The model's answer has no 'outputs'.")
        if len(self.body) > MAX_ANSWER_BYTES:
            raise AnswerTooLarge(f"The answer has {len(self.body)} bytes, {MAX_ANSWER_BYTES} can be sent: send fewer or shorter texts.")
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise ModelFailed("The model's answer is not UTF-8.") from error


class _Dropped(NotReady):
    """The connection ended under the call: the service may have closed it while the process was frozen between two requests."""


class RuntimeClient(Protocol):
    """The one operation of boto3's `sagemaker-runtime` client that is used."""

    def invoke_endpoint(self, **arguments: Any) -> Any: ...


def make_client(timeout_s: float) -> RuntimeClient:
    """The one client of the process. It never retries by itself: the deadline decides that, in Endpoint.invoke."""
    import boto3  # here, so that tests of everything else need no region
    from botocore.config import Config

    retries: Any = {"total_max_attempts": 1, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=timeout_s, retries=retries, tcp_keepalive=True)
    client: RuntimeClient = boto3.client("sagemaker-runtime", config=config)
    return client


class Endpoint:
    """A SageMaker endpoint that is called by its name, without a socket's patience deciding how long a call may take."""

    def __init__(self, name: str, client: RuntimeClient) -> None:
        self._name = name
        self._client = client
        # A call that outlives its deadline stays in a thread until the client's read timeout ends it.
        self._calls = ThreadPoolExecutor(max_workers=4, thread_name_prefix="endpoint-call")

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        """The endpoint's answer within `budget_s` seconds.

        A call that was throttled or lost its connection is tried again while the budget lasts. Raises the RequestProblem that tells
        the client what happened; what is internal goes to the log only.
        """
        until = time.monotonic() + budget_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._once(body, request_id, until - time.monotonic())
            except (Throttled, _Dropped):
                # Full jitter, so that callers who were throttled together do not come back together.
                pause = random.uniform(0, FIRST_PAUSE_S * 2**attempt)  # noqa: S311
                if attempt == MAX_ATTEMPTS or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
        raise AssertionError("the last attempt answers or raises")

    def _once(self, body: bytes, request_id: str, budget_s: float) -> EndpointAnswer:
        if budget_s <= 0:
            raise DeadlineExceeded("No time was left to call the model.")
        call = self._calls.submit(self._call, body, request_id)
        try:
            return call.result(timeout=budget_s)
        except FutureTimeout as error:
            call.cancel()
            raise DeadlineExceeded(f"The model did not answer within {budget_s:.1f} s.") from error
        except ClientError as error:
            logs.write("endpoint_error", level="WARNING", request_id=request_id, endpoint=self._name, **_details(error))
            raise _problem(error) from error
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise DeadlineExceeded("The model did not answer in time.") from error
        except EndpointConnectionError as error:
            raise NotReady("The model can't be reached.", retry_after_s=RETRY_AFTER_S) from error
        except (ConnectionClosedError, ResponseStreamingError) as error:
            logs.write("endpoint_dropped", level="WARNING", request_id=request_id, endpoint=self._name, error=type(error).__name__)
            raise _Dropped("The connection to the model was lost.", retry_after_s=RETRY_AFTER_S) from error
        except BotoCoreError as error:
            logs.write_fault("endpoint_call_failed", error, request_id=request_id, endpoint=self._name)
            raise ModelFailed("The call of the model failed.") from error

    def _call(self, body: bytes, request_id: str) -> EndpointAnswer:
        answer = self._client.invoke_endpoint(
            EndpointName=self._name,
            Body=body,
            ContentType="application/json",
            Accept="application/json",
            CustomAttributes=logs.REQUEST_ID_ATTRIBUTE + request_id,
        )
        return EndpointAnswer(answer["Body"].read(), cold_start_stages(answer.get("CustomAttributes", "")))


def normalised(asked: PredictionRequest) -> bytes:
    """The request as the endpoint gets it: one spelling, the shortest, so that a body within the limit stays within it."""
    inputs = list(asked.texts) if asked.many else asked.texts[0]
    body = {"inputs": inputs} | ({"parameters": asked.parameters} if asked.parameters else {})
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def cold_start_stages(attributes: str) -> dict[str, float]:
    """Stages and milliseconds out of `cold-start=boot:12,import:210,…`; empty when there are none or they can't be read."""
    if not attributes.startswith(_COLD_START):
        return {}
    try:
        pairs = (part.split(":", 1) for part in attributes.removeprefix(_COLD_START).split(","))
        return {name.strip(): float(value) for name, value in pairs if name.strip().isalpha()}
    except ValueError:
        return {}


def _details(error: ClientError) -> dict[str, Any]:
    response: Any = error.response
    fields = {"code": response["Error"].get("Code"), "message": response["Error"].get("Message")}
    return fields | {key: response[key] for key in ("OriginalStatusCode", "LogStreamArn") if key in response}


def _problem(error: ClientError) -> RequestProblem:
    response: Any = error.response
    code, message = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "ModelError":
        return _model_problem(response)
    if code == "ModelNotReadyException" or (code.startswith("Validation") and "not found" in message.lower()):
        return NotReady("The model is being brought up.", retry_after_s=RETRY_AFTER_S)
    if code in _THROTTLED or status == 429:
        return Throttled("The model takes no more requests at this moment.", retry_after_s=RETRY_AFTER_S)
    if code in ("ServiceUnavailable", "ServiceUnavailableException") or status == 503:
        return NotReady("The model is not available.", retry_after_s=RETRY_AFTER_S)
    return ModelFailed("The model could not be asked.")


def _model_problem(response: Any) -> RequestProblem:
    """What the container answered: its own problem documents are handed on where they are meant for the client."""
    status = response.get("OriginalStatusCode")
    try:
        document = json.loads(response.get("OriginalMessage", ""))
        detail, kind = str(document["detail"]), str(document["type"])
    except (ValueError, KeyError, TypeError):
        return ModelFailed("The model failed to answer.")
    if status not in _HANDED_ON:
        return ModelFailed("The model failed to answer.")
    if kind.endswith(":answer-too-large"):
        return AnswerTooLarge(detail)
    return _HANDED_ON[status](detail, retry_after_s=RETRY_AFTER_S if status == 503 else None)

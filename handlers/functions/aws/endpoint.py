"""The call of a SageMaker endpoint within a deadline, and what each of its failures means for the client."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
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
from handlers.functions.deadline import as_attribute
from handlers.functions.endpoint import RETRY_AFTER_S, Dropped, EndpointAnswer, cold_start_stages, model_problem, patiently
from handlers.functions.problems import DeadlineExceeded, ModelFailed, NotReady, RequestProblem, Throttled

CONNECT_TIMEOUT_S = 3
_THROTTLED = {"ThrottlingException", "TooManyRequestsException", "ThrottledException"}


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


class SageMakerEndpoint:
    """A SageMaker endpoint that is called by its name, without a socket's patience deciding how long a call may take."""

    def __init__(self, name: str, client: RuntimeClient) -> None:
        self._name = name
        self._client = client
        # A call that outlives its deadline stays in a thread until the client's read timeout ends it.
        self._calls = ThreadPoolExecutor(max_workers=4, thread_name_prefix="endpoint-call")

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        """The endpoint's answer within `budget_s` seconds.

        Raises the RequestProblem that tells the client what happened; what is internal goes to the log only.
        """
        return patiently(lambda left_s: self._once(body, request_id, left_s), budget_s)

    def _once(self, body: bytes, request_id: str, budget_s: float) -> EndpointAnswer:
        call = self._calls.submit(self._call, body, request_id, budget_s)
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
            raise Dropped("The connection to the model was lost.", retry_after_s=RETRY_AFTER_S) from error
        except BotoCoreError as error:
            logs.write_fault("endpoint_call_failed", error, request_id=request_id, endpoint=self._name)
            raise ModelFailed("The call of the model failed.") from error

    def _call(self, body: bytes, request_id: str, budget_s: float) -> EndpointAnswer:
        answer = self._client.invoke_endpoint(
            EndpointName=self._name,
            Body=body,
            ContentType="application/json",
            Accept="application/json",
            CustomAttributes=f"{logs.REQUEST_ID_ATTRIBUTE}{request_id};{as_attribute(budget_s)}",
        )
        return EndpointAnswer(answer["Body"].read(), cold_start_stages(answer.get("CustomAttributes", "")))


def _details(error: ClientError) -> dict[str, Any]:
    response: Any = error.response
    fields = {"code": response["Error"].get("Code"), "message": response["Error"].get("Message")}
    return fields | {key: response[key] for key in ("OriginalStatusCode", "LogStreamArn") if key in response}


def _problem(error: ClientError) -> RequestProblem:
    response: Any = error.response
    code, message = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "ModelError":
        return model_problem(response.get("OriginalStatusCode"), response.get("OriginalMessage", ""))
    if code == "ModelNotReadyException" or (code.startswith("Validation") and "not found" in message.lower()):
        return NotReady("The model is being brought up.", retry_after_s=RETRY_AFTER_S)
    if code in _THROTTLED or status == 429:
        return Throttled("The model takes no more requests at this moment.", retry_after_s=RETRY_AFTER_S)
    if code in ("ServiceUnavailable", "ServiceUnavailableException") or status == 503:
        return NotReady("The model is not available.", retry_after_s=RETRY_AFTER_S)
    return ModelFailed("The model could not be asked.")

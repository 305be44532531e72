"""The call of a Cloud Run service that holds the model, and what each of its failures means for the client."""

import socket
import time
from http.client import HTTPResponse

from handlers.functions import logs, problems, traces
from handlers.functions.endpoint import RETRY_AFTER_S, Dropped, EndpointAnswer, NotLetIn, cold_start_stages, model_problem, patiently
from handlers.functions.gcp import metadata
from handlers.functions.gcp.connections import TRANSPORT_ERRORS, Server
from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import DeadlineExceeded, ModelFailed, NotReady, RequestProblem, Throttled

_CHUNK = 1 << 20
_ROUTE = "/predict"


class CloudRunEndpoint:
    """A Cloud Run service by its URL, which is called with an ID token for that URL; threads share it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._server = Server(url)
        self._tokens = metadata.id_tokens(url)

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        """The endpoint's answer within `budget_s` seconds.

        Raises the RequestProblem that tells the client what happened; what is internal goes to the log only.
        """
        return patiently(lambda left_s: self._once(body, request_id, left_s), budget_s)

    def post(self, path: str, body: bytes, headers: dict[str, str], *, until: float) -> tuple[HTTPResponse, bytes]:
        """The answer to one request and its body, before the monotonic clock reads `until`.

        A token that was refused is replaced once: its key may have been rotated. Raises one of TRANSPORT_ERRORS, Unavailable.
        """
        token = self._tokens.get()
        answer, text = self._asked(path, body, headers, token, until)
        if answer.status == 401:
            answer, text = self._asked(path, body, headers, self._tokens.get(refused=token), until)
        return answer, text

    def _asked(self, path: str, body: bytes, headers: dict[str, str], token: str, until: float) -> tuple[HTTPResponse, bytes]:
        sent = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": f"Bearer {token}", **headers}
        if trace := traces.current.get():
            sent["traceparent"] = trace.parent
        with self._server.asked("POST", path, headers=sent, timeout_s=_left(until), body=body) as answer:
            parts = []
            # The socket's patience is for each part of an answer, the budget is for all of them.
            while part := answer.read(_CHUNK):
                parts.append(part)
                _left(until)
            text = b"".join(parts)
            if answer.length:
                raise ConnectionError(f"the answer ended {answer.length} bytes before its end")
        return answer, text

    def _once(self, body: bytes, request_id: str, budget_s: float) -> EndpointAnswer:
        try:
            answer, text = self.post(_ROUTE, body, {"X-Request-Id": request_id}, until=time.monotonic() + budget_s)
        except TimeoutError as error:
            raise DeadlineExceeded(f"The model did not answer within {budget_s:.1f} s.") from error
        except (ConnectionRefusedError, socket.gaierror) as error:
            logs.write("endpoint_unreachable", level="WARNING", request_id=request_id, endpoint=self._url, message=str(error))
            raise NotReady("The model can't be reached.", retry_after_s=RETRY_AFTER_S) from error
        except TRANSPORT_ERRORS as error:
            what = {"error": type(error).__name__, "message": str(error)}
            logs.write("endpoint_dropped", level="WARNING", request_id=request_id, endpoint=self._url, **what)
            raise Dropped("The connection to the model was lost.", retry_after_s=RETRY_AFTER_S) from error
        except Unavailable as error:
            logs.write("token_unavailable", level="ERROR", request_id=request_id, endpoint=self._url, message=str(error))
            raise NotReady("The model can't be asked now.", retry_after_s=RETRY_AFTER_S) from error
        if answer.status == 200:
            return EndpointAnswer(text, cold_start_stages(answer.headers.get(CUSTOM_ATTRIBUTES_HEADER, "")))
        said = text[:2000].decode(errors="replace")
        level = "ERROR" if answer.status in (401, 403, 404) else "WARNING"
        logs.write("endpoint_error", level=level, request_id=request_id, endpoint=self._url, status=answer.status, message=said[:500])
        raise _problem(answer, said)


def _problem(answer: HTTPResponse, said: str) -> RequestProblem:
    """The model server's own refusal, or Cloud Run's in its place ("Troubleshoot Cloud Run issues", errors while serving)."""
    if answer.headers.get_content_type() == problems.MEDIA_TYPE:
        return model_problem(answer.status, said)
    if answer.status in (401, 403):
        return NotLetIn("The model can't be asked now.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 429:
        return Throttled("The model takes no more requests at this moment.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 503:
        return NotReady("The model is not available.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 504:
        return DeadlineExceeded("The model did not answer in time.")
    return ModelFailed("The model could not be asked.")


def _left(until: float) -> float:
    """Raises TimeoutError when there is nothing left."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for an answer is over")
    return left

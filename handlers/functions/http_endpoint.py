"""The call of an endpoint over HTTP, and what each of its failures means for the client."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPResponse
from urllib.parse import urlsplit

from handlers.functions import logs, problems, spans, traces
from handlers.functions.connections import TRANSPORT_ERRORS, NotConnected, Server
from handlers.functions.deadline import TIMEOUT_HEADER, as_milliseconds
from handlers.functions.endpoint import RETRY_AFTER_S, Dropped, EndpointAnswer, NotReached, cold_start_stages, model_problem, patiently
from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import DeadlineExceeded, NotReady, RequestProblem
from handlers.functions.tokens import Tokens

_CHUNK = 1 << 20
_ROUTE = "/predict"


class HttpEndpoint:
    """A model server by its URL; threads share it."""

    def __init__(
        self,
        url: str,
        *,
        refused: Callable[[HTTPResponse], RequestProblem],
        tokens: Tokens | None = None,
        id_headers: Sequence[str] = ("X-Request-Id",),
    ) -> None:
        """It is called with `tokens`; `refused` reads an answer that the platform gave in its place, and the correlation id goes along in
        each of `id_headers`."""
        self._url, self._host = url, urlsplit(url).netloc
        self._server = Server(url)
        self._refused = refused
        self._tokens = tokens
        self._id_headers = id_headers

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        """The endpoint's answer within `budget_s` seconds.

        Raises the RequestProblem that tells the client what happened; what is internal goes to the log only.
        """
        return patiently(lambda left_s: self._once(body, request_id, left_s), budget_s)

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, request_id: str, until: float) -> tuple[HTTPResponse, bytes]:
        """The answer to one request and its body, before the monotonic clock reads `until`.

        A token that was refused is replaced once: its key may have been rotated. Raises one of TRANSPORT_ERRORS, Unavailable.
        """
        sent = {"Content-Type": "application/json", "Accept": "application/json", **dict.fromkeys(self._id_headers, request_id), **headers}
        with spans.calling(f"POST {path}", self._host, request_id) as span:
            if trace := traces.current.get():
                sent |= trace.headers
            answer, text = self._let_in(path, body, sent, until)
            span.answered(answer.status)
        return answer, text

    def _let_in(self, path: str, body: bytes, sent: Mapping[str, str], until: float) -> tuple[HTTPResponse, bytes]:
        if self._tokens is None:
            return self._asked(path, body, sent, until)
        token = self._tokens.get()
        answer, text = self._asked(path, body, {**sent, "Authorization": f"Bearer {token}"}, until)
        if answer.status == 401:
            answer, text = self._asked(path, body, {**sent, "Authorization": f"Bearer {self._tokens.get(refused=token)}"}, until)
        return answer, text

    def _asked(self, path: str, body: bytes, headers: Mapping[str, str], until: float) -> tuple[HTTPResponse, bytes]:
        with self._server.asked("POST", path, headers=headers, timeout_s=_left(until), body=body) as answer:
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
            told = {TIMEOUT_HEADER: as_milliseconds(budget_s)}
            answer, text = self.post(_ROUTE, body, told, request_id=request_id, until=time.monotonic() + budget_s)
        except TimeoutError as error:
            raise DeadlineExceeded(f"The model did not answer within {budget_s:.1f} s.") from error
        except (ConnectionRefusedError, socket.gaierror) as error:
            logs.write("endpoint_unreachable", level="WARNING", request_id=request_id, endpoint=self._url, message=str(error))
            raise NotReady("The model can't be reached.", retry_after_s=RETRY_AFTER_S) from error
        except NotConnected as error:
            logs.write("endpoint_unreachable", level="WARNING", request_id=request_id, endpoint=self._url, message=str(error))
            raise NotReached("The model can't be reached.", retry_after_s=RETRY_AFTER_S) from error
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
        # The model server's own refusal, or the platform's in its place.
        raise model_problem(answer.status, said) if answer.headers.get_content_type() == problems.MEDIA_TYPE else self._refused(answer)


def _left(until: float) -> float:
    """Raises TimeoutError when there is nothing left."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for an answer is over")
    return left

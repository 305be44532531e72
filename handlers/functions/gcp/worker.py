"""The role `worker`: messages of the topic of answers, pushed -> endpoint -> answers."""

from collections.abc import Mapping

from handlers.functions import logs
from handlers.functions.answer_worker import AnswerWorker
from handlers.functions.answers import Answer, AnswerStore
from handlers.functions.api import Endpoint, refusal
from handlers.functions.attempts import Attempts
from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import Deadline, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.gcp.deferral import make_store
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.pushes import message_of, require_push
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, AnswerSettings
from handlers.functions.problems import InternalFault, MalformedBody, NotReady, RequestProblem
from handlers.web.app import Read
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings

_RETRY_AFTER_S = 10
# What a message's envelope may have; the message names an answer and no more.
_MAX_PUSH_BYTES = 65_536


class WorkerRole:
    """One process of the worker: a message in, delivered or not."""

    max_body_bytes = _MAX_PUSH_BYTES

    def __init__(self, calls: CallSettings, endpoint: Endpoint, store: AnswerStore, *, keep_s: int, attempts: Attempts) -> None:
        self.request_timeout_s = calls.request_timeout_s
        self._work = AnswerWorker(store, endpoint, calls, keep_s=keep_s, attempts=attempts, max_answer_bytes=MAX_ANSWER_BYTES)

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """200 for a message that is not to come again. Never raises: what goes wrong is a problem document."""
        try:
            request = read()
            require_push(request)
            push = message_of(request)
            if push is None:
                raise MalformedBody("The request is no message of Pub/Sub.")
            message, attempt = push.data.decode(errors="replace"), push.attempt or 1
            done = self._work.done(message, attempt=attempt, message_id=push.id, seconds_left=lambda: seconds_left(deadline))
        except RequestProblem as problem:
            logs.write("delivery_refused", level="WARNING", request_id=call_id, reason=problem.detail)
            return refusal(problem, call_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            return refusal(InternalFault("The message could not be handled."), call_id)
        if not done:
            return refusal(NotReady("There is no answer yet.", retry_after_s=_RETRY_AFTER_S), call_id)
        return Answer(200, {}, "")


def make(variables: Mapping[str, str], boot: Boot) -> tuple[WorkerRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server = ServerSettings.read(environment, concurrency=8)
    calls = CallSettings.read(environment, max_body_bytes=MAX_ANSWER_BYTES)
    kept = AnswerSettings.read(environment, sends=False)
    environment.check()
    endpoint = CloudRunEndpoint(calls.endpoint_url)
    return WorkerRole(calls, endpoint, make_store(kept), keep_s=kept.keep_s, attempts=kept.attempts), server

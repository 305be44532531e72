"""The predictions of Cog's contract while they run: their states, and what webhooks hear of them."""

import asyncio
import functools
import math
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from handlers.functions import logs
from handlers.functions.problems import AnswerTooLarge, Overloaded, RequestProblem, SlotsInUse, status_of
from handlers.functions.requests import PredictionRequest
from handlers.server.calls import Bodies, Lasting
from handlers.server.contracts import webhooks
from handlers.server.forms import Encoded, Form, dumped
from handlers.server.service import Service

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# `logs` is one of Cog's, and never comes: a model of this server writes none.
EVENTS = ("start", "output", "logs", "completed")
# Threads of their own, so that webhooks which nobody answers keep nothing else waiting.
_TELLERS = 4
FORM = Form("Cog's contract", lambda predicted: Encoded(dumped(predicted.outputs)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The id and the webhook that a client chose, None where it did not, the events to tell, and what every state tells again: the input
    and, where the client said one, the time of its making."""

    id: str | None
    webhook: str | None
    events: frozenset[str]
    input: Mapping[str, Any]
    created: str | None


class Prediction:
    """One prediction. `task` computes it where no client waits; `telling` is the last of what its webhook is told."""

    def __init__(self, id: str, request: PredictionRequest, form: Form, wanted: Wanted, request_id: str) -> None:
        self.id = id
        self.request = request
        self.form = form
        self.webhook = wanted.webhook
        self.events = wanted.events
        self.request_id = request_id
        self.status = "starting"
        self.output: bytes = b"null"
        self.error: str | None = None
        self.headers: Mapping[str, str] = {}
        self.task: asyncio.Task[None] | None = None
        self.telling: asyncio.Task[None] | None = None
        self._input = wanted.input
        self._created = wanted.created or self._now()
        self._started: datetime | None = None
        self._completed: datetime | None = None

    def begin(self) -> None:
        self.status, self._started = "processing", self._now()

    def end(self, status: str, error: str | None = None) -> None:
        self.status, self.error, self._completed = status, error, self._now()

    def document(self) -> bytes:
        """The state, as answers and webhooks tell it; times in ISO 8601."""
        told: dict[str, Any] = {
            "id": self.id,
            "input": self._input,
            "status": self.status,
            "output": orjson.Fragment(self.output),
            "error": self.error,
        }
        told |= {"logs": "", "created_at": self._created, "started_at": self._started, "completed_at": self._completed}
        if self._started and self._completed:
            told["metrics"] = {"predict_time": (self._completed - self._started).total_seconds()}
        return orjson.dumps(told)

    @staticmethod
    def _now() -> datetime:
        return datetime.now(UTC)


class Predictions:
    """Those that run, by their ids."""

    def __init__(self, service: Service, lasting: Lasting) -> None:
        self.running: dict[str, Prediction] = {}
        self._service = service
        self._lasting = lasting
        self._tellers = ThreadPoolExecutor(_TELLERS, thread_name_prefix="webhooks")
        self._tellings = 0

    def admit(self, prediction: Prediction) -> None:
        """Take it among those that run.

        Raises SlotsInUse where as many do as may wait for the model, Overloaded where it names a webhook and as much is still to be told.
        """
        most = self._service.settings.max_queue
        if len(self.running) >= most:
            self._service.metrics.shed("full")
            raise SlotsInUse(f"{len(self.running)} predictions are running already.", retry_after_s=1)
        if prediction.webhook is not None and self._tellings >= most:
            self._service.metrics.shed("full")
            raise Overloaded(f"{self._tellings} calls of webhooks are waiting already.", retry_after_s=1)
        self.running[prediction.id] = prediction
        self._tell(prediction, "start")

    def begin_alone(self, prediction: Prediction, ended: Callable[[], None]) -> None:
        """Begin to compute it where no client waits; `ended` is called when it is over."""
        prediction.task = self._lasting.run(self._run_alone(prediction))
        prediction.task.add_done_callback(lambda _: ended())
        prediction.task.add_done_callback(lambda _: self._end_unbegun(prediction))

    async def run(self, prediction: Prediction, seconds: float = math.inf) -> None:
        """Compute it to its end, which its webhook hears, in the seconds that its client has.

        Raises the RequestProblem of a request that is refused.
        """
        prediction.begin()
        try:
            answer = await self._service.answer(prediction.request, prediction.request_id, prediction.form, seconds)
        except RequestProblem as problem:
            prediction.end("failed", problem.detail)
            if not _failed(problem):
                self._tell(prediction, "completed")
                raise
        except asyncio.CancelledError:
            prediction.end("canceled")
            self._tell(prediction, "completed")
            raise
        except Exception as error:  # noqa: BLE001  (the state is where an error becomes an answer)
            prediction.end("failed", self._service.unexpected(error, prediction.request_id).detail)
        else:
            prediction.output, prediction.headers = answer.body, answer.headers
            self._tell(prediction, "output")
            prediction.end("succeeded")
        finally:
            del self.running[prediction.id]
        if prediction.error:
            logs.write("prediction_failed", level="WARNING", request_id=prediction.request_id, message=prediction.error)
        self._tell(prediction, "completed")

    async def _run_alone(self, prediction: Prediction) -> None:
        # Told already. It ends here: refused, by the client's wish, or with the server, which waits a moment for what is told.
        with suppress(RequestProblem, asyncio.CancelledError):
            await self.run(prediction)
        if prediction.telling is not None:
            await asyncio.wait((prediction.telling,))

    def _end_unbegun(self, prediction: Prediction) -> None:
        """Whoever cancels a task before its first step ends it before any of its code has run."""
        if self.running.get(prediction.id) is prediction:
            del self.running[prediction.id]
            prediction.end("canceled")
            self._tell(prediction, "completed")

    def _tell(self, prediction: Prediction, event: str) -> None:
        """Send the state as it is now, after what was told before it."""
        if prediction.webhook is not None and event in prediction.events:
            document, bodies = prediction.document(), Bodies.of(self._lasting, self._service)
            send = functools.partial(webhooks.send, prediction.webhook, document, again=event == "completed")
            prediction.telling = self._lasting.run(
                self._told(functools.partial(send, request_id=prediction.request_id), prediction.telling)
            )
            self._tellings += 1
            bodies.add(len(document))
            prediction.telling.add_done_callback(functools.partial(self._told_one, bodies, len(document)))

    async def _told(self, send: Callable[[], None], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        await asyncio.get_running_loop().run_in_executor(self._tellers, send)

    def _told_one(self, bodies: Bodies, size: int, _: asyncio.Task[None]) -> None:
        self._tellings -= 1
        bodies.let_go(size)


def _failed(problem: RequestProblem) -> bool:
    """Whether it was the prediction that failed, which Cog tells as its state; the other problems are the request's or the server's."""
    return isinstance(problem, AnswerTooLarge) or status_of(problem) in (500, 502, 504)

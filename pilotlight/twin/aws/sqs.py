"""SQS: queues that the twin keeps itself, watched by clients that wait, event source mappings and timers of the twin's clock."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import sqs_api
from pilotlight.twin.aws.sqs_attributes import SqsError, no_queue
from pilotlight.twin.aws.sqs_model import Message, Queue
from pilotlight.twin.aws.sqs_moves import MoveTasks
from pilotlight.twin.aws.sqs_store import QueueStore
from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

_JSON = "application/x-amz-json-1.0"
# Who sends what a service of AWS sends; on AWS it is the id of an account of that service.
SERVICE_SENDER = "AIDAPILOTLIGHTSERVICE"


class SqsService:
    """`attach` it to its twin before use, `start` it in the loop. Everything but `handle` and `receive` may be called in any thread."""

    name = "sqs"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: dict[str, set[Callable[[], None]]] = {}
        self._alarms: dict[str, Timer] = {}
        self._parsed: tuple[AwsRequest, tuple[str, dict[str, Any]]] | None = None

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.store = QueueStore(twin.home / "queues.sqlite3", twin.clock.now)
        self.moves = MoveTasks(self)

    async def start(self) -> None:
        """Go on where the last twin left: messages that were hidden come back, moves of messages go on."""
        for queue in self.store.queues():
            self._arm(queue.arn)
        self.moves.resume()

    async def close(self) -> None:
        self.store.close()

    # What the front asks.

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        """The rights that the request needs; Refusal for an operation that the twin does not serve."""
        name, parameters = self._operation(request)
        return sqs_api.needs(self, name, parameters, request)

    def policies(self, request: AwsRequest) -> list[str]:
        """The resource policy of the queue that the request is about."""
        _, parameters = self._operation(request)
        queue = self.find(str(parameters.get("QueueUrl", "")), request.region)
        return queue.policies if queue else []

    async def handle(self, request: AwsRequest) -> AwsResponse:
        """The operation's answer, or SQS's own form of an error."""
        name, parameters = self._operation(request)
        self._parsed = None
        try:
            content = await sqs_api.call(self, name, parameters, request)
        except SqsError as error:
            headers = {"content-type": _JSON, "x-amzn-query-error": f"{error.query_code};Sender"}
            body = json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message}).encode()
            return AwsResponse(status=error.status, headers=headers, body=body)
        return AwsResponse(headers={"content-type": _JSON}, body=json.dumps(content).encode())

    # What the rest of the twin uses.

    def arn(self, name: str, region: str) -> str:
        return f"arn:aws:sqs:{region}:{self.twin.account}:{name}"

    def url(self, queue: Queue) -> str:
        return f"{self.twin.front_url}/{self.twin.account}/{queue.name}"

    def find(self, url: str, region: str) -> Queue | None:
        """The queue of a URL: its last part is the name, whatever the twin's address was when the URL was made."""
        return self.store.queue(self.arn(url.rstrip("/").rpartition("/")[2], region))

    def queue(self, arn: str) -> Queue:
        """SqsError (QueueDoesNotExist) where it is not there."""
        queue = self.store.queue(arn)
        if queue is None:
            raise no_queue()
        return queue

    def send(self, arn: str, body: str, attributes: Mapping[str, Any] | None = None, delay_s: float | None = None) -> str:
        """Store a message in the name of a service; its id. SqsError where the queue is not there."""
        return self.send_all(arn, [(body, attributes or {}, delay_s)], SERVICE_SENDER)[0]

    def send_all(self, arn: str, messages: list[tuple[str, Mapping[str, Any], float | None]], sender: str) -> list[str]:
        """Store messages, each (body, attributes, delay in seconds or None for the queue's own)."""
        queue = self.queue(arn)
        ids = self.store.send(arn, messages, sender)
        if any(delay_s for _, _, delay_s in messages) or queue.seconds("DelaySeconds"):
            self._arm(arn)
        self._inside(self._tell, arn)
        return ids

    def lets_send(self, arn: str, service: str, source_arn: str) -> bool:
        """Whether the queue is there and its policy lets a service send to it on behalf of `source_arn`, which is of this account."""
        queue = self.store.queue(arn)
        if queue is None:
            return False
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": self.twin.account}
        return self.twin.iam.grants(queue.policies, service, "sqs:SendMessage", arn, context)

    async def receive(self, arn: str, limit: int, visibility_s: float | None, wait_s: float) -> list[Message]:
        """Messages that are visible now, or the first that become so within `wait_s` seconds of the machine: a client waits in those."""
        loop = asyncio.get_running_loop()
        deadline, told = loop.time() + wait_s, asyncio.Event()
        unwatch = self.watch(arn, told.set)
        try:
            while True:
                told.clear()
                self.queue(arn)
                found = self.take(arn, limit, visibility_s)
                left = deadline - loop.time()
                if found or left <= 0:
                    return found
                try:
                    async with asyncio.timeout(left):
                        await told.wait()
                except TimeoutError:
                    continue
        finally:
            unwatch()

    def take(self, arn: str, limit: int, visibility_s: float | None = None) -> list[Message]:
        """Messages that are visible now. SqsError where the queue is not there."""
        redrive = self.queue(arn).redrive
        found = self.store.receive(arn, limit, visibility_s)
        self._arm(arn)
        if redrive and self._watchers.get(redrive[0]):
            self.changed(redrive[0])
        return found

    def watch(self, arn: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in the loop, whenever a message of the queue may have become visible; what is returned ends it."""
        with self._lock:
            self._watchers.setdefault(arn, set()).add(callback)

        def unwatch() -> None:
            with self._lock:
                self._watchers.get(arn, set()).discard(callback)

        return unwatch

    def changed(self, arn: str) -> None:
        """A message of the queue is, or will be, visible: tell who waits, and set the alarm for those that are hidden."""
        self._arm(arn)
        self._inside(self._tell, arn)

    def _inside(self, work: Callable[[str], None], arn: str) -> None:
        """Do it in the loop: now, where this is it."""
        try:
            inside = asyncio.get_running_loop() is self.twin.loop
        except RuntimeError:
            inside = False
        if inside:
            work(arn)
        else:
            self.twin.loop.call_soon_threadsafe(work, arn)

    def _tell(self, arn: str) -> None:
        with self._lock:
            watchers = list(self._watchers.get(arn, ()))
        for callback in watchers:
            callback()

    def _arm(self, arn: str) -> None:
        """One timer a queue, at the moment when the first of its hidden messages comes back."""
        due = self.store.next_visible(arn)
        with self._lock:
            held = self._alarms.get(arn)
            if due is None or (held is not None and held.due <= due):
                return
            if held is not None:
                held.cancel()
            self._alarms[arn] = self.twin.timers.at(due, lambda now: self._ring(arn))

    async def _ring(self, arn: str) -> None:
        with self._lock:
            self._alarms.pop(arn, None)
        self.changed(arn)

    def _operation(self, request: AwsRequest) -> tuple[str, dict[str, Any]]:
        """The operation and its parameters, parsed once: the front asks for rights and policies first."""
        if self._parsed is None or self._parsed[0] is not request:
            self._parsed = request, _parse(request)
        return self._parsed[1]


def _parse(request: AwsRequest) -> tuple[str, dict[str, Any]]:
    if "x-amz-target" not in request.headers:
        raise Refusal("UnsupportedOperation", "The twin's SQS speaks the JSON protocol (boto3 1.28 and later), not the query protocol.")
    name, parameters = operation(request.headers, request.body)
    if name not in sqs_api.OPERATIONS:
        raise Refusal("UnknownOperationException", f"The twin does not serve sqs:{name}; it serves {', '.join(sqs_api.OPERATIONS)}.")
    return name, parameters

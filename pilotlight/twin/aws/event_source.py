"""Event source mappings: what polls a queue with a function's role, hands it batches, and deletes what it has done.

It is driven by the queue (a message came, or came back) and by the twin's clock, so that a fast-forward runs retries too. What AWS
does not promise is left out: a mapping without a maximum concurrency stays at the five batches that AWS starts with, where AWS adds up
to 300 a minute, because each is a process here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotlight.twin.aws.event_source_batch import PAYLOAD_BYTES, event_of, failed_of, weight
from pilotlight.twin.aws.lambda_concurrency import Throttled
from pilotlight.twin.aws.lambda_version import resolve, split_name
from pilotlight.twin.aws.sqs_attributes import SqsError
from pilotlight.twin.aws.sqs_model import Message
from pilotlight.twin.rows import Caller, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
DEFAULT_BATCH = 10
# SQS API reference, ReceiveMessage.
RECEIVE = 10
# Lambda developer guide, "Configuring scaling behavior for SQS event source mappings": batches at once to begin with.
FIRST_BATCHES = 5
# How long to wait before asking again what was refused, throttled or out, in seconds: doubled up to the longest.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 5.0
# How long a delete is tried again while the queue is out; then the messages come back.
DELETE_S = 30.0


class EventSources:
    """All mappings that the world holds. `attach` it to its twin before use, `start` it in the loop."""

    def attach(self, twin: Twin) -> None:
        self._twin = twin
        self._pollers: dict[str, _Poller] = {}

    async def start(self) -> None:
        """Go on with the mappings that are there, and follow what becomes of them."""
        self._twin.world.watch(MAPPING, self._changed)
        for mapping in self._twin.world.find(MAPPING):
            self._look(mapping.id)

    async def close(self) -> None:
        for poller in self._pollers.values():
            poller.stop()

    def result(self, id_: str) -> str:
        """What Lambda says of its last attempt, as GetEventSourceMapping does."""
        poller = self._pollers.get(id_)
        return poller.result if poller else "No records processed"

    def _changed(self, id_: str) -> None:
        self._twin.loop.call_soon_threadsafe(self._look, id_)

    def _look(self, id_: str) -> None:
        mapping, poller = self._twin.world.get(MAPPING, id_), self._pollers.get(id_)
        if mapping is None or not mapping.get("enabled", True):
            if poller is not None:
                self._pollers.pop(id_).stop()
        elif poller is None:
            self._pollers[id_] = _Poller(self._twin, id_)
        else:
            poller.kick()


class _Poller:
    """One mapping. Belongs to the loop."""

    def __init__(self, twin: Twin, id_: str) -> None:
        self._twin = twin
        self._id = id_
        self._running = 0
        self._pending: list[Message] = []
        self._pumping = self._again = self._stopped = False
        self._window: Timer | None = None
        self._due = False
        self.result = "No records processed"
        self._unwatch = twin.sqs.watch(str(self._mapping()["eventSourceArn"]), self.kick)
        self.kick()

    def stop(self) -> None:
        """Poll no more; what is under way ends, what was gathered for a batch comes back to the queue."""
        self._stopped = True
        self._unwatch()
        if self._window is not None:
            self._window.cancel()

    def kick(self) -> None:
        """Look for messages, now or as soon as the look under way has ended."""
        if self._stopped:
            return
        if self._pumping:
            self._again = True
        else:
            self._pumping = True
            self._twin.timers.spawn(self._pump())

    async def _pump(self) -> None:
        try:
            self._again = True
            while self._again and not self._stopped:
                self._again = False
                await self._gather()
        except (Refusal, KeyError) as error:
            self.result = f"PROBLEM: {error}"
        finally:
            self._pumping = False

    async def _gather(self) -> None:
        """Take messages and start batches, until the queue has none or enough batches run."""
        wait_s = FIRST_WAIT_S
        while not self._stopped:
            mapping = self._mapping()
            if self._running >= _limit(mapping):
                return
            if self._due and self._pending:
                self._dispatch()
                continue
            # The poller is a part of Lambda.
            out = any(map(self._twin.faults.is_out, ("sqs", "lambda")))
            if problem := "AWS Lambda polls nothing" if self._twin.faults.is_out("lambda") else self._problem(mapping, "ReceiveMessage"):
                self.result = f"PROBLEM: {problem}"
                if not out and not self._waiting(mapping):
                    return
                await self._twin.timers.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            size = int(mapping.get("batchSize") or DEFAULT_BATCH)
            taken = self._twin.sqs.take(str(mapping["eventSourceArn"]), min(RECEIVE, size - len(self._pending)))
            if not taken:
                return
            for message in taken:
                if self._pending and sum(map(weight, [*self._pending, message])) > PAYLOAD_BYTES:
                    self._dispatch()
                self._pending.append(message)
            window_s = float(mapping.get("maximumBatchingWindowInSeconds") or 0)
            if len(self._pending) >= size or not window_s:
                self._dispatch()
            elif self._window is None:
                self._window = self._twin.timers.at(self._twin.clock.now() + window_s, self._flush)

    async def _flush(self, due: float) -> None:
        """The batching window is over: what there is goes as soon as a batch may start."""
        self._window, self._due = None, True
        self.kick()

    def _dispatch(self) -> None:
        batch, self._pending, self._due = self._pending, [], False
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self._running += 1
        self._twin.timers.spawn(self._serve(batch))

    async def _serve(self, batch: list[Message]) -> None:
        """One batch from the function's start to the deletion of what it has done."""
        try:
            mapping = self._mapping()
            failed = await self._failed(mapping, batch)
            done = [message for message in batch if message.id not in failed]
            if done:
                await self._delete(mapping, done)
        except (Refusal, KeyError) as error:
            # The mapping, its function or its queue is gone: what is hidden comes back.
            self.result = f"PROBLEM: {error}"
        finally:
            self._running -= 1
            self.kick()

    async def _failed(self, mapping: Resource, batch: list[Message]) -> set[str]:
        """Ids of the messages that stay. A throttled function is asked again for as long as the messages are hidden."""
        queue = self._twin.sqs.queue(str(mapping["eventSourceArn"]))
        ids, event = [message.id for message in batch], event_of(batch, queue.arn)
        began, wait_s = self._twin.clock.now(), FIRST_WAIT_S
        while True:
            try:
                answer = await self._twin.lambda_.invoke(str(mapping["functionName"]), None, event)
                break
            except Throttled:
                self.result = "PROBLEM: Function call throttled"
                if self._stopped or self._twin.clock.now() + wait_s - began >= queue.seconds("VisibilityTimeout"):
                    return set(ids)
            await self._twin.timers.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        if answer.function_error is not None:
            self.result = "PROBLEM: Function call failed"
            return set(ids)
        self.result = "OK"
        partial = "ReportBatchItemFailures" in mapping.get("functionResponseTypes", [])
        return failed_of(answer.payload, ids) if partial else set()

    async def _delete(self, mapping: Resource, messages: list[Message]) -> None:
        """Delete with the function's role; while the queue is out it is tried again, then the messages are left to come back."""
        began, wait_s = self._twin.clock.now(), FIRST_WAIT_S
        while problem := self._problem(mapping, "DeleteMessage"):
            if self._twin.clock.now() + wait_s - began >= DELETE_S or not self._twin.faults.is_out("sqs"):
                self.result = f"PROBLEM: {problem}"
                return
            await self._twin.timers.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        self._twin.sqs.store.remove([(message.number, message.receipt or "") for message in messages])

    def _problem(self, mapping: Resource, action: str) -> str | None:
        """Why the queue does not let the poller do something now, or None."""
        if self._twin.faults.is_out("sqs"):
            return "Amazon SQS is not available"
        try:
            name, qualifier = split_name(str(mapping["functionName"]))
            role = resolve(self._twin.world, name, qualifier).role
            queue = self._twin.sqs.queue(str(mapping["eventSourceArn"]))
        except (Refusal, SqsError) as error:
            return str(error)
        if may(self._twin, role, action, queue.arn, queue.policies):
            return None
        return f"The function execution role does not have permissions to call {action} on SQS"

    def _waiting(self, mapping: Resource) -> bool:
        """Whether there is something to poll for: a mapping that may not is asked again only then."""
        queue = self._twin.sqs.store.queue(str(mapping["eventSourceArn"]))
        return queue is not None and self._twin.sqs.store.figures(queue.arn).visible > 0

    def _mapping(self) -> Resource:
        """KeyError where it was deleted."""
        mapping = self._twin.world.get(MAPPING, self._id)
        if mapping is None:
            raise KeyError(f"The event source mapping {self._id} is gone.")
        return mapping


def may(twin: Twin, role: str, action: str, queue_arn: str, policies: list[str]) -> bool:
    """Whether a role may do something with a queue, by its own policies and the queue's."""
    caller = Caller(arn=role, account=twin.account, role_arn=role)
    return twin.iam.decide(caller, f"sqs:{action}", queue_arn, None, policies).allowed


def _limit(mapping: Resource) -> int:
    """Batches at once."""
    return int((mapping.get("scalingConfig") or {}).get("maximumConcurrency") or FIRST_BATCHES)

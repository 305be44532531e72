"""Lambda: invocations on workers that start on demand, with the account's and the function's limits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import event_source_api, lambda_api, lambda_provisioned, lambda_rows
from pilotlight.twin.aws.compute_settings import initial_keep_warm_s
from pilotlight.twin.aws.lambda_async import Asynchronous
from pilotlight.twin.aws.lambda_concurrency import Concurrency, Throttled
from pilotlight.twin.aws.lambda_policy import judge_source
from pilotlight.twin.aws.lambda_runtime import Outcome
from pilotlight.twin.aws.lambda_start import Starter
from pilotlight.twin.aws.lambda_version import FunctionVersion, resolve, split_name
from pilotlight.twin.aws.lambda_worker import InitFailed, LambdaWorker
from pilotlight.twin.aws.metric_sources import function_called, function_throttled
from pilotlight.twin.aws.pool import Pool
from pilotlight.twin.environments import EnvironmentRefused
from pilotlight.twin.images import ImageRefused
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
ROWS = lambda_rows.ROWS
# Lambda developer guide, quotas: 6 MB for a synchronous event, 1 MB for an asynchronous one.
MAX_EVENT_BYTES = 6 * 1024 * 1024
MAX_ASYNC_BYTES = 1024 * 1024
RECONCILE_S = 2.0
DELETE_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A function's answer. `function_error` is None unless the function failed; times in milliseconds.

    `spilled` tells whether a worker beyond the provisioned ones served, None where none are provisioned.
    """

    status: int
    payload: bytes
    function_error: str | None
    log_tail: str
    duration_ms: float
    cold: bool
    version: str
    spilled: bool | None = None


class LambdaService:
    """`attach` it to its twin before use; `start` and `close` run in the twin's loop, like `invoke` and `handle`.

    `keep_warm_s` is how long an idle worker stays and may be changed at any time.
    """

    name = "lambda"

    def __init__(self) -> None:
        self.keep_warm_s = initial_keep_warm_s()
        self.failures: dict[tuple[str, str], str] = {}
        self._pools: dict[tuple[str, str], tuple[str, Pool[LambdaWorker]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reconciler: asyncio.Task[None] | None = None

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.starter = Starter(twin)
        self._concurrency = Concurrency(twin.world)

    async def start(self) -> None:
        """Bring provisioned workers up, and keep them so."""
        self._reconciler = asyncio.get_running_loop().create_task(self._reconcile())

    async def close(self) -> None:
        """Stop every worker."""
        if self._reconciler is not None:
            self._reconciler.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(pool.kill() for _, pool in self._pools.values()))

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        if event_source_api.is_about(request):
            return event_source_api.actions(self.twin, request)
        return lambda_provisioned.actions(self, request) or lambda_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        if event_source_api.is_about(request):
            return event_source_api.handle(self.twin, request)
        return lambda_provisioned.handle(self, request) or await lambda_api.handle(self, request)

    async def invoke(
        self, function: str, qualifier: str | None, payload: bytes, *, source: str | None = None, source_arn: str | None = None
    ) -> Invocation:
        """Run one event and wait for its answer. `function` is a name or an ARN, `source` the service that calls, if one does.

        Raises Refusal: ResourceNotFoundException, AccessDeniedException (no permission for the source), TooManyRequestsException
        (`Throttled`, with the reason), RequestTooLargeException, InvalidRequestContentException.
        """
        name, qualifier = split_name(function, qualifier)
        version = resolve(self.twin.world, name, qualifier)
        if source is not None:
            judge_source(self.twin.world, name, qualifier, source, source_arn, self.twin.account)
        judge_payload(payload, MAX_EVENT_BYTES)
        try:
            with self._concurrency.slot(name, qualifier):
                answer = await self._run(version, payload or b"{}", f"{version.arn}:{qualifier}" if qualifier else version.arn)
        except Throttled:
            function_throttled(self.twin.metrics, name, qualifier)
            raise
        failed, took = answer.function_error is not None, answer.duration_ms
        function_called(self.twin.metrics, name, qualifier, failed=failed, duration_ms=took, spilled=answer.spilled)
        return answer

    async def invoke_async(self, function: str, qualifier: str | None, payload: bytes) -> None:
        """Accept an event to be run later; it is tried again as the function's event configuration says."""
        name, qualifier = split_name(function, qualifier)
        resolve(self.twin.world, name, qualifier)
        judge_payload(payload, MAX_ASYNC_BYTES)
        self.twin.timers.spawn(Asynchronous(self.twin, name, qualifier, payload).run())

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pool(self, version: FunctionVersion) -> Pool[LambdaWorker]:
        """The version's workers. A changed configuration gets new ones, while the old finish what they are at."""
        slot = (version.name, version.version)
        key, pool = self._pools.get(slot, ("", None))
        if pool is None or key != version.key:
            if pool is not None:
                self.background(pool.drain())

            async def start(provisioned: bool) -> LambdaWorker:
                return await LambdaWorker.start(self.starter, version, provisioned=provisioned)

            pool = Pool(start, lambda: self.keep_warm_s, self.twin.timers)
            self._pools[slot] = (version.key, pool)
        return pool

    async def forget(self, name: str) -> None:
        """The function is deleted: its workers stop when they are done, or after a few seconds."""
        gone = [slot for slot in self._pools if slot[0] == name]
        await asyncio.gather(*(self._pools.pop(slot)[1].end(DELETE_GRACE_S) for slot in gone))

    async def provision(self, name: str, qualifier: str, count: int) -> None:
        """Have `count` workers of what `qualifier` runs initialised; returns when they are.

        Refusal when they do not come up; then all stays as it was.
        """
        before = lambda_provisioned.asked(self.twin.world, name, qualifier)
        lambda_provisioned.record(self.twin.world, name, qualifier, count, self.twin.clock.now())
        try:
            await self._fill(name, qualifier)
        except BaseException:
            lambda_provisioned.record(self.twin.world, name, qualifier, before, self.twin.clock.now())
            raise

    def ask(self, name: str, qualifier: str, count: int) -> None:
        """The same, without waiting for the workers. Refusal for what AWS does not take; 0 ends it."""
        if count:
            lambda_provisioned.judge(self.twin.world, name, qualifier, count)
        lambda_provisioned.record(self.twin.world, name, qualifier, count, self.twin.clock.now())
        self.twin.timers.spawn(self._try_to_fill(name, qualifier))

    async def carry_floor(self, name: str, alias: str, version: str) -> None:
        """Before an alias moves: as many workers of its next version as it has provisioned, so that no request finds a gap."""
        count = lambda_provisioned.asked(self.twin.world, name, alias)
        if count:
            try:
                await self.pool(resolve(self.twin.world, name, version)).set_floor(count)
            except (InitFailed, OSError) as error:
                LOG.warning("Provisioned concurrency of %s:%s does not come up on version %s: %s", name, alias, version, error)

    async def _fill(self, name: str, qualifier: str) -> None:
        version = resolve(self.twin.world, name, qualifier)
        _, floor = lambda_provisioned.floors(self.twin.world).get((version.name, version.version), (version, 0))
        try:
            await self.pool(version).set_floor(floor)
            self.failures.pop((name, qualifier), None)
        except InitFailed as error:
            self.failures[name, qualifier] = f"FUNCTION_ERROR_INIT_FAILURE: {error}"
            raise Refusal("FunctionError.InitError", f"Provisioned concurrency for {name}:{qualifier} failed: {error}") from None

    async def _try_to_fill(self, name: str, qualifier: str) -> None:
        try:
            await self._fill(name, qualifier)
        except (Refusal, OSError) as error:
            LOG.warning("%s", error)

    async def _run(self, version: FunctionVersion, payload: bytes, arn: str) -> Invocation:
        pool = self.pool(version)
        try:
            worker, cold = await pool.acquire()
        except InitFailed as error:
            return self._answer(version, error.outcome, 0.0, True, [])
        except (ImageRefused, EnvironmentRefused) as error:
            raise Refusal("ServiceException", str(error), 500) from None
        spilled = pool.spilled
        try:
            served = await worker.serve(payload, arn)
        finally:
            pool.release(worker)
        return replace(self._answer(version, served.outcome, served.report.duration_ms, cold, worker.logs.tail), spilled=spilled)

    def _answer(self, version: FunctionVersion, outcome: Outcome, duration_ms: float, cold: bool, tail: list[str]) -> Invocation:
        return Invocation(
            status=200,
            payload=outcome.payload,
            function_error="Unhandled" if outcome.error else None,
            log_tail="\n".join(tail),
            duration_ms=duration_ms,
            cold=cold,
            version=version.version,
        )

    async def _reconcile(self) -> None:
        """What is declared as provisioned is running: after a restart, after an alias moved, after a worker died."""
        while True:
            wanted = lambda_provisioned.floors(self.twin.world)
            for slot, (version, floor) in wanted.items():
                try:
                    await self.pool(version).set_floor(floor)
                except (Refusal, InitFailed, OSError) as error:
                    LOG.warning("Provisioned concurrency of %s is not there: %s", ":".join(slot), error)
            for slot, (_, pool) in list(self._pools.items()):
                # Looked up anew: what was asked for while the others started must not be taken back.
                if slot not in wanted and slot not in lambda_provisioned.floors(self.twin.world):
                    await pool.set_floor(0)
            await asyncio.sleep(RECONCILE_S)


def judge_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise Refusal("RequestTooLargeException", f"Request must be smaller than {limit} bytes for the InvokeFunction operation", 413)
    try:
        json.loads(payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None

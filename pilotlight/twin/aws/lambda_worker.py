"""One execution environment of a function: a process, its runtime API, one event at a time."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.twin.aws.compute_logs import LogStream
from pilotlight.twin.aws.lambda_report import Report, init_line, report_lines, start_lines
from pilotlight.twin.aws.lambda_runtime import Event, Outcome, RuntimeApi, failure
from pilotlight.twin.aws.lambda_version import FunctionVersion
from pilotlight.twin.faults import KILL_WITHIN_S
from pilotlight.twin.processes import MIB, Process

if TYPE_CHECKING:
    from pilotlight.twin.aws.lambda_start import Starter
    from pilotlight.twin.faults import Faults

# Lambda developer guide, execution environment: 10 s of initialisation on demand, then once more within the function's own timeout;
# 15 minutes with provisioned concurrency. SIGKILL 500 ms after SIGTERM.
INIT_S = 10.0
INIT_PROVISIONED_S = 900.0
STOP_GRACE_S = 0.5


class InitFailed(Exception):
    """The environment did not come up; `outcome` is what the caller of the function sees."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.payload.decode(errors="replace"))
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True)
class Served:
    """An event's outcome with what its report says."""

    outcome: Outcome
    report: Report


class LambdaWorker:
    """Made by `start`. `usable` is False once the process has ended."""

    def __init__(self, version: FunctionVersion, logs: LogStream, scratch: Path) -> None:
        self.version = version
        self.logs = logs
        self.scratch = scratch
        self.init_ms: float | None = None
        self._api = RuntimeApi()
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._condemned = False
        self._request_id = ""
        self._faults: Faults | None = None

    @classmethod
    async def start(cls, starter: Starter, version: FunctionVersion, *, provisioned: bool) -> LambdaWorker:
        """A worker that waits for its first event. InitFailed after a second attempt, as on AWS."""
        limit = INIT_PROVISIONED_S if provisioned else INIT_S
        try:
            return await cls._attempt(starter, version, provisioned=provisioned, limit_s=limit)
        except InitFailed:
            if provisioned:
                raise
        return await cls._attempt(starter, version, provisioned=False, limit_s=version.timeout_s)

    @classmethod
    async def _attempt(cls, starter: Starter, version: FunctionVersion, *, provisioned: bool, limit_s: float) -> LambdaWorker:
        worker = cls(version, starter.logs(version), starter.scratch())
        worker._faults = starter.faults
        began = time.perf_counter()
        try:
            address = await worker._api.open()
            worker._process = await starter.launch(version, worker, address, provisioned=provisioned)
            worker._watch = asyncio.get_running_loop().create_task(worker._watch_process(worker._process))
            async with asyncio.timeout(limit_s):
                failed = await asyncio.shield(worker._api.ready)
        except TimeoutError:
            await worker._give_up(init_line(version, limit_s * 1000, "timeout"))
            text = f"RequestId: {uuid.uuid4()} Error: Task timed out after {limit_s:.2f} seconds"
            raise InitFailed(failure("Sandbox.Timedout", text)) from None
        except BaseException:
            await worker._give_up(None)
            raise
        took = (time.perf_counter() - began) * 1000
        if failed is not None:
            await worker._give_up(init_line(version, took, "error"))
            raise InitFailed(failed)
        worker.init_ms = None if provisioned else took
        return worker

    @property
    def usable(self) -> bool:
        return self._process is not None and self._process.running and not self._condemned

    async def serve(self, payload: bytes, function_arn: str) -> Served:
        """Run one event to its end; a worker that timed out is not usable afterwards."""
        request_id, timeout_s = str(uuid.uuid4()), float(self.version.timeout_s)
        self._request_id = request_id
        init_ms, self.init_ms = self.init_ms, None
        for line in start_lines(self.version, request_id):
            self.logs.write(line)
        began = time.perf_counter()
        event = Event(
            request_id=request_id,
            payload=payload,
            function_arn=function_arn,
            deadline_ms=int((time.time() + timeout_s) * 1000),
            trace_id=f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        )
        status = "success"
        kind, when = (self._faults.execution("lambda") if self._faults else None) or ("", 0.0)
        try:
            async with asyncio.timeout(timeout_s):
                outcome = await (self._wrong(kind) if kind in ("error", "timeout") else self._answer(event, kind, when))
            if outcome.error:
                status = "error"
        except TimeoutError:
            status, self._condemned = "timeout", True
            outcome = failure("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds")
            self.logs.write(f"{request_id} Task timed out after {timeout_s:.2f} seconds")
        except BaseException:
            self._condemned = True
            raise
        return self._reported(outcome, request_id, status, (time.perf_counter() - began) * 1000, init_ms)

    async def _answer(self, event: Event, kind: str, when: float) -> Outcome:
        """What the process answers; where a test wants it killed, it is, in the middle of its event."""
        answer = self._api.send(event)
        if kind == "kill":
            assert self._process is not None
            asyncio.get_running_loop().call_later(when * KILL_WITHIN_S, self._process.signal, signal.SIGKILL)
        outcome = await asyncio.shield(answer)
        return self._killed_before_its_answer(event.request_id) if kind == "kill" and not outcome.error else outcome

    async def _wrong(self, kind: str) -> Outcome:
        """What a test asked for in place of an answer: an error that nobody caught, or none for as long as the test says."""
        if kind == "error":
            return failure("RuntimeError", "a test asked for this error")
        assert self._faults is not None
        await asyncio.sleep(self._faults.hold_s)
        # Where that was not the function's whole time.
        raise TimeoutError

    def _killed_before_its_answer(self, request_id: str) -> Outcome:
        """An execution that was over before its kill: the process dies when all is done, and nobody hears that it was."""
        assert self._process is not None
        self._condemned = True
        self._process.signal(signal.SIGKILL)
        return failure("Runtime.ExitError", _exited(request_id, -signal.SIGKILL))

    async def stop(self) -> None:
        """End the process, then everything that served it."""
        self._condemned = True
        if self._process is not None:
            await self._process.stop(STOP_GRACE_S)
        if self._watch is not None:
            await self._watch
        await self._api.close()
        self.logs.flush()
        await asyncio.get_running_loop().run_in_executor(None, lambda: shutil.rmtree(self.scratch, ignore_errors=True))

    def _reported(self, outcome: Outcome, request_id: str, status: str, took: float, init_ms: float | None) -> Served:
        assert self._process is not None
        self._process.drain()
        self._process.measure()
        report = Report(
            request_id=request_id,
            duration_ms=took,
            init_ms=init_ms,
            peak_mb=-(-self._process.peak_bytes // MIB),
            status=status,
            error="Runtime.OutOfMemory" if self._process.out_of_memory else outcome.error,
        )
        for line in report_lines(self.version, report):
            self.logs.write(line)
        return Served(outcome=outcome, report=report)

    async def _give_up(self, line: str | None) -> None:
        await self.stop()
        if line is not None:
            self.logs.write(line)
            self.logs.flush()

    async def _watch_process(self, process: Process) -> None:
        code = await process.wait()
        self._api.fail(failure("Runtime.ExitError", _exited(self._request_id or str(uuid.uuid4()), code)))


def _exited(request_id: str, code: int) -> str:
    """What Lambda says of a runtime that ended in the middle of an event."""
    reason = "signal: killed" if code == -9 else f"signal: {-code}" if code < 0 else f"exit status {code}"
    return f"RequestId: {request_id} Error: Runtime exited with error: {reason}"

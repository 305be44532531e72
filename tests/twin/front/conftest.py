"""A front on a free port of 127.0.0.1, around a small declared account; functions are played by the tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config

from pilotlight.twin.aws.gateway import Gateway
from pilotlight.twin.aws.logs import Logs
from pilotlight.twin.aws.logs_api import LogsService
from pilotlight.twin.aws.sqs import SqsService
from pilotlight.twin.aws.sts import StsService
from pilotlight.twin.client import DEPLOYER_KEY
from pilotlight.twin.control import Control
from pilotlight.twin.emulators import Emulators
from pilotlight.twin.faults import Faults
from pilotlight.twin.forward import Forwarder
from pilotlight.twin.front import Front
from pilotlight.twin.iam import Credentials
from pilotlight.twin.metrics import Metrics, series
from pilotlight.twin.processes import Processes
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.timers import Timers
from tests.parts.twin.front.declared import ACCOUNT, SECRET, Declared


@dataclass
class Reply:
    payload: bytes
    function_error: str | None = None


def ok(event: dict[str, Any]) -> Any:
    """The function that answers with the event it got."""
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}


@dataclass
class PlayedFunctions:
    """Stands where the function service stands: `play` is the function, `calls` what the gateways asked for."""

    play: Callable[[dict[str, Any]], Any | Awaitable[Any]] = ok
    calls: list[dict[str, Any]] = field(default_factory=list)
    name: str = "lambda"

    async def invoke(self, function: str, qualifier: str | None, payload: bytes, *, source: str | None, source_arn: str | None) -> Reply:
        self.calls.append({"function": function, "qualifier": qualifier, "source": source, "source_arn": source_arn})
        result = self.play(json.loads(payload))
        if asyncio.iscoroutine(result):
            result = await result
        return result if isinstance(result, Reply) else Reply(json.dumps(result).encode())

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return [("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:api")]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        if request.method != "POST":
            raise Refusal("ResourceNotFoundException", "Function not found", 404)
        return AwsResponse(body=request.body)


class RunningFront:
    """The front in a loop of its own thread. `functions`, `faults`, `logs` and `account` may be changed while it runs."""

    def __init__(self, home: Path, *, emulated: bool) -> None:
        self.account = Declared(home)
        self.functions = PlayedFunctions()
        self.faults = Faults()
        self._emulated = emulated
        self._home = home
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(30), "the front did not come up"

    async def _main(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        # Whoever connects before the server takes it on waits, and is not refused.
        listener.listen()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.account.twin.front_url = self.url
        self.loop, self.processes = asyncio.get_running_loop(), Processes()
        self.emulators = Emulators(self._home, self.processes, account=ACCOUNT)
        world, iam, clock = self.account.world, self.account.iam, self.account.twin.clock
        self.logs = Logs(self._home, world, iam, account=ACCOUNT, region="us-east-1", now=clock.now)
        self.metrics = Metrics(clock.now)
        forwarder = Forwarder(self.emulators)
        twin, sqs = self.account.twin, SqsService()
        twin.home, twin.loop, twin.faults, twin.timers = self._home, self.loop, self.faults, Timers(clock)
        sqs.attach(twin)
        await twin.timers.start()
        await sqs.start()
        services: Any = (self.functions, sqs, StsService(iam), LogsService(self.logs, world))
        front = Front(
            iam=iam,
            world=world,
            faults=self.faults,
            services=services,
            forwarder=forwarder,
            gateway=Gateway(
                world=world,
                iam=iam,
                functions=self.functions,
                logs=self.logs,
                account=ACCOUNT,
                now=clock.now,
                monotonic=clock.now,
                metrics=self.metrics,
            ),
            control=Control("token", providers=self._no_providers, stop=lambda: None),
            account=ACCOUNT,
        )
        if self._emulated:
            await self.emulators.start()
        config = uvicorn.Config(front, log_level="error", lifespan="off", access_log=False, timeout_graceful_shutdown=1, ws="none")
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        self._ready.set()
        await serving
        await twin.timers.close()
        await sqs.close()
        await self.emulators.stop()
        await self.processes.stop_all()
        forwarder.close()

    def total(self, namespace: str, metric: str, statistic: str = "Sum", **dimensions: str) -> float | None:
        """A metric of the last minutes."""
        now = self.account.twin.clock.now()
        return self.metrics.statistic(series(namespace, metric, dimensions), now - 300, now + 60, statistic)

    def counted(self, namespace: str, metric: str, wanted: float, **dimensions: str) -> bool:
        """Whether a count becomes this: a call is counted when its answer is on its way."""
        until = time.monotonic() + 20
        while (self.total(namespace, metric, **dimensions) or 0) < wanted and time.monotonic() < until:
            time.sleep(0.01)
        return self.total(namespace, metric, **dimensions) == wanted

    async def _no_providers(self, folder: Path) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.account.world.close()

    def client(self, service: str, credentials: Credentials | None = None, **config: Any) -> Any:
        """A boto3 client, of the deployer or of a role."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=credentials.access_key_id if credentials else DEPLOYER_KEY,
            aws_secret_access_key=credentials.secret_access_key if credentials else SECRET,
            aws_session_token=credentials.session_token if credentials else None,
            config=Config(**{"retries": {"max_attempts": 1}, **config}),
        )


@pytest.fixture
def front(tmp_path: Path) -> Iterator[RunningFront]:
    """Without an emulator: gateways, STS, logs."""
    running = RunningFront(tmp_path, emulated=False)
    yield running
    running.close()


@pytest.fixture(scope="module")
def emulated() -> Iterator[RunningFront]:
    """With S3 and DynamoDB, shared by the tests of a file: they use names of their own."""
    with tempfile.TemporaryDirectory() as home:
        running = RunningFront(Path(home), emulated=True)
        yield running
        running.close()


@pytest.fixture(autouse=True)
def _no_aws_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")

"""One instance of a serverless endpoint: the image's process, proven by `/ping`, asked one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from components import limits
from pilotlight.twin.aws.compute_logs import LogStream
from pilotlight.twin.images import ImageRefused
from pilotlight.twin.ports import port_for_later
from pilotlight.twin.processes import Process
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.aws.sagemaker_deployment import Deployment
    from pilotlight.twin.twin import Twin

MODEL_DIR = "/opt/ml/model"
PING_EVERY_S = 0.01
PING_TIMEOUT_S = 2.0
STOP_GRACE_S = 10.0
# A connection is not used again later than this: model servers close idle ones after a few seconds (uvicorn: 5), and a request that
# meets the closing would be lost.
KEEP_ALIVE_S = 2.0


class InstanceFailed(Exception):
    """The container did not come up; the message is AWS's failure reason with what the container said last."""


class Instance:
    """Made by `start`. `start_ms` is the time from the process's start to its first good ping."""

    def __init__(self, deployment: Deployment, logs: LogStream, scratch: Path) -> None:
        self.deployment = deployment
        self.logs = logs
        self.scratch = scratch
        self.start_ms = 0.0
        self._process: Process | None = None
        self._client: httpx.AsyncClient | None = None
        self._condemned = False

    @classmethod
    async def start(cls, twin: Twin, deployment: Deployment, model: Path | None) -> Instance:
        """A ready instance. InstanceFailed when it ends, or does not answer 200 within SageMaker's three minutes."""
        stream = f"{deployment.variant}/{secrets.token_hex(16)}"
        instance = cls(
            deployment, LogStream(twin, deployment.log_group, stream, deployment.role), twin.home / "run" / "tmp" / secrets.token_hex(8)
        )
        began = time.perf_counter()
        try:
            await instance._launch(twin, model)
            async with asyncio.timeout(limits.SAGEMAKER_START_S.high):
                await instance._until_healthy()
        except TimeoutError:
            await instance.stop()
            raise instance._failure("did not pass the ping health check") from None
        except ImageRefused as error:
            await instance.stop()
            raise InstanceFailed(str(error)) from None
        except BaseException:
            await instance.stop()
            raise
        instance.start_ms = (time.perf_counter() - began) * 1000
        return instance

    @property
    def usable(self) -> bool:
        return self._process is not None and self._process.running and not self._condemned

    @property
    def out_of_memory(self) -> bool:
        return self._process is not None and self._process.out_of_memory

    def condemn(self) -> None:
        """Not to be used again: its request was given up and may still be running."""
        self._condemned = True

    async def invoke(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> httpx.Response:
        """The container's answer. httpx.HTTPError when there is none in time, or none at all."""
        assert self._client is not None
        return await self._client.post("/invocations", content=body, headers=dict(headers), timeout=httpx.Timeout(timeout_s))

    async def stop(self) -> None:
        """SIGTERM, and ten seconds for what it has under way."""
        self._condemned = True
        if self._process is not None:
            await self._process.stop(STOP_GRACE_S)
        if self._client is not None:
            await self._client.aclose()
        self.logs.flush()
        await asyncio.get_running_loop().run_in_executor(None, lambda: shutil.rmtree(self.scratch, ignore_errors=True))

    async def _launch(self, twin: Twin, model: Path | None) -> None:
        deployment, port = self.deployment, port_for_later()
        try:
            credentials = twin.iam.credentials(deployment.role)
        except Refusal as refusal:
            raise InstanceFailed(f"The execution role {deployment.role} cannot be assumed any more: {refusal.message}") from None
        env = {
            **deployment.environment,
            "PORT": str(port),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "AWS_REGION": deployment.region,
            "AWS_DEFAULT_REGION": deployment.region,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_ENDPOINT_URL": twin.front_url,
        }
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S, max_connections=4)
        )
        self._process = await twin.images.launch(
            deployment.image,
            env=env,
            mounts={} if model is None else {MODEL_DIR: model},
            memory_mb=deployment.memory_mb,
            on_line=self.logs.write,
            name=f"endpoint {deployment.endpoint}",
            argv_suffix=("serve",),
            scratch=self.scratch,
            scratch_mb=limits.SAGEMAKER_DISK_BYTES.high // 1024**2,
        )

    async def _until_healthy(self) -> None:
        assert self._client is not None
        while True:
            if not self.usable:
                raise self._failure("exited" if not self.out_of_memory else f"needs more than its {self.deployment.memory_mb} MB of memory")
            with contextlib.suppress(httpx.HTTPError):
                if (await self._client.get("/ping", timeout=PING_TIMEOUT_S)).status_code == 200:
                    return
            await asyncio.sleep(PING_EVERY_S)

    def _failure(self, what: str) -> InstanceFailed:
        if self._process is not None:
            self._process.drain()
        said = f" It said: {' | '.join(self.logs.tail[-3:])}" if self.logs.tail else ""
        return InstanceFailed(
            f"The primary container for production variant {self.deployment.variant} {what}. "
            f"Please check CloudWatch logs for this endpoint ({self.deployment.log_group}).{said}"
        )

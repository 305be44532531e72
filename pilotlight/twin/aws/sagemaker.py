"""SageMaker serverless endpoints: deployed, updated without a lost request, scaled from zero, invoked."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import sagemaker_api, sagemaker_rows, sagemaker_updates
from pilotlight.twin.aws.compute_settings import initial_keep_warm_s
from pilotlight.twin.aws.metric_sources import endpoint_called
from pilotlight.twin.aws.pool import Pool
from pilotlight.twin.aws.sagemaker_deployment import DEPLOYMENT, Deployment, artifact_of, container_of, judge_model, planned, saved
from pilotlight.twin.aws.sagemaker_instance import Instance, InstanceFailed
from pilotlight.twin.aws.sagemaker_invoke import ask, container_status, judge_request, model_error
from pilotlight.twin.aws.unpack import BadArchive, prune, sha256_of, unpack_once, untar
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
ROWS = sagemaker_rows.ROWS
RECONCILE_S = 2.0
DELETE_GRACE_S = 5.0
# Unpacked models that no endpoint was deployed with for so long are removed from the cache.
KEEP_MODELS_S = 30 * 24 * 3600
# SageMaker developer guide, serverless endpoints: 5 GB of disk for image and model together.
MODEL_BYTES = 5 * 1024**3


@dataclass(kw_only=True)
class Live:
    """A deployment that takes requests, and how many it has in hand."""

    deployment: Deployment
    pool: Pool[Instance]
    running: int = 0


class SageMakerService:
    """`attach` it to its twin before use; everything else runs in the twin's loop.

    `keep_warm_s` is how long an idle instance stays and may be changed at any time.
    """

    name = "sagemaker"

    def __init__(self) -> None:
        self.keep_warm_s = initial_keep_warm_s()
        self.updating: set[str] = set()
        self.failures: dict[str, str] = {}
        self._live: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reconciler: asyncio.Task[None] | None = None

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self._models = twin.cache / "models"

    async def start(self) -> None:
        """Bring provisioned instances up, and keep them so."""
        self._reconciler = asyncio.get_running_loop().create_task(self._reconcile())

    async def close(self) -> None:
        """Stop every instance."""
        if self._reconciler is not None:
            self._reconciler.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(live.pool.kill() for live in self._live.values()))

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return sagemaker_updates.actions(self, request) or sagemaker_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return sagemaker_updates.handle(self, request) or await sagemaker_api.handle(self, request)

    async def invoke_endpoint(self, name: str, body: bytes, headers: Mapping[str, str]) -> AwsResponse:
        """The container's answer, or ModelError. Refusal: ValidationError (no endpoint, too large), ThrottlingException."""
        live = self._find(name)
        judge_request(body, headers)
        if live.running >= live.deployment.max_concurrency:
            raise Refusal("ThrottlingException", "Rate exceeded", 429)
        live.running += 1
        began = time.perf_counter()
        try:
            instance, _ = await live.pool.acquire()
            began = time.perf_counter()
            try:
                answer = await ask(self.twin, instance, body, headers)
            finally:
                live.pool.release(instance)
        except InstanceFailed as error:
            answer = model_error(self.twin, live.deployment, 500, str(error))
        finally:
            live.running -= 1
        took = (time.perf_counter() - began) * 1_000_000
        endpoint_called(self.twin.metrics, name, live.deployment.variant, status=container_status(answer), model_us=took)
        return answer

    def ready(self, name: str) -> int:
        """How many instances of the endpoint wait for a request."""
        live = self._live.get(name)
        return live.pool.idle if live else 0

    async def deploy(self, endpoint: str, region: str, config: str) -> None:
        """Serve the configuration from now on. It is proven by one instance first; until then, and when it fails, all stays as it was.

        Refusal for what CreateModel refuses, while the endpoint is being updated, and, with AWS's failure reason, when the instance does
        not answer its ping.
        """
        self.begin(endpoint, region)
        await self.finish(endpoint, region, config)

    def begin(self, endpoint: str, region: str) -> None:
        """From now on the endpoint is Updating. Refusal ValidationException where it is already."""
        if endpoint in self.updating:
            arn = f"arn:aws:sagemaker:{region}:{self.twin.account}:endpoint/{endpoint.lower()}"
            raise Refusal("ValidationException", f'Cannot update in-progress endpoint "{arn}".')
        self.updating.add(endpoint)

    async def finish(self, endpoint: str, region: str, config: str, provisioned: int | None = None) -> None:
        """What `begin` announced; `provisioned` in place of what the configuration says. Refusal as `deploy`."""
        try:
            deployment, model = planned(self.twin, endpoint, region, config)
            deployment = deployment if provisioned is None else replace(deployment, provisioned=provisioned)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, judge_model, self.twin, model)
            deployment = replace(deployment, model=await loop.run_in_executor(None, self._unpacked, artifact_of(container_of(model))))
            pool = self._pool(deployment)
            await self._prove(deployment, pool)
            await pool.set_floor(deployment.provisioned)
            await self._match(endpoint, deployment, pool)
        except InstanceFailed as error:
            self.failures[endpoint] = str(error)
            raise Refusal("FailedEndpoint", f"unexpected state 'Failed', wanted target 'InService'. last error: {error}") from None
        finally:
            self.updating.discard(endpoint)
        self.failures.pop(endpoint, None)
        old = self._live.get(endpoint)
        deployment.save(self.twin.world)
        self._live[endpoint] = Live(deployment=deployment, pool=pool)
        if old is not None:
            self._background(old.pool.drain())

    async def resize(self, endpoint: str, provisioned: int, max_concurrency: int | None) -> None:
        """Have other instances provisioned, after `begin`; what the configuration says comes back with the next deployment."""
        live = self._find(endpoint)
        before = live.deployment
        most = before.max_concurrency if max_concurrency is None else max_concurrency
        # Recorded first: what keeps instances up must not work against this meanwhile.
        live.deployment = replace(before, provisioned=provisioned, max_concurrency=most)
        try:
            await live.pool.set_floor(provisioned)
            live.deployment.save(self.twin.world)
        except (InstanceFailed, OSError) as error:
            live.deployment = before
            self.failures[endpoint] = str(error)
            LOG.warning("Provisioned concurrency of %s is not there: %s", endpoint, error)
        finally:
            self.updating.discard(endpoint)

    def provisioned(self, endpoint: str) -> int:
        """The provisioned concurrency that the endpoint has now. Refusal ValidationError where there is no such endpoint."""
        return self._find(endpoint).deployment.provisioned

    async def forget(self, endpoint: str) -> None:
        """The endpoint is deleted: no new request, and its instances stop when they are done, or after a few seconds."""
        self.twin.world.delete(DEPLOYMENT, endpoint)
        live = self._live.pop(endpoint, None)
        if live is not None:
            await live.pool.end(DELETE_GRACE_S)

    async def _prove(self, deployment: Deployment, pool: Pool[Instance]) -> None:
        """One instance answers its ping. After an update it stays, so that nobody waits; a new endpoint begins at zero."""
        instance = await Instance.start(self.twin, deployment, self._model_folder(deployment))
        if deployment.endpoint in self._live or deployment.provisioned:
            pool.adopt(instance)
        else:
            await instance.stop()

    async def _match(self, endpoint: str, deployment: Deployment, pool: Pool[Instance]) -> None:
        """As many new instances as the old configuration has running, so that its traffic finds none of them cold."""
        old = self._live.get(endpoint)
        if old is not None:
            await pool.grow(min(old.pool.idle + old.pool.busy, deployment.max_concurrency))

    def _pool(self, deployment: Deployment) -> Pool[Instance]:
        async def start(provisioned: bool) -> Instance:
            return await Instance.start(self.twin, deployment, self._model_folder(deployment))

        return Pool(start, lambda: self.keep_warm_s, self.twin.timers)

    def _find(self, name: str) -> Live:
        """The endpoint as it serves; after a restart it is taken from the record."""
        live = self._live.get(name)
        if live is None:
            deployment = saved(self.twin.world, name)
            if deployment is None:
                raise Refusal("ValidationError", f"Endpoint {name} of account {self.twin.account} not found.")
            live = self._live[name] = Live(deployment=deployment, pool=self._pool(deployment))
        return live

    def _unpacked(self, artifact: tuple[str, str] | None) -> str | None:
        """The cache key of the artifact's files: fetched, and unpacked once per content."""
        if artifact is None:
            return None
        incoming = self.twin.home / "sagemaker" / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        file = incoming / f"{secrets.token_hex(8)}.tar.gz"
        try:
            self.twin.s3.download(*artifact, file)
            key = sha256_of(file).hex()
            unpack_once(file, self._models / key, limit=MODEL_BYTES, unpack=untar)
            (self._models / key).touch()
            served = {str(record["model"]) for record in self.twin.world.find(DEPLOYMENT)}
            prune(self._models, older_than_s=KEEP_MODELS_S, keep=served)
        except BadArchive as error:
            text = f"Failed to extract model data archive from s3://{'/'.join(artifact)}: {error}. Please make it a valid .tar.gz file."
            raise Refusal("ValidationException", text) from None
        finally:
            file.unlink(missing_ok=True)
        return key

    def _model_folder(self, deployment: Deployment) -> Path | None:
        if deployment.model is None:
            return None
        folder = self._models / deployment.model
        if not folder.is_dir():
            raise InstanceFailed(f"The unpacked model {deployment.model} is gone from the cache: bring the stack up again.")
        return folder

    async def _reconcile(self) -> None:
        """What is declared as provisioned is running: after a restart, after an instance died."""
        while True:
            for record in self.twin.world.find(DEPLOYMENT):
                if int(record["provisioned"]) > 0:
                    try:
                        live = self._find(record["endpoint"])
                        await live.pool.set_floor(live.deployment.provisioned)
                    except (Refusal, InstanceFailed, OSError, RuntimeError) as error:
                        LOG.warning("Provisioned concurrency of %s is not there: %s", record["endpoint"], error)
            await asyncio.sleep(RECONCILE_S)

    def _background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

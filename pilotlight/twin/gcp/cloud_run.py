"""Cloud Run: services as processes of their images, behind addresses at the twin's front."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.forms import short
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.cloud_run_door import NAME, Door
from pilotlight.twin.gcp.cloud_run_instances import Instances
from pilotlight.twin.gcp.cloud_run_revision import Instance, InstanceFailed, Revision, floor_of, revision_of
from pilotlight.twin.gcp.logging_plane import PLACE as LOGS
from pilotlight.twin.gcp.metadata import MetadataServer
from pilotlight.twin.gcp.run_api import VARIABLE, RunApi
from pilotlight.twin.gcp.types import RUN_SERVICE
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# What the API set a service's floor to after a program wrote it last; no program declares it, so the engine never sees it.
FLOOR = "twin:run/floor:Floor"
_LOG = logging.getLogger(__name__)


class CloudRun(Plane):
    """The services of the world, by id. Instances start with a service's first request, or at once up to its floor."""

    # Where instances write.
    needs = (LOGS,)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._tokens = twin.gcp.tokens(twin)
        self._metadata = MetadataServer(self._tokens)
        self._serving: dict[str, Instances] = {}
        # Of earlier revisions, at the requests that they still have.
        self._leaving: dict[str, set[Instances]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Answer at the front; services of before have their floor again, in the background."""
        for service in self.twin.world.find(RUN_SERVICE):
            try:
                instances = self._instances(revision_of(self.twin, service))
            except Refusal as refusal:
                _LOG.warning("%s is not served: %s", service.id, refusal.message)
                continue
            self._serving[service.id] = instances
            self._background(self._kept(service.id, instances, floor_of(self.live(service))))
        self.twin.gcp.handlers[NAME] = Door(self.twin, self._tokens, self._serving)
        self.twin.gcp.handlers[RunApi.name] = RunApi(self)
        self.twin.gcp.apis[VARIABLE] = RunApi.name
        self.twin.gcp.id_token = self._tokens.identity

    async def close(self) -> None:
        self.twin.gcp.apis.pop(VARIABLE, None)
        for name in (NAME, RunApi.name):
            self.twin.gcp.handlers.pop(name, None)
        self.twin.gcp.id_token = None
        await asyncio.gather(*(instances.stop() for instances in self._serving.values()))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._metadata.close()

    def create(self, resource: Resource) -> Mapping[str, Any]:
        self.twin.wait(self._replace(resource, revision_of(self.twin, resource)))
        return self._outputs(resource)

    def update(self, old: Resource, new: Resource) -> Mapping[str, Any]:
        """A new revision takes over once an instance of it is ready, where the old one has any; the old one ends what it has."""
        self.twin.wait(self._replace(new, revision_of(self.twin, new)))
        return self._outputs(new)

    def delete(self, resource: Resource) -> None:
        self.twin.wait(self._removed(resource.id))
        self.twin.world.delete(FLOOR, resource.id)

    def read(self, resource: Resource) -> dict[str, Any] | None:
        return dict(self.live(resource).outputs)

    def live(self, service: Resource) -> Resource:
        """The service with the floor that it has, whoever set it."""
        held = self.twin.world.get(FLOOR, service.id)
        if held is None:
            return service
        return replace(
            service, outputs={**service.outputs, "scaling": {**(service.get("scaling") or {}), "minInstanceCount": held["count"]}}
        )

    def set_floor(self, service: Resource, count: int) -> None:
        """What is missing is started, and a fast-forward waits for it; what is too much ends when it is idle. In the twin's loop."""
        self.twin.world.put(Resource(token=FLOOR, id=service.id, urn="", outputs={"count": count}))
        instances = self._serving.get(service.id)
        if instances is not None:
            self.twin.timers.spawn(self._kept(service.id, instances, floor_of(self.live(service))))

    def _outputs(self, service: Resource) -> Mapping[str, Any]:
        """The address, wherever Cloud Run tells it."""
        url = address(self.twin, service)
        return {"uri": url, "urls": [url], "trafficStatuses": [{**one, "uri": url} for one in service["trafficStatuses"]]}

    async def _replace(self, service: Resource, revision: Revision) -> None:
        before, floor = self._serving.get(service.id), floor_of(service)
        if before is not None and before.revision == revision:
            self.twin.world.delete(FLOOR, service.id)
            await self._ready(before, floor, before.size)
            return
        instances = self._instances(revision)
        try:
            await self._ready(instances, floor, 1 if before is not None and before.size else 0)
        except BaseException:
            await instances.stop()
            raise
        self._serving[service.id] = instances
        self.twin.world.delete(FLOOR, service.id)
        if before is not None:
            self._background(self._left(service.id, before))

    async def _left(self, service: str, instances: Instances) -> None:
        leaving = self._leaving.setdefault(service, set())
        leaving.add(instances)
        try:
            await instances.drain()
        finally:
            leaving.discard(instances)

    async def _removed(self, service: str) -> None:
        """Every revision goes with its service, whatever it is at."""
        serving = self._serving.pop(service, None)
        gone = self._leaving.pop(service, set()) | ({serving} if serving is not None else set())
        await asyncio.gather(*(instances.stop() for instances in gone))

    async def _ready(self, instances: Instances, floor: int, least: int) -> None:
        """Refusal where the instances do not start."""
        try:
            await instances.set_floor(floor)
            await instances.grow(least)
        except InstanceFailed as error:
            raise Refusal("FAILED_PRECONDITION", str(error)) from None

    async def _kept(self, service: str, instances: Instances, floor: int) -> None:
        try:
            await instances.set_floor(floor)
        except InstanceFailed as error:
            _LOG.warning("%s has not its %s instances: %s", service, floor, error)

    def _instances(self, revision: Revision) -> Instances:
        async def start() -> Instance:
            return await Instance.start(self.twin, revision, await self._variables(revision))

        return Instances(revision, start, self.twin.timers)

    async def _variables(self, revision: Revision) -> dict[str, str]:
        """Where an instance finds its identity, and Google's services under it."""
        places = await self.twin.gcp.variables(self.twin, Caller(revision.identity.email))
        return {**places, **await self._metadata.variables(revision.identity)}

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_told)


def address(twin: Twin, service: Resource) -> str:
    """What a service is called at, which is also the audience of the ID tokens for it."""
    return twin.gcp.url(twin, NAME, service["project"], service["location"], short(service["name"]))


def _told(task: asyncio.Task[Any]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        if (error := task.exception()) is not None:
            _LOG.error("a change of a service failed", exc_info=error)

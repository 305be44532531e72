"""Container Apps: apps as processes of their images behind the ingress, jobs as processes that end."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.app_jobs import Jobs, trusted
from pilotlight.twin.azure.apps_door import NAME, Door, host_of
from pilotlight.twin.azure.apps_revision import Revision, revision_of
from pilotlight.twin.azure.identities import system_assigned
from pilotlight.twin.azure.inhabitants import Inhabitants
from pilotlight.twin.azure.log_analytics import PLACE as LOGS
from pilotlight.twin.azure.replica import Replica, ReplicaFailed
from pilotlight.twin.azure.replicas import Gone, Replicas
from pilotlight.twin.azure.scale_rules import QueueRule
from pilotlight.twin.azure.storage_plane import StoragePlane
from pilotlight.twin.azure.types import APP, IDENTITY, JOB, STORAGE_ACCOUNT
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# What KEDA needs of a queue to be told its length (the role Storage Queue Data Reader has it).
_READ_QUEUE = "Microsoft.Storage/storageAccounts/queueServices/queues/read"
_STORAGE = "storage_plane:StoragePlane"
_LOG = logging.getLogger(__name__)


class AppsPlane(Plane):
    """The apps and jobs of the world, by id."""

    needs = ("identity_plane:IdentityPlane", LOGS)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._serving: dict[str, Replicas] = {}
        self._hosts: dict[str, str] = {}
        self._inhabitants = Inhabitants()
        # A folder with the certificate alone: what else is beside it is the twin's own.
        self._authority = twin.home / "run" / "azure-ca"
        self.jobs = Jobs(twin, self._authority, self._inhabitants)
        self._tasks: set[asyncio.Task[Any]] = set()
        # By the app's id, revisions that end what they have under way.
        self._leaving: dict[str, set[asyncio.Task[Any]]] = {}

    async def start(self) -> None:
        """Answer at the front; apps of before have their least replicas again, in the background."""
        self._authority.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.twin.azure.ca_file(self.twin), self._authority / "ca.pem")
        for app in self.twin.world.find(APP):
            try:
                replicas = self._replicas(app, revision_of(self.twin, app))
            except Refusal as refusal:
                _LOG.warning("%s is not served: %s", app.id, refusal.message)
                continue
            self._serve(app, replicas)
            self._background(self._kept(replicas))
        for job in self.twin.world.find(JOB):
            self.jobs.set(job)
        self.twin.azure.handlers[NAME] = Door(self.twin, self._hosts, self._serving, self._inhabitants)

    async def close(self) -> None:
        self.twin.azure.handlers.pop(NAME, None)
        await asyncio.gather(self.jobs.close(), *(replicas.stop() for replicas in self._serving.values()))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def create(self, resource: Resource) -> Mapping[str, Any] | None:
        if resource.token == APP:
            self.twin.wait(self._replace(resource))
        elif resource.token == JOB:
            self.twin.wait(_called(lambda: self.jobs.set(resource)))
        return None

    def update(self, old: Resource, new: Resource) -> Mapping[str, Any] | None:
        """A new revision takes over once as many replicas of it as the old one has take requests; the old one ends what it has."""
        return self.create(new)

    def delete(self, resource: Resource) -> None:
        if resource.token == APP:
            self.twin.wait(self._removed(resource))
        elif resource.token == JOB:
            self.twin.wait(self.jobs.remove(resource))

    def replicas(self, app: Resource) -> Replicas:
        """The replicas of the app's revision."""
        return self._serving[app.id]

    async def _replace(self, app: Resource) -> None:
        revision, before = revision_of(self.twin, app), self._serving.get(app.id)
        if before is not None and before.revision.same(revision):
            self._serve(app, before)
            return
        replicas = self._replicas(app, revision)
        # A new revision starts one at least, whatever its minimum: that is how Azure knows whether it starts (documentation, "Revisions").
        count = min(max(1, revision.scale.low, before.wanted if before else 0), revision.scale.high)
        try:
            await replicas.ensure(count)
        except (ReplicaFailed, Gone) as error:
            await replicas.stop()
            raise Refusal("ContainerAppOperationError", f"Failed to provision revision for container app. Error details: {error}") from None
        except BaseException:
            await replicas.stop()
            raise
        self._serve(app, replicas)
        if before is not None:
            leaving = self._leaving.setdefault(app.id, set())
            task = self._background(before.stop())
            leaving.add(task)
            task.add_done_callback(leaving.discard)

    def _serve(self, app: Resource, replicas: Replicas) -> None:
        self._forget(app)
        self._serving[app.id] = replicas
        if (app.get("configuration") or {}).get("ingress"):
            self._hosts[host_of(app)] = app.id

    def _forget(self, app: Resource) -> None:
        for host in [host for host, id_ in self._hosts.items() if id_ == app.id]:
            del self._hosts[host]

    async def _removed(self, app: Resource) -> None:
        self._forget(app)
        if replicas := self._serving.pop(app.id, None):
            await asyncio.gather(replicas.stop(), *self._leaving.pop(app.id, ()))

    async def _kept(self, replicas: Replicas) -> None:
        try:
            await replicas.ensure(replicas.revision.scale.low)
        except (ReplicaFailed, Gone) as error:
            _LOG.warning("%s", error)

    def _replicas(self, app: Resource, revision: Revision) -> Replicas:
        async def start(ended: Callable[[Replica], None]) -> Replica:
            variables = {**self.twin.azure.variables(self.twin, app), **trusted()}
            return await Replica.start(
                self.twin, revision, variables, authority=self._authority, inhabitants=self._inhabitants, ended=ended
            )

        return Replicas(revision, start, lambda rule: self._length(app, rule), self.twin.timers)

    async def _length(self, app: Resource, rule: QueueRule) -> int:
        """How many messages a queue has; none where the rule's identity may not ask, and where there is no such queue."""
        account = next((one for one in self.twin.world.find(STORAGE_ACCOUNT) if one["name"] == rule.account), None)
        storage = self.twin.azure.planes.made(_STORAGE)
        if account is None or not isinstance(storage, StoragePlane):
            return 0
        queue = f"{account.id}/queueServices/default/queues/{rule.queue}"
        principal = self._principal(app, rule.identity)
        reason = self.twin.azure.iam.allowed(principal, _READ_QUEUE, queue) if principal else f"there is no identity {rule.identity}"
        if reason is not None:
            _LOG.warning("%s does not scale by the queue %s: %s", app.id, rule.queue, reason)
            return 0
        return await storage.queue_length(rule.account, rule.queue) or 0

    def _principal(self, app: Resource, identity: str) -> str | None:
        """The principal that a rule asks as."""
        if identity.lower() == "system":
            own = system_assigned(app)
            return own.principal_id if own else None
        found = arm.find(self.twin.world, identity)
        return str(found["principalId"]) if found is not None and found.token == IDENTITY else None

    def _background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_told)
        return task


async def _called(what: Callable[[], None]) -> None:
    what()


def _told(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("a change of an app failed", exc_info=error)

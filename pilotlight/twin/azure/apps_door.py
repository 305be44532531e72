"""The ingress of Azure's container apps: whether a request may come in, and what it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from components import limits_azure as limits
from pilotlight.twin.asgi import Answering, Request, Send, respond
from pilotlight.twin.azure.apps_revision import environment_id_of, short
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.easy_auth import EasyAuth, is_own
from pilotlight.twin.azure.inhabitants import Inhabitants
from pilotlight.twin.azure.monitor_counts import app_answered
from pilotlight.twin.azure.replica import ReplicaFailed
from pilotlight.twin.azure.replicas import Gone, Replicas
from pilotlight.twin.azure.types import APP, APP_AUTH
from pilotlight.twin.faults import KILL_WITHIN_S
from pilotlight.twin.passing import NOT_SENT_ON, Broken, Late, passed_on
from pilotlight.twin.peers import Peers
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.upstream import UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.azure.replica import Replica
    from pilotlight.twin.twin import Twin

# The front's name for container apps: `/_azure/app/FQDN/…`.
NAME = "app"
# Nothing is said of a largest body; this is so that no request fills the twin's memory.
BODY_BYTES = 128 * 1024 * 1024
_NOT_SENT_ON = NOT_SENT_ON | {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
# Envoy's words, which callers of a container app see.
_LATE = "stream timeout"
_BROKEN = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_LOG = logging.getLogger(__name__)


class _Denied(Exception):
    """The answer that a request gets instead of the container's."""

    def __init__(self, status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.response = AwsResponse(status=status, headers={"content-type": "text/plain", **dict(headers)}, body=text.encode())


class Door:
    """`hosts` are the ids of the apps by the hosts of their addresses; `serving` the replicas of each one's revision."""

    def __init__(self, twin: Twin, hosts: Mapping[str, str], serving: Mapping[str, Replicas], inhabitants: Inhabitants) -> None:
        self._twin = twin
        self._hosts = hosts
        self._serving = serving
        self._inhabitants = inhabitants
        self._peers = Peers()
        self._guards: dict[str, tuple[int, EasyAuth | None]] = {}
        if not Peers.KNOWN:
            _LOG.warning("This machine does not tell who calls: internal ingress lets everybody in.")

    async def handle(self, request: Request, send: Send) -> None:
        answering = send if isinstance(send, Answering) else Answering(request, send)
        try:
            app, target = self._named(request)
            if self._twin.faults.is_out(NAME):
                raise _Denied(503, "no healthy upstream: a test asked for an outage.")
            headers = self._judge(request, app, target)
            too_large = Refusal("RequestTooLarge", f"The request has more than {BODY_BYTES} bytes.", 413)
            await self._served(request, answering, app, target, headers, await request.body(BODY_BYTES, too_large))
        except Refusal as refusal:
            await respond(answering, _Denied(refusal.status, refusal.message).response)
        except _Denied as denied:
            await respond(answering, denied.response)

    def _named(self, request: Request) -> tuple[Resource, str]:
        """The app whose address the path names, and the target below it."""
        host, _, below = request.raw_path.removeprefix(f"{PREFIX}{NAME}/").partition("/")
        app = self._twin.world.get(APP, self._hosts.get(host, ""))
        if app is None or app.id not in self._serving:
            raise _Denied(404, f"This Container App is stopped or does not exist: no app with ingress has the address {host!r}.")
        return app, f"/{below}?{request.raw_query}" if request.raw_query else f"/{below}"

    def _judge(self, request: Request, app: Resource, target: str) -> list[tuple[str, str]]:
        """The headers that the container sees. _Denied where the network or Easy Auth keeps the caller out."""
        ingress = app["configuration"]["ingress"]
        pid = self._caller(request)
        # Who calls from this very process is one of Azure's services, which come by way of TLS; here it is saved.
        secure = request.scheme == "https" or pid == os.getpid()
        if not ingress.get("external") and not self._inside(pid, app):
            raise _Denied(404, "This Container App is stopped or does not exist: its ingress takes requests of its environment only.")
        if not secure and not ingress.get("allowInsecure"):
            raise _Denied(301, "", [("location", self._twin.azure.url(self._twin, NAME, host_of(app)) + target)])
        kept = [(name, value) for name, value in request.header_pairs if not _is_dropped(name)]
        if guard := self._guard(app):
            verdict = guard.judge(request, target.partition("?")[0])
            if verdict.status is not None:
                raise _Denied(verdict.status, verdict.text, verdict.headers)
            kept += verdict.headers
        forwarded = [("x-forwarded-for", request.source_ip), ("x-forwarded-host", host_of(app))]
        return [*kept, *forwarded, ("x-forwarded-proto", "https" if secure else "http")]

    def _caller(self, request: Request) -> int | None:
        """The process that calls: this one, or one that runs for an app or a job; None for any other."""
        return self._peers.pid(request, itertools.chain([os.getpid()], self._inhabitants.pids()))

    def _inside(self, pid: int | None, app: Resource) -> bool:
        if not Peers.KNOWN:
            return True
        return pid is not None and self._inhabitants.environment_of(pid) == environment_id_of(app.outputs).lower()

    def _guard(self, app: Resource) -> EasyAuth | None:
        """The app's authentication, read anew when the world has changed."""
        version = self._twin.world.version
        held = self._guards.get(app.id)
        if held is None or held[0] != version:
            configs = [one for one in self._twin.world.find(APP_AUTH) if one.id.lower().startswith(f"{app.id.lower()}/")]
            guards = [EasyAuth(one.outputs, self._twin.azure.tokens(self._twin)) for one in configs]
            held = (version, next((one for one in guards if one.enabled), None))
            self._guards[app.id] = held
        return held[1]

    async def _served(
        self, request: Request, send: Answering, app: Resource, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        now = asyncio.get_running_loop().time
        kind, when = self._twin.faults.execution(NAME, short(app)) or ("", 0.0)
        began = now()
        if kind == "timeout":
            await asyncio.sleep(min(self._twin.faults.hold_s, limits.CONTAINER_APPS_INGRESS_S.high))
            raise self._failed(app, 504, _LATE, now() - began)
        if kind == "error":
            raise self._failed(app, 503, _BROKEN, 0.0)
        while True:
            left = limits.CONTAINER_APPS_INGRESS_S.high - (now() - began)
            replica, replicas = await self._replica(app, left)
            taken = now()
            try:
                if kind == "kill":
                    await _killed(replica, request, target, headers, body, when)
                    raise self._failed(app, 503, _BROKEN, now() - taken)
                await passed_on(replica.container, request, send, target=target, headers=headers, body=body, timeout_s=left)
                return
            except Late:
                raise self._failed(app, 504, _LATE, now() - taken) from None
            except Broken as broken:
                # Else the next request would be given to what is ending.
                await replica.container.has_ended()
                # One that left just then has not seen it: another may have it.
                if broken.sent or replica.ready:
                    raise self._failed(app, 503, _BROKEN, now() - taken) from None
            finally:
                replicas.release(replica)
                if send.status is not None:
                    app_answered(self._twin, app, send.status, now() - taken)

    def _failed(self, app: Resource, status: int, text: str, seconds: float) -> _Denied:
        """The answer in a replica's place, counted as the app's."""
        app_answered(self._twin, app, status, seconds)
        return _Denied(status, text)

    async def _replica(self, app: Resource, left_s: float) -> tuple[Replica, Replicas]:
        """One for this request, and whom to give it back to; of the revision that serves now."""
        try:
            async with asyncio.timeout(left_s):
                while True:
                    replicas = self._serving.get(app.id)
                    if replicas is None:
                        raise _Denied(404, f"The app {app.id} was deleted.")
                    try:
                        return await replicas.acquire(), replicas
                    except Gone:
                        if self._serving.get(app.id) is replicas:
                            raise _Denied(503, "no healthy upstream: the app is being stopped.") from None
                    except ReplicaFailed as failed:
                        raise _Denied(503, f"upstream connect error or disconnect/reset before headers. {failed}") from None
        except TimeoutError:
            raise _Denied(504, _LATE) from None


def host_of(app: Resource) -> str:
    """The host of an app's address, as Azure would have it."""
    return str(app["configuration"]["ingress"]["fqdn"]).rpartition("/")[2]


def _is_dropped(header: str) -> bool:
    """Whether a caller's header does not come to the container."""
    return header.lower() in _NOT_SENT_ON or is_own(header)


async def _killed(replica: Replica, request: Request, target: str, headers: list[tuple[str, str]], body: bytes, when: float) -> None:
    """The replica dies in the middle of the request, or when all is done, and nobody hears that it was."""
    asyncio.get_running_loop().call_later(when * KILL_WITHIN_S, replica.kill)
    with contextlib.suppress(UpstreamError):
        answer = await replica.container.send(request.method, target, headers, body)
        await answer.read()
    replica.kill()

"""A whole twin in this process: its loop in a thread, its front on a free port, its rows applied as the engine applies them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import tarfile
import threading
import zipfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import boto3
import uvicorn
from botocore.config import Config

from pilotlight.twin.assembly import close, front_of, start, twin_of
from pilotlight.twin.aws import rows
from pilotlight.twin.clock import Clock
from pilotlight.twin.control import Control
from pilotlight.twin.emulators import Emulators
from pilotlight.twin.faults import Faults
from pilotlight.twin.iam import Iam
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.processes import Processes
from pilotlight.twin.settings import Settings
from pilotlight.twin.twin import ACCOUNT, Twin
from pilotlight.twin.values import ARCHIVE, SIGNATURE
from pilotlight.twin.world import Resource, World

REGION = "us-east-1"
IMAGE = Path(__file__).parent / "image"
T = TypeVar("T")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


class Harness:
    """`twin` is ready once `up` has returned; `down` ends everything."""

    twin: Twin

    def __init__(self, home: Path, cache: Path, clock: Clock | None = None) -> None:
        self.home = home
        self.cache = cache
        self.clock = clock or Clock()
        self.secret = "a-deployer's-secret"
        self._count = 0
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)

    def up(self) -> Harness:
        self._thread.start()
        assert self._ready.wait(60)
        if self._failure:
            raise self._failure
        return self

    def down(self) -> None:
        self.twin.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.twin.wait(work)

    def create(self, token: str, name: str = "", **inputs: Any) -> Resource:
        self._count += 1
        urn, settings = f"urn:pulumi:test::compute::{token}::{self._count}", Settings(region=REGION)
        if name:
            inputs = {**inputs, "name": name}
        checked, problems = self.lifecycle.check(token, urn, str(self._count).encode(), inputs, {}, settings)
        assert not problems, problems
        return self.lifecycle.create(token, urn, checked, settings, lambda: True)

    def update(self, resource: Resource, **inputs: Any) -> Resource:
        given = {**resource.inputs, **inputs}
        return self.lifecycle.update(resource.token, resource.id, resource.urn, given, Settings(region=REGION), resource.outputs)

    def delete(self, resource: Resource) -> None:
        self.lifecycle.delete(resource.token, resource.id, resource.urn)

    def problems(self, token: str, **inputs: Any) -> list[str]:
        return self.lifecycle.check(token, f"urn:pulumi:test::compute::{token}::x", b"seed", inputs, {}, Settings(region=REGION))[1]

    def client(self, service: str, **credentials: str) -> Any:
        keys = {"aws_access_key_id": self.twin.iam.deployer.access_key_id, "aws_secret_access_key": self.secret, **credentials}
        config = Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=64)
        return boto3.client(service, endpoint_url=self.twin.front_url, region_name=REGION, config=config, **keys)

    def role(self, name: str, service: str, *statements: dict[str, Any]) -> Resource:
        """A role that `service` may assume, with logs for everything and the given statements."""
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        logs = {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
        role = self.create("aws:iam/role:Role", name=name, assumeRolePolicy=_policy(trust))
        self.create("aws:iam/rolePolicy:RolePolicy", role=role["name"], name="inline", policy=_policy(logs, *statements))
        return role

    def image(self, repository: str, *, oci: bool = False) -> str:
        """Push the test's image to a new repository, with Docker's media types or OCI's; its address by digest."""
        self.create("aws:ecr/repository:Repository", name=repository, forceDelete=True)
        host = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
        token = rows_token(self.twin)
        image = self.create(
            "docker-build:index:Image",
            push=False,
            exports=[{"registry": {"ociMediaTypes": oci}}],
            context={"location": str(IMAGE)},
            dockerfile={"location": str(IMAGE / "Dockerfile")},
            target="cpu",
            tags=[f"{host}/{repository}:one"],
            registries=[{"address": host, "username": "AWS", "password": token}],
        )
        return f"{host}/{repository}@{image['digest']}"

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001
            self._failure = error
        self._ready.set()

    async def _run(self) -> None:
        self._end = asyncio.Event()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle on
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)  # before `up` returns: the server accepts what has waited
        world, processes = World(self.home / "world.sqlite3"), Processes()
        iam = Iam(world, self.secret, account=ACCOUNT)
        emulators = Emulators(self.home, processes, account=ACCOUNT, region=REGION)
        self.twin = twin_of(
            home=self.home,
            cache=self.cache,
            front_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            world=world,
            clock=self.clock,
            faults=Faults(),
            processes=processes,
            iam=iam,
            emulator_endpoint=emulators.endpoint,
            region=REGION,
        )
        from pilotlight.twin.docker_build import ROWS as IMAGES

        table = {**rows(), **{row.token: row for row in IMAGES}}
        self.lifecycle = Lifecycle(self.twin, lambda: table, self.home, Locks())
        control = Control("token", providers=_no_providers, stop=self._end.set)
        front, forwarder = front_of(self.twin, control, emulators)
        server = _Server(
            uvicorn.Config(front, log_level="warning", lifespan="off", access_log=False, ws="none", timeout_graceful_shutdown=1)
        )
        await emulators.start()
        await start(self.twin)
        control.twin = self.twin
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        self._ready.set()
        await self._end.wait()
        server.should_exit = True
        await serving
        await close(self.twin)
        forwarder.close()
        await emulators.stop()
        await processes.stop_all()
        world.close()


async def _no_providers(folder: Path) -> dict[str, int]:
    raise AssertionError(f"no provider is asked for in these tests: {folder}")


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def rows_token(twin: Twin) -> str:
    from pilotlight.twin.aws import invokes

    return str(invokes()["aws:ecr/getAuthorizationToken:getAuthorizationToken"].answer(twin, {"region": REGION})["password"])


def archive(folder: Path, **files: str) -> dict[str, str]:
    """A zip of Python modules as the engine hands it on."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "function.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name, text in files.items():
            opened.writestr(f"{name}.py", text)
    return {SIGNATURE: ARCHIVE, "path": str(path), "hash": str(hash(tuple(files.items())))}


def tarball(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{name}.txt")
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()

"""A twin without front and processes: the engine side, with the world on disk and a log that records."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pilotlight import toolchain
from pilotlight.twin import docker_context, engine
from pilotlight.twin.aws.s3 import ObjectStore
from pilotlight.twin.aws.s3_events import BucketEvents
from pilotlight.twin.clock import Clock
from pilotlight.twin.emulators import Emulators
from pilotlight.twin.engine import Engine
from pilotlight.twin.faults import Faults
from pilotlight.twin.processes import Processes
from pilotlight.twin.provider import Package
from pilotlight.twin.twin import ACCOUNT
from pilotlight.twin.world import World
from tests.twin.engine.project import Project, engines, sweep
from tests.twin.engine.wire import Wire


class RecordedLogs:
    """Stands for the log store: which groups there are."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def create_group(self, group: str) -> None:
        self.held.add(group)

    def delete_group(self, group: str) -> None:
        self.held.discard(group)


class RecordedImages:
    """Stands for the images: a digest from the context's hash, no files."""

    def __init__(self) -> None:
        self.built: list[tuple[Path, str | None]] = []

    def build(self, context: Path, dockerfile: Path, target: str | None, platforms: Any, build_args: Any, labels: Any) -> Any:
        self.built.append((context, target))
        hashed = docker_context.context_hash(context, dockerfile)
        return SimpleNamespace(digest=f"sha256:{hashed}", context_hash=hashed)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Any]:
    world = World(tmp_path / "twin" / "world.sqlite3")
    yield SimpleNamespace(
        home=tmp_path / "twin",
        cache=tmp_path / "cache",
        front_url="http://127.0.0.1:1",
        world=world,
        clock=Clock(),
        faults=Faults(),
        logs=RecordedLogs(),
        images=RecordedImages(),
        account=ACCOUNT,
    )
    world.close()


@pytest.fixture
def packages() -> tuple[Package, ...]:
    return engine.packages()


@pytest.fixture
def ports(twin: Any, packages: tuple[Package, ...], tmp_path: Path) -> Iterator[dict[str, int]]:
    (tmp_path / "program").mkdir()
    serving = Engine(twin, packages)
    found = serving.serve(tmp_path / "program", uses=("aws", "docker-build"))
    # Here the program runs in this process too, and would load the SDK at the same time.
    assert serving.warming is not None
    serving.warming.join()
    yield found
    serving.stop()


@pytest.fixture
def project(tmp_path: Path, ports: dict[str, int]) -> Iterator[Project]:
    yield _project(tmp_path, ports, "test")
    sweep()
    assert not engines()


@pytest.fixture
def new_project(tmp_path: Path, ports: dict[str, int]) -> Callable[[str], Project]:
    """Projects for further stacks of the same account."""
    return lambda stack: _project(tmp_path, ports, stack)


def _project(tmp_path: Path, ports: dict[str, int], stack: str) -> Project:
    found = toolchain.find()
    if found is None:
        pytest.skip("The Pulumi command line is not here: run `make setup`.")
    # The Automation API asks for the current loop from the main thread.
    asyncio.set_event_loop(asyncio.new_event_loop())
    return Project(folder=tmp_path / f"pulumi-{stack}", ports=ports, pulumi=found.pulumi, stack_name=stack)


@pytest.fixture
def wire(ports: dict[str, int]) -> Iterator[Wire]:
    with Wire(ports["aws"]) as one:
        yield one


@pytest.fixture
def connect(ports: dict[str, int]) -> Iterator[Callable[..., Wire]]:
    """Further connections, as other engines have them."""
    opened: list[Wire] = []

    def open_(package: str = "aws", **settings: Any) -> Wire:
        opened.append(Wire(ports[package], **settings))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The objects of a running emulator."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Emulators:
        started = Emulators(tmp_path_factory.mktemp("emulators"), Processes(), account=ACCOUNT)
        await started.start()
        return started

    emulators = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield ObjectStore(emulators.endpoint)
    asyncio.run_coroutine_threadsafe(emulators.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def with_objects(twin: Any, store: ObjectStore) -> ObjectStore:
    """The twin of this test has the emulator behind its S3 rows."""
    twin.s3, twin.bucket_events = store, BucketEvents()
    twin.bucket_events.attach(twin)
    return store

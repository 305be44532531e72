"""Servers of tiny models for the contracts: vectors, labels, written texts; features are those of the folder above. And a webhook."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handlers.server.contracts import CONTRACTS
from pilotlight.packaging import package_model
from tests.parts.handlers.conftest import _silent, unpacked
from tests.parts.handlers.contracts.writing_server import PLACES
from tests.parts.handlers.http_servers import Quiet, serving
from tests.parts.handlers.processes import Server, running
from tests.parts.handlers.tiny import write_source

NAME = "tiny-sentences"


@pytest.fixture(scope="session")
def sentences(workshop: Path) -> Path:
    """A tiny model of sentence vectors, whose length is not 1."""
    source = write_source(workshop / NAME)
    archive = package_model(str(source), "sentence-embedding", "onnx", workshop / "cache", progress=_silent).archive
    return unpacked(archive, workshop / "sentences")


@pytest.fixture(scope="session")
def embedder(sentences: Path, workshop: Path) -> Iterator[Server]:
    with running(workshop, MODEL_DIR=str(sentences), MAX_BODY_BYTES="65536", MAX_INPUTS="8") as started:
        yield started


@pytest.fixture(scope="session")
def labeller(classifier: Path, workshop: Path) -> Iterator[Server]:
    with running(workshop, MODEL_DIR=str(classifier), MAX_INPUTS="8") as started:
        yield started


@contextmanager
def writing(folder: Path, **variables: str) -> Iterator[Server]:
    """A server of the model that knows the alphabet."""
    with running(folder, module=("tests.parts.handlers.contracts.writing_server",), BATCH_SIZE=str(PLACES), **variables) as started:
        yield started


@pytest.fixture(scope="session")
def writer(workshop: Path) -> Iterator[Server]:
    with writing(workshop, MAX_BODY_BYTES="65536", MAX_INPUTS="8") as started:
        yield started


@pytest.fixture
def its_server(request: pytest.FixtureRequest, path: str) -> Server:
    """The one whose model the route at a test's `path` is for."""
    found: Server = request.getfixturevalue("writer" if f"POST {path}" in CONTRACTS["openai_texts"].routes else "embedder")
    return found


@dataclass
class Heard:
    """What came to the webhook; `statuses` answer the next ones in place of 200, as soon as `answering` is set."""

    root: str = ""
    answering: threading.Event = field(default_factory=threading.Event)
    states: list[dict[str, object]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def until(self, count: int, server: Server | None = None) -> list[dict[str, object]]:
        """What came, once it is as much; fails with the log of the `server` that should have told it."""
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.states) >= count, timeout=30)
            assert came, f"{self.states} at {self.root}, {server and server.log}"
            return self.states


@pytest.fixture(scope="module")
def receiver() -> Iterator[Heard]:
    """One for a file, and so are the servers that may call it."""
    made = Heard()

    class Receiver(Quiet):
        def do_POST(self) -> None:
            state = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with made.changed:
                made.states.append(state)
                made.paths.append(self.path)
                status = made.statuses.pop(0) if made.statuses else 200
                made.changed.notify_all()
            made.answering.wait(30)
            self.reply(status, b"", {"Location": f"{made.root}elsewhere"})

    with serving(Receiver) as where:
        made.root = f"http://{where}/hooks/"
        yield made


@pytest.fixture
def heard(receiver: Heard) -> Heard:
    """The same, with nothing heard yet."""
    with receiver.changed:
        receiver.states, receiver.paths, receiver.statuses = [], [], []
    receiver.answering.set()
    return receiver


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def problem(answer: object) -> tuple[int, str]:
    """Status and name of an answer that must be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    return answer.status_code, told["type"].removeprefix("urn:pilotlight:problem:")

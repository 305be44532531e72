"""Servers of tiny models for the contracts: sentence vectors, labels; features are those of the folder above."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.packaging import package_model
from tests.unit.handlers.conftest import _silent, unpacked
from tests.unit.handlers.processes import Server, running
from tests.unit.handlers.tiny import write_source

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


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def problem(answer: object) -> tuple[int, str]:
    """Status and name of an answer that must be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    return answer.status_code, told["type"].removeprefix("urn:pilotlight:problem:")

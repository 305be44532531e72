"""The example that reads documents, in an image that is made as its README says."""

import shutil
import tarfile
from pathlib import Path

import pytest

from examples.documents.page import LINES, as_input, page
from pilotlight.packaging.model import package_model
from pilotlight.twin.ports import port_for_later
from tests.images.calls import first_answer
from tests.images.conftest import MODEL_DIR, ROOT, copy_context
from tests.images.engines import Engine, Launch
from tests.support.size import only_all

pytestmark = [pytest.mark.images, only_all]

EXAMPLE = ROOT / "examples/documents"
# What its README says it needs.
MEMORY_MB = 1024


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with the model, its lock and the option in it."""
    folder = copy_context(tmp_path_factory.mktemp("documents"))
    shutil.copytree(EXAMPLE / "model", folder / "handlers/models/documents", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(EXAMPLE / "requirements.txt", folder / "containers/requirements/cpu.txt")
    dockerfile = folder / "containers/Dockerfile"
    before, stage, behind = dockerfile.read_text().partition("AS packages-cpu\n")
    dockerfile.write_text(before + stage + behind.replace("--require-hashes", "--no-deps --require-hashes", 1))
    return folder


@pytest.fixture(scope="module")
def documents(engine: Engine, checkout: Path) -> str:
    return engine.build(checkout, dockerfile=checkout / "containers/Dockerfile", target="cpu")


def test_the_words_of_a_page_come_back(engine: Engine, documents: str, checkout: Path, tmp_path: Path) -> None:
    packaged = package_model("handlers/models/documents", "custom", "onnx", tmp_path / "cache", progress=print, root=checkout)
    model, port = tmp_path / "model", port_for_later()
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(model, filter="data")
    # pytest's folders are for their owner alone; the container's user is another.
    model.chmod(0o755)
    launch = Launch(env={"BIND_HOST": "127.0.0.1", "PORT": str(port)}, mounts={MODEL_DIR: model}, memory_mb=MEMORY_MB)
    with engine.run(documents, launch) as container:
        answer = first_answer(container, port, started=container.started, body={"inputs": as_input(page())})
        assert answer.response.status_code == 200, f"{answer.response.text}\n{container.logs()}"
        # Spaces between words that stand close are left out by RapidOCR's models.
        found = [line["text"].replace(" ", "") for line in answer.outputs["lines"]]
        assert found == [line.replace(" ", "") for line in LINES]

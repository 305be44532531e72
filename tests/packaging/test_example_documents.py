"""The example that reads documents, served by the model server in the environment of its own lock, which its README puts into the image."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw, ImageFont

from examples.documents.page import LINES, SIZE, as_input, page
from pilotlight.packaging import package_model
from pilotlight.toolchain import cache_folder
from pilotlight.twin.environments import Environments, environment_key
from pilotlight.twin.ports import port_for_later
from tests.packaging.conftest import WANTED
from tests.parts.handlers.conftest import unpacked
from tests.parts.handlers.processes import ROOT, Server

EXAMPLE = ROOT / "examples/documents"
LOCK = EXAMPLE / "requirements.txt"


@pytest.fixture(scope="module")
def python() -> Path:
    """Of the environment that the twin would make of the lock; made first where `PILOTLIGHT_TEST_EXPORT` is set."""
    environments = Environments(cache_folder())
    if not environments.path(environment_key(LOCK.read_bytes())).is_dir() and not os.environ.get(WANTED):
        pytest.skip(f"the environment with RapidOCR (450 MB) is not there: set {WANTED}=1 to have it made, in half a minute")
    return environments.path(environments.ensure(LOCK)) / "bin/python"


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model server over a copy of `handlers/` that has the model as the README puts it there."""
    folder = tmp_path_factory.mktemp("documents")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "handlers", folder / "handlers", ignore=unwanted)
    shutil.copytree(EXAMPLE / "model", folder / "handlers/models/documents", ignore=unwanted)
    archive = package_model(
        "handlers/models/documents", "custom", "onnx", folder / "cache", progress=lambda line: None, root=folder
    ).archive
    variables = {"MODEL_DIR": str(unpacked(archive, folder / "artifact")), "PORT": str(port_for_later()), "BIND_HOST": "127.0.0.1"}
    log_file = folder / "server.log"
    address = f"http://127.0.0.1:{variables['PORT']}"
    with log_file.open("wb") as log, httpx.Client(base_url=address, timeout=60) as client:
        command = [python, "-m", "handlers.server", "serve"]
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT)
        started = Server(process, int(variables["PORT"]), client, log_file)
        try:
            started.until_ready()
            yield started
        finally:
            process.kill()
            process.wait()


def joined(text: str) -> str:
    """Without spaces, which the reader leaves out between words that stand close."""
    return text.replace(" ", "")


def test_the_words_of_a_page_come_back_with_where_they_stand(server: Server) -> None:
    answer = server.predict({"inputs": as_input(page())})
    lines = answer.json()["outputs"]["lines"]
    assert [joined(line["text"]) for line in lines] == [joined(line) for line in LINES]
    for number, line in enumerate(lines):
        assert 0.8 < line["score"] <= 1
        (left, top), (right, _), (_, bottom), (_, lower) = line["box"]
        middle = 60 + 90 * number + 20
        assert 50 <= left <= 70 < right < SIZE[0] / 2
        assert top < middle < min(bottom, lower) < top + 60


def test_boxes_are_of_the_picture_that_was_sent_also_where_it_is_made_smaller(server: Server) -> None:
    large = page().resize((SIZE[0] * 4, SIZE[1] * 4))
    lines = server.predict({"inputs": as_input(large)}).json()["outputs"]["lines"]
    assert [joined(line["text"]) for line in lines] == [joined(line) for line in LINES]
    assert lines[0]["box"][0] == pytest.approx([240, 270], abs=40)


def test_a_page_that_stands_on_its_head_is_read(server: Server) -> None:
    lines = server.predict({"inputs": as_input(page().rotate(180))}).json()["outputs"]["lines"]
    assert [joined(line["text"]) for line in lines] == [joined(line) for line in reversed(LINES)]


def test_an_empty_page_has_no_lines_and_several_pages_come_in_order(server: Server) -> None:
    answer = server.predict({"inputs": [as_input(page(())), as_input(page(("One line",)))]})
    empty, written = answer.json()["outputs"]
    assert empty == {"lines": []}
    assert [joined(line["text"]) for line in written["lines"]] == ["Oneline"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("not base64!", "'inputs.image' is not base64"),
        ("bm8gcGljdHVyZQ==", "'inputs.image' is no image that can be read"),
        # Made where it is sent: to look for tests would cost each worker a gigabyte.
        (("1", (30_000, 30_000)), "'inputs.image' has 30000 x 30000 pixels: 25000000 are allowed"),
        (("L", (900, 2)), "'inputs.image' has 900 x 2 pixels: one side may be 8 times the other"),
    ],
    ids=["no base64", "no picture", "bomb", "strip"],
)
def test_what_is_no_picture_or_takes_too_long_is_refused_with_its_place(
    server: Server, image: str | tuple[str, tuple[int, int]], reason: str
) -> None:
    answer = server.predict({"inputs": {"image": image} if isinstance(image, str) else as_input(Image.new(*image))})
    assert answer.status_code == 422
    assert reason in answer.text


def test_a_page_with_more_text_than_is_read_at_once_is_refused(server: Server) -> None:
    crowded = Image.new("L", (2000, 1400), "white")
    draw, font = ImageDraw.Draw(crowded), ImageFont.load_default(size=9)
    for top in range(5, 1380, 14):
        draw.text((5, top), "Lorem ipsum dolor sit amet " * 15, fill="black", font=font)
    answer = server.predict({"inputs": as_input(crowded)})
    assert answer.status_code == 422
    assert "'inputs.image' has too much text for one picture" in answer.text

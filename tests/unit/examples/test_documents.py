"""The example that reads documents, without what reads: what it takes and gives, what it refuses, and how its lock is made.

`tests/packaging/test_example_documents.py` has the real thing.
"""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jsonschema
import numpy as np
import pytest
from PIL import Image

from examples.documents.page import as_input, page
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import build
from handlers.engines.manifest import read_manifest
from handlers.functions.problems import InputRefused
from handlers.functions.requests import check, from_value
from pilotlight.packaging import package_model
from tests.parts.handlers.conftest import unpacked

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples/documents"
SERVED = "handlers.models.documents.model"
BOX = [[10, 20], [110, 20], [110, 40], [10, 40]]


class Reader:
    """In the place of RapidOCR: it finds the boxes, and reads the lines, that a test says."""

    def __init__(self):
        self.boxes, self.found = [BOX], [("Total", 0.9)]
        self.text_rec = Recogniser(self)

    def __call__(self, **given):
        """It is made by this."""
        self.given = given
        return self

    def auto_text_det(self, pixels):
        self.pixels = pixels
        return [np.array(box, np.float32) for box in self.boxes] or None, 0.0

    def get_crop_img_list(self, pixels, boxes):
        return [pixels] * len(boxes)

    def text_cls(self, crops):
        return crops, [], 0.0


class Recogniser:
    def __init__(self, reader):
        self._reader = reader
        self.session = SimpleNamespace(session=SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"]))

    def __call__(self, crops):
        assert len(crops) == len(self._reader.found)
        return self._reader.found, 0.0


@pytest.fixture
def artifact(tmp_path):
    """Copied as its README says, and packaged."""
    shutil.copytree(EXAMPLE / "model", tmp_path / "handlers/models/documents", ignore=shutil.ignore_patterns("__pycache__"))
    archive = package_model(
        "handlers/models/documents", "custom", "onnx", tmp_path / "cache", progress=lambda line: None, root=tmp_path
    ).archive
    return unpacked(archive, tmp_path / "artifact")


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def model(artifact, reader, monkeypatch):
    """Loaded as a server does it, where packages are that this environment lacks."""
    for name, parts in {"cv2": {"setNumThreads": lambda threads: None}, "rapidocr_onnxruntime": {"RapidOCR": reader}}.items():
        module = ModuleType(name)
        module.__dict__.update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "examples.documents.model.model", raising=False)
    monkeypatch.setitem(sys.modules, SERVED, importlib.import_module("examples.documents.model.model"))
    yield build(artifact, read_manifest(artifact), threads=3)
    # With what stands in, it is no module for others.
    sys.modules.pop("examples.documents.model.model", None)


def ask(model, inputs):
    request = from_value({"inputs": inputs}, max_inputs=256, kind="values")
    check("custom", request)
    return model.predict(request, Cancellation())


def test_a_line_has_its_text_its_score_and_four_corners(model):
    assert ask(model, as_input(page())) == {"lines": [{"text": "Total", "score": 0.9, "box": BOX}]}


def test_boxes_are_of_the_picture_as_it_was_sent(model, reader):
    answer = ask(model, as_input(page(size=(4000, 1000))))
    assert reader.pixels.shape == (500, 2000, 3)
    assert answer["lines"][0]["box"] == [[2 * x, 2 * y] for x, y in BOX]


def test_the_reader_gets_the_colours_in_the_order_of_opencv(model, reader):
    ask(model, as_input(Image.new("RGB", (10, 10), "red")))
    assert reader.pixels[0, 0].tolist() == [0, 0, 255]


def test_lines_that_are_guessed_are_left_out_and_a_page_may_have_none(model, reader):
    reader.boxes, reader.found = [BOX, BOX], [("Total", 0.9), ("l|", 0.3)]
    assert [line["text"] for line in ask(model, as_input(page()))["lines"]] == ["Total"]
    reader.boxes = []
    assert ask(model, as_input(page())) == {"lines": []}


def test_it_computes_with_the_threads_that_it_is_given(model, reader):
    assert reader.given["intra_op_num_threads"] == 3


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "missing required field `image`"),
        ({"image": 7}, re.escape("'inputs': Expected `str`, got `int` - at `$.image`")),
        ({"image": "no base64"}, "'inputs.image' is not base64"),
        ([as_input(page()), {"image": "bm9uZQ=="}], re.escape("'inputs[1].image' is no image")),
        # Made where they are asked: to look for tests would cost each worker a gigabyte.
        (("1", (30_000, 30_000)), "'inputs.image' has 30000 x 30000 pixels: 25000000 are allowed"),
        (("L", (900, 2)), "900 x 2 pixels: one side may be 8 times the other"),
        (("L", (2, 900)), "2 x 900 pixels: one side may be 8 times the other"),
    ],
    ids=["nothing", "number", "no base64", "no picture", "bomb", "strip", "column"],
)
def test_what_cannot_be_read_is_refused_with_its_place(model, inputs, reason):
    with pytest.raises(InputRefused, match=reason):
        ask(model, as_input(Image.new(*inputs)) if isinstance(inputs, tuple) else inputs)


def test_what_is_answered_is_as_described(model):
    resolved = json.loads(json.dumps(model.schemas).replace("#/components/schemas/", "#/components/"))
    jsonschema.validate(ask(model, as_input(page())), resolved["output"] | {"components": resolved["components"]})


def test_more_text_than_is_read_at_once_is_refused(model, reader):
    reader.boxes = [[[0, 0], [1000, 0], [1000, 10], [0, 10]]] * 41
    with pytest.raises(InputRefused, match=re.escape("too much text for one picture (4100 of 4000)")):
        ask(model, as_input(page()))


def locked(path):
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_its_lock_is_the_images_with_what_reads_and_without_windows():
    ours, image = locked(EXAMPLE / "requirements.txt"), locked(ROOT / "containers/requirements/cpu.txt")
    assert set(ours) - set(image) == {"opencv-python-headless", "pyclipper", "rapidocr-onnxruntime", "shapely"}
    assert {name: version for name, version in ours.items() if name in image} == image
    assert (EXAMPLE / "requirements.excludes").read_text().split() == ["opencv-python"]


def test_its_lock_has_a_hash_for_every_package_and_no_address():
    text = (EXAMPLE / "requirements.txt").read_text()
    assert "://" not in text
    packages = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []

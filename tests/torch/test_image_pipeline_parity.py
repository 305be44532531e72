"""Task image-classification against transformers' pipeline: files as a client sends them, labels and scores as it reads them.

The pipeline resizes with Pillow here. Where torchvision is installed it takes that instead, whose resized pixels differ by some levels.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import Model, build, import_engine
from handlers.engines.manifest import read_manifest
from handlers.functions.requests import from_value
from pilotlight.twin.ports import port_for_later
from tests.torch.image_models import IMAGE_KINDS, LABELS
from tests.torch.pictures import PICTURES, UNSEEN
from tests.torch.reference import image_pipeline
from tests.torch.test_torch_server import ROOT, first_answer

TOLERANCE = 1e-4
# Pillow's, of a palette with many transparencies; the pipeline is given it as well.
pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")
SEVERAL = ["PNG", "tall", "grey"]
# A filter, a mean and a deviation that are nearly right, and no antialiasing.
SLIGHTLY_WRONG = [{"resample": 4}, {"resample": 0}, {"mean": (0.485, 0.456, 0.406)}, {"deviation": (0.49, 0.5, 0.5)}]


@cache
def text(picture: str) -> str:
    return base64.b64encode(PICTURES[picture]()).decode()


@cache
def served(folder: Path, **changed: Any) -> Model:
    """The packaged model; `changed` is what its manifest is made to say otherwise of images."""
    manifest = read_manifest(folder)
    assert manifest.image is not None
    import_engine(manifest.engine, manifest.task)
    return build(folder, manifest._replace(image=manifest.image._replace(**changed)), threads=1)


def ask(model: Model, inputs: str | list[str], **parameters: Any) -> Any:
    """What a client reads: through the JSON of the answer."""
    outputs = model.predict(from_value({"inputs": inputs, "parameters": parameters}, max_inputs=16), Cancellation())
    return orjson.loads(orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY))


def farthest(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> float:
    """The largest difference of two scores of a label; labels are the same ones, in the same order."""
    assert [item["label"] for item in found] == [item["label"] for item in expected]
    return max(abs(one["score"] - other["score"]) for one, other in zip(found, expected, strict=True))


@pytest.fixture(params=IMAGE_KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(models, kind):
    return served(models / f"{kind}-image-classification-onnx")


@pytest.fixture
def pipeline(sources, kind):
    return image_pipeline(sources / kind)


def test_every_kind_of_file_has_the_pipelines_labels_and_scores(model, pipeline):
    expected = {name: pipeline(text(name)) for name in PICTURES}
    assert len({answer[0]["label"] for answer in expected.values()}) > 2, "a model that always says the same shows nothing"
    far = {name: farthest(ask(model, text(name)), answer) for name, answer in expected.items()}
    assert {name: difference for name, difference in far.items() if difference > TOLERANCE} == {}


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_k": 1},
        {"top_k": 50},
        {"function_to_apply": "none"},
        {"function_to_apply": "sigmoid", "top_k": 3},
        {"function_to_apply": "softmax"},
    ],
    ids=str,
)
def test_parameters_do_what_they_do_to_the_pipeline(model, pipeline, parameters):
    for name in SEVERAL:
        assert farthest(ask(model, text(name), **parameters), pipeline(text(name), **parameters)) < TOLERANCE


def test_null_is_every_label_where_the_pipeline_takes_it_for_five(model, pipeline):
    assert len(pipeline(text("PNG"), top_k=None)) == 5
    assert farthest(ask(model, text("PNG"), top_k=None), pipeline(text("PNG"), top_k=len(LABELS))) < TOLERANCE


def test_a_list_of_images_is_answered_as_the_pipeline_answers_it(model, pipeline):
    texts = [text(name) for name in SEVERAL]
    found, expected = ask(model, texts), pipeline(texts)
    assert len(found) == len(expected)
    assert max(map(farthest, found, expected)) < TOLERANCE


@pytest.mark.parametrize("wrong", SLIGHTLY_WRONG, ids=str)
def test_the_comparison_notices_what_is_slightly_wrong(models, sources, wrong):
    model, expected = served(models / "vit-image-classification-onnx", **wrong), image_pipeline(sources / "vit")(text("PNG"), top_k=7)
    scores = {item["label"]: item["score"] for item in expected}
    assert max(abs(item["score"] - scores[item["label"]]) for item in ask(model, text("PNG"), top_k=7)) > 10 * TOLERANCE


@pytest.mark.parametrize("picture", UNSEEN)
def test_a_colour_that_is_to_be_unseen_is_shown_or_white_as_the_pipeline_has_it(model, pipeline, picture):
    sent = base64.b64encode(UNSEEN[picture]()).decode()
    assert farthest(ask(model, sent), pipeline(sent)) < TOLERANCE


def test_the_server_answers_an_image_and_a_list_as_the_pipeline_does(models, sources):
    port, pipeline = port_for_later(), image_pipeline(sources / "vit")
    variables = {"PATH": os.environ["PATH"], "PORT": str(port), "BIND_HOST": "127.0.0.1"}
    variables["MODEL_DIR"] = str(models / "vit-image-classification-onnx")
    server = subprocess.Popen([sys.executable, "-m", "handlers.server"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    try:
        bare = first_answer(port, server, PICTURES["EXIF 6"](), "image/jpeg")["outputs"]
        several = first_answer(port, server, json.dumps({"inputs": [text(name) for name in SEVERAL]}).encode())["outputs"]
    finally:
        server.terminate()
        assert server.wait(timeout=10) == 0
    assert farthest(bare, pipeline(text("EXIF 6"))) < TOLERANCE
    assert max(farthest(found, pipeline(text(name))) for name, found in zip(SEVERAL, several, strict=True)) < TOLERANCE

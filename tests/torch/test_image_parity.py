"""What images become, against transformers' own image processors: the numbers that a model is given."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import (
    BeitImageProcessorPil,
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    DeiTImageProcessorPil,
    MobileNetV1ImageProcessorPil,
    MobileNetV2ImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)
from transformers.image_utils import load_image

from handlers.engines.manifest import image_of
from handlers.tasks.images import decode, pixels
from tests.torch.pictures import UNSEEN

# By what a row of the recorded ones begins with.
KINDS = {
    "beit": BeitImageProcessorPil,
    "bit": BitImageProcessorPil,
    "clip": CLIPImageProcessorPil,
    "deit": DeiTImageProcessorPil,
    "mobilenet": MobileNetV2ImageProcessorPil,
    "mobilenet-bare": MobileNetV1ImageProcessorPil,
    "siglip": SiglipImageProcessorPil,
    "vit": ViTImageProcessorPil,
}
# What each saves, and what the packager makes of it (`tests/parts/handlers/test_image_tasks.py`).
RECORDED = json.loads((Path(__file__).parents[1] / "data" / "image_processors.json").read_text())
SIZES = [(300, 200), (200, 301), (37, 91), (640, 480), (8, 8), (225, 225)]


def processor(name, folder):
    (folder / "preprocessor_config.json").write_text(json.dumps(RECORDED[name]["saved"]))
    return (KINDS.get(name) or KINDS[name.partition("-")[0]]).from_pretrained(folder)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", RECORDED)
def test_an_image_has_the_numbers_of_the_image_processor(tmp_path, name, size):
    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = processor(name, tmp_path)(images=image, return_tensors="np")["pixel_values"]
    found = pixels(image, image_of(RECORDED[name]["manifest"]))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("picture", UNSEEN)
@pytest.mark.parametrize("name", RECORDED)
def test_a_transparent_colour_has_the_numbers_of_the_image_processor(tmp_path, name, picture):
    """Which the pipeline gives an image that is RGB already."""
    sent, wanted = base64.b64encode(UNSEEN[picture]()).decode(), image_of(RECORDED[name]["manifest"])
    expected = processor(name, tmp_path)(images=load_image(sent), return_tensors="np")["pixel_values"]
    assert np.abs(pixels(decode(sent, "inputs", white=wanted.white), wanted) - expected).max() < 1e-5

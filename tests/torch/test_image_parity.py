"""What images become, against transformers' own image processors: the numbers that a model is given."""

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

from handlers.engines.manifest import image_of
from handlers.tasks.images import pixels

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
# What each saves, and what the packager makes of it (`tests/unit/handlers/test_image_tasks.py`).
RECORDED = json.loads((Path(__file__).parents[1] / "data" / "image_processors.json").read_text())
SIZES = [(300, 200), (200, 301), (37, 91), (640, 480), (8, 8), (225, 225)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", RECORDED)
def test_an_image_has_the_numbers_of_the_image_processor(tmp_path, name, size):
    recorded = RECORDED[name]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(recorded["saved"]))
    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    kind = KINDS.get(name) or KINDS[name.partition("-")[0]]
    expected = kind.from_pretrained(tmp_path)(images=image, return_tensors="np")["pixel_values"]
    found = pixels(image, image_of(recorded["manifest"]))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5

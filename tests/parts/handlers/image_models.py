"""An image classifier of a handful of weights as a source folder, whose scores can be told in one's head; and images as bytes."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

LABELS = ("red", "green", "blue", "dark")
SIDE = 8
# Each score is the mean of a colour's channel; the last one falls with all of them.
WEIGHTS = np.array([[8, 0, 0, -3], [0, 8, 0, -3], [0, 0, 8, -3]], np.float32)
PREPROCESSOR: Mapping[str, Any] = {
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def write_graph(path: Path, *, name: str = "pixel_values", weights: np.ndarray[Any, Any] = WEIGHTS) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", [name], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    taken = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", weights.shape[1]])
    graph = helper.make_graph(nodes, "colours", [taken], [given], [numpy_helper.from_array(weights, "weights")])
    path.write_bytes(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString())


def image_folder(folder: Path, **preprocessor: Any) -> Path:
    """The model with its configuration; `preprocessor` adds to or changes what it says of images."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {str(number): label for number, label in enumerate(LABELS)}
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "id2label": labels}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, **preprocessor}))
    write_graph(folder / "model.onnx")
    return folder


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (20, 10), kind: str = "PNG") -> bytes:
    """An image of one colour."""
    return encoded(Image.new("RGB", size, colour), kind)

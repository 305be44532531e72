"""The artifact of an image classifier: the source's own ONNX file, which must take what images become for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.image_config import image_input
from pilotlight.packaging.onnx_writer import GRAPH
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.ready_onnx import find_ready, take_ready
from pilotlight.packaging.sources import Say, Source

INPUT, OUTPUT = "pixel_values", "logits"


def build_image(source: Source, labels: Mapping[str, str], work: Path, progress: Say) -> tuple[Mapping[str, Path], Parity]:
    """The artifact's model files. Raises PackagingError for a source without a graph, or with one of other inputs or outputs."""
    graph = find_ready(source.folder)
    if graph is None:
        told = f"{source.shown} has no model.onnx: image-classification serves ready ONNX files"
        raise PackagingError(f"{told}. Export the model with optimum (`optimum-cli export onnx --task image-classification`).")
    members = take_ready(graph, work)
    progress("Using the source's own ONNX file as it is")
    _require_graph(members[GRAPH], image_input(source.folder), len(labels))
    return members, Parity(reference=f"source file, unchanged, sha256 {file_sha256(graph)}", samples=0, measured=None)


def _require_graph(path: Path, image: Mapping[str, Any], labels: int) -> None:
    """It takes an image of this size and gives a score for each label."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    height, width = image["crop"] or image["size"]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()], [item.name for item in session.get_outputs()]
        if names[0] != [INPUT] or names[1][0] != OUTPUT:
            raise PackagingError(f"{path} takes {', '.join(names[0])} and gives {', '.join(names[1])}: {INPUT} and {OUTPUT} are served.")
        (scores,) = session.run([OUTPUT], {INPUT: np.zeros((1, 3, height, width), np.float32)})
    except PackagingError:
        raise
    except Exception as error:  # the library's exceptions share no base below Exception
        raise PackagingError(f"{path} can't compute an image of {width} x {height} pixels: {error}") from error
    if scores.shape != (1, labels):
        raise PackagingError(
            f"{path} gives an array of {scores.shape} for one image, config.json has {labels} labels: (1, {labels}) is served."
        )

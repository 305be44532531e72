"""The artifact of an image classifier: the source's own ONNX file, and what its preprocessor_config.json says of its input."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.onnx_writer import GRAPH
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.ready_onnx import find_ready, take_ready
from pilotlight.packaging.sources import Say, Source

CONFIG = "preprocessor_config.json"
INPUT, OUTPUT = "pixel_values", "logits"
# transformers' own where a file leaves them out: bilinear, bytes to 0..1 (image_processing_utils.py).
_BILINEAR, _BYTE = 2, 1 / 255
# What changes the numbers and is not served.
_UNSERVED = ("crop_pct", "do_pad", "do_flip_channel_order", "do_thumbnail", "do_align_long_axis", "rescale_offset", "include_top")
# Those of transformers that do the served steps and nothing else with the same words; others resize by rules of their own (LeViT, say).
_KINDS = ("ViT", "DeiT", "CLIP", "Beit", "Bit", "MobileNetV1", "MobileNetV2", "Siglip")


def image_input(folder: Path) -> dict[str, Any]:
    """The manifest's `image`. Raises PackagingError for a missing file, and for steps that are not served."""
    path = folder / CONFIG
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        kind = str(given.get("image_processor_type") or given.get("feature_extractor_type") or f"{_KINDS[0]}ImageProcessor")
        if kind.removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor") not in _KINDS:
            raise PackagingError(f"{path} is of {kind}, served are the image processors of {', '.join(_KINDS)}.")
        if strange := [name for name in _UNSERVED if given.get(name)]:
            raise PackagingError(
                f"{path} asks for {', '.join(strange)}: resizing, a crop of the middle, rescaling and normalizing are served."
            )
        return _input(given)
    except FileNotFoundError:
        raise PackagingError(
            f"{folder} has no {CONFIG}: save it with AutoImageProcessor.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise PackagingError(
            f"{path} can't be used ({error!r}): image_mean and image_std have three numbers, size has height and width."
        ) from error


def _input(given: Mapping[str, Any]) -> dict[str, Any]:
    size = given.get("size") if given.get("do_resize", True) else None
    crop = given.get("crop_size") if given.get("do_center_crop", False) else None
    if isinstance(size, int):  # as files of older versions have it
        size = {"shortest_edge": size} if crop is not None else {"height": size, "width": size}
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if size is None and crop is None:
        raise ValueError("neither size nor crop_size")
    normalizes = given.get("do_normalize", True)
    mean, deviation = ([float(number) for number in given[name]] if normalizes else None for name in ("image_mean", "image_std"))
    if normalizes and (len(mean or ()) != 3 or len(deviation or ()) != 3 or 0.0 in (deviation or ())):
        raise ValueError("image_mean or image_std")
    edge = (size or {}).get("shortest_edge")
    if edge is not None and crop is None:
        raise ValueError("a size by the shortest edge, and no crop to one size")
    return {
        "size": [int(size["height"]), int(size["width"])] if size and edge is None else None,
        "shortest_edge": None if edge is None else int(edge),
        "resample": int(given.get("resample", _BILINEAR)),
        "crop": None if crop is None else [int(crop["height"]), int(crop["width"])],
        "scale": float(given.get("rescale_factor", _BYTE)) if given.get("do_rescale", True) else 1.0,
        "mean": mean or [0.0, 0.0, 0.0],
        "deviation": deviation or [1.0, 1.0, 1.0],
    }


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

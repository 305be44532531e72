"""What a source's preprocessor_config.json says of a model's input, with the defaults of its kind where it says nothing."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pilotlight.packaging.errors import PackagingError

CONFIG = "preprocessor_config.json"
_BILINEAR, _BICUBIC = 2, 3
# Pillow's filters, by their numbers (`PIL.Image.Resampling`).
_FILTERS = range(6)
# Larger ones no classifier has, and one image of this size is 200 MB of numbers.
_MOST_SIDE = 4096
_HALVES = [0.5, 0.5, 0.5]
_CLIP_MEAN, _CLIP_DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


class _Kind(NamedTuple):
    """What an image processor does where its file leaves it out; `squares`: whether a size that is one number is that of both sides, and
    not of the shortest; `white`: whether it puts white in the place of a colour that is transparent (`do_convert_rgb`)."""

    size: Mapping[str, int]
    squares: bool
    resample: int
    crops: bool = False
    crop_size: Mapping[str, int] | None = MappingProxyType({"height": 224, "width": 224})
    mean: list[float] = _HALVES
    deviation: list[float] = _HALVES
    white: bool = False


_SQUARE, _SHORTEST, _LARGER = {"height": 224, "width": 224}, {"shortest_edge": 224}, {"shortest_edge": 256}
# The image processors of transformers that do the served steps and nothing else with the same words; others resize by rules of their own
# (LeViT, say). Defaults: the attributes of each class `…ImageProcessorPil` there (transformers 5.24, `image_processing_pil_*.py`).
_KINDS = {
    "ViT": _Kind(_SQUARE, True, _BILINEAR, crop_size=None),
    "DeiT": _Kind({"height": 256, "width": 256}, True, _BICUBIC, crops=True),
    "CLIP": _Kind(_SHORTEST, False, _BICUBIC, crops=True, mean=_CLIP_MEAN, deviation=_CLIP_DEVIATION, white=True),
    "Beit": _Kind(_SQUARE, True, _BICUBIC),
    "Bit": _Kind(_SHORTEST, False, _BICUBIC, crops=True, mean=_CLIP_MEAN, deviation=_CLIP_DEVIATION, white=True),
    "MobileNetV1": _Kind(_LARGER, False, _BILINEAR, crops=True),
    "MobileNetV2": _Kind(_LARGER, False, _BILINEAR, crops=True),
    "Siglip": _Kind(_SQUARE, False, _BICUBIC, crop_size=None, white=True),
}
# Of every kind: bytes to 0..1.
_SCALE = 1 / 255
# What changes the numbers and is not served.
_UNSERVED = (
    "crop_pct",
    "do_pad",
    "do_flip_channel_order",
    "do_thumbnail",
    "do_align_long_axis",
    "rescale_offset",
    "include_top",
    "use_square_size",
)


def image_input(folder: Path) -> dict[str, Any]:
    """The manifest's `image`. Raises PackagingError for a file that is missing or can't be used, and for steps that are not served."""
    path = folder / CONFIG
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise ValueError(f"it is no object but {type(given).__name__}")
        return _input(given, _kind(path, given))
    except FileNotFoundError:
        raise PackagingError(
            f"{folder} has no {CONFIG}: save it with AutoImageProcessor.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise PackagingError(f"{path} can't be used: {error}.") from error


def _kind(path: Path, given: Mapping[str, Any]) -> _Kind:
    said = str(given.get("image_processor_type") or given.get("feature_extractor_type") or "ViTImageProcessor")
    kind = _KINDS.get(said.removesuffix("Fast").removesuffix("Pil").removesuffix("ImageProcessor").removesuffix("FeatureExtractor"))
    if kind is None:
        raise PackagingError(f"{path} is of {said}, served are the image processors of {', '.join(_KINDS)}.")
    if strange := [name for name in _UNSERVED if given.get(name)]:
        raise PackagingError(f"{path} asks for {', '.join(strange)}: resizing, a crop of the middle, rescaling and normalizing are served.")
    return kind


def _input(given: Mapping[str, Any], kind: _Kind) -> dict[str, Any]:
    """Raises ValueError."""
    size = _size(given.get("size", kind.size), kind) if _flag(given, "do_resize", True) else None
    crop = _sides("crop_size", given.get("crop_size", kind.crop_size)) if _flag(given, "do_center_crop", kind.crops) else None
    if size is None and crop is None:
        raise ValueError("it neither resizes nor crops: one of the two makes every image the size that the model takes")
    edge = size if isinstance(size, int) else None
    if edge is not None and crop is None:
        raise ValueError("it has a size by the shortest edge, and no crop to one size")
    normalizes, rescales = _flag(given, "do_normalize", True), _flag(given, "do_rescale", True)
    return {
        "size": size if edge is None else None,
        "shortest_edge": edge,
        "resample": _whole("resample", given.get("resample", kind.resample), _FILTERS),
        "crop": crop,
        "scale": _number("rescale_factor", given.get("rescale_factor", _SCALE)) if rescales else 1.0,
        "mean": _colours("image_mean", given.get("image_mean", kind.mean), zero=True) if normalizes else [0.0] * 3,
        "deviation": _colours("image_std", given.get("image_std", kind.deviation), zero=False) if normalizes else [1.0] * 3,
        "white": _flag(given, "do_convert_rgb", kind.white),
    }


def _size(value: Any, kind: _Kind) -> list[int] | int:
    """Height and width, or the shortest edge."""
    if isinstance(value, Mapping) and value.keys() == {"shortest_edge"}:
        value = value["shortest_edge"]
        return _whole("size.shortest_edge", value, range(1, _MOST_SIDE + 1))
    if not isinstance(value, Mapping) and not kind.squares:
        return _whole("size", value, range(1, _MOST_SIDE + 1))
    return _sides("size", value)


def _sides(name: str, value: Any) -> list[int]:
    """Height and width, of one number as files of older versions have it."""
    if isinstance(value, Mapping):
        if value.keys() != {"height", "width"}:
            raise ValueError(f"{name} has {', '.join(map(str, value)) or 'nothing'}: height and width are served")
        return [_whole(f"{name}.{side}", value[side], range(1, _MOST_SIDE + 1)) for side in ("height", "width")]
    return [_whole(name, value, range(1, _MOST_SIDE + 1))] * 2


def _whole(name: str, value: Any, allowed: range) -> int:
    if type(value) is not int or value not in allowed:
        raise ValueError(f"{name} is {str(value)[:80]}: a whole number from {allowed[0]} to {allowed[-1]} is served")
    return value


def _number(name: str, value: Any, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or (value == 0 and not zero):
        raise ValueError(f"{name} is {str(value)[:80]}: a finite number{'' if zero else ' other than 0'} is served")
    return float(value)


def _colours(name: str, value: Any, *, zero: bool) -> list[float]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"{name} is {str(value)[:80]}: a list of three numbers is served")
    return [_number(name, each, zero=zero) for each in value]


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    """What is null is not done, also where the kind does it (transformers 5.24)."""
    value = given.get(name, default)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {str(value)[:80]}: true or false is served")
    return value
